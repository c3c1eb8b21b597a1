// SPDX-License-Identifier: Apache-2.0
// The reason for a thread's wait, from the kernel function that it waits in.
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

/// "page_cache" in JSON, and "a page of the page cache" in text.
struct WaitWords {
    std::string_view word;
    std::string_view words;
};
const WaitWords& words_of(WaitFor reason);

/// True if a kernel function (its name without any suffix after a dot) identifies a wait reason, a page fault or a
/// system call.
bool is_wait_function(std::string_view function);

/// The functions that identify wait reasons, with their addresses in the traced kernel.
class WaitReasons {
public:
    void add(const iolens_symbol_fact& fact);

    struct Reason {
        WaitFor what = WaitFor::other;
        std::string_view function;  ///< that identified the reason; "" if none did. Valid as long as this object
        bool fault = false;         ///< in a page fault of the program itself, not of a system call
    };
    /// `frames`: addresses, innermost first; 0 ends them.
    [[nodiscard]] Reason find(std::span<const u64> frames) const;

private:
    struct Function {
        u64 end = 0;
        std::string name;
        WaitFor what = WaitFor::other;
        bool vague = false;
        bool fault = false;
        bool call = false;
    };
    std::map<u64, Function> functions_;  // by start address
};

}  // namespace iolens
