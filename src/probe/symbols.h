// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// The kernel's functions and listed data symbols with their addresses, from /proc/kallsyms.
class KernelSymbols {
public:
    /// Reads all of it: some 50 ms. Empty if addresses are hidden (kptr_restrict, no CAP_SYSLOG). With `wanted`, only
    /// these names are stored.
    explicit KernelSymbols(const std::string& path = "/proc/kallsyms", std::span<const std::string_view> wanted = {});

    /// 0 if there is none, or more than one of that name.
    [[nodiscard]] u64 address(std::string_view name) const;
    /// "" if no symbol starts there.
    [[nodiscard]] std::string_view name(u64 address) const;

    struct Function {
        u64 start = 0;
        u64 end = 0;  ///< start of the next one
        std::string_view name;
    };
    /// All functions with these names, including compiler-generated suffixes after a dot (".isra.0").
    [[nodiscard]] std::vector<Function> functions(const std::function<bool(std::string_view)>& wanted) const;

private:
    struct Symbol {
        u64 address = 0;
        u32 at = 0;  ///< offset of its name in `names_`
        u32 length = 0;
    };
    [[nodiscard]] std::string_view name_of(const Symbol& symbol) const;

    std::string names_;
    std::vector<Symbol> all_;
};

/// Functions at made-up addresses that preserve the offsets within them: the only address information that may leave
/// this machine.
class HiddenFunctions {
public:
    explicit HiddenFunctions(std::vector<KernelSymbols::Function> functions);

    /// By their made-up addresses. The names belong to the symbols and are valid as long as these.
    [[nodiscard]] std::vector<KernelSymbols::Function> functions() const;
    /// Maps a return address in one of the functions to its made-up address; any other address to 1, and 0 to 0.
    [[nodiscard]] u64 hide(u64 address) const;

private:
    std::vector<KernelSymbols::Function> functions_;  // sorted by address
};

/// True if the kernel's addresses are hidden from us (kptr_restrict, no CAP_SYSLOG).
bool kernel_addresses_hidden(const std::string& path = "/proc/kallsyms");

/// Describes what is missing in that case.
inline constexpr std::string_view no_direct_files =
    "direct I/O is not attributed to files: /proc/kallsyms hides addresses (CAP_SYSLOG, kernel.kptr_restrict)";

}  // namespace iolens
