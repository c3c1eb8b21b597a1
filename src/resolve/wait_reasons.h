// SPDX-License-Identifier: Apache-2.0
// What a thread waits for, by the function of the kernel's that it waits in.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "iolens/event/symbol.h"

namespace iolens {

enum class WaitFor : u8 {
    dirty_pages,
    limit,
    writeback,
    journal,
    direct_io,
    page,
    queue,
    device,
    memory,
    lock,
    fuse,
    network_fs,
    futex,
    pipe,
    socket,
    poll,
    sleep,
    child,
    processor,
    other,
};

/// "page_cache", for json, and "a page of the page cache", for a person.
struct WaitWords {
    std::string_view word;
    std::string_view words;
};
const WaitWords& words_of(WaitFor reason);

/// Is a function of the kernel's (its name without what stands behind a dot) one that tells what is waited for?
bool is_wait_function(std::string_view function);

/// The functions that tell, as they lie in the kernel that was traced.
class WaitReasons {
public:
    void add(const iolens_symbol_fact& fact);

    struct Reason {
        WaitFor what = WaitFor::other;
        std::string_view function;  ///< that told; "" where none did. Valid as long as this is
    };
    /// `frames`: addresses, innermost first; 0 ends them.
    [[nodiscard]] Reason find(std::span<const u64> frames) const;

private:
    struct Function {
        u64 end = 0;
        std::string name;
        WaitFor what = WaitFor::other;
        bool vague = false;
    };
    std::map<u64, Function> functions_;  // by their first address
};

}  // namespace iolens
