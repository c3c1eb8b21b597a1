// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// The kernel's functions, and what data it lists, with their addresses, of /proc/kallsyms.
class KernelSymbols {
public:
    /// Reads all of it: some 50 ms. Empty where the addresses are hidden (kptr_restrict, no CAP_SYSLOG).
    explicit KernelSymbols(const std::string& path = "/proc/kallsyms");

    /// 0 where there is none, or more than one of that name.
    [[nodiscard]] u64 address(std::string_view name) const;
    /// "" where none begins there.
    [[nodiscard]] std::string_view name(u64 address) const;

    struct Function {
        u64 start = 0;
        u64 end = 0;  ///< where the next one begins
        std::string_view name;
    };
    /// All of these names, also where the compiler has put something behind a dot (".isra.0").
    [[nodiscard]] std::vector<Function> functions(const std::function<bool(std::string_view)>& wanted) const;

private:
    struct Symbol {
        u64 address = 0;
        std::string_view name;
    };
    std::string text_;
    std::vector<Symbol> all_;
};

}  // namespace iolens
