// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// The kernel's functions, and what data it lists, with their addresses, of /proc/kallsyms.
class KernelSymbols {
public:
    /// Reads all of it: some 50 ms. Empty where the addresses are hidden (kptr_restrict, no CAP_SYSLOG). With `wanted`,
    /// only these names are kept.
    explicit KernelSymbols(const std::string& path = "/proc/kallsyms", std::span<const std::string_view> wanted = {});

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
        u32 at = 0;  ///< of its name, in `names_`
        u32 length = 0;
    };
    [[nodiscard]] std::string_view name_of(const Symbol& symbol) const;

    std::string names_;
    std::vector<Symbol> all_;
};

/// Functions at made-up addresses, which keep the offsets in them: what may leave this machine of addresses.
class HiddenFunctions {
public:
    explicit HiddenFunctions(std::vector<KernelSymbols::Function> functions);

    /// By their made-up addresses. The names are those of the symbols, and valid as long.
    [[nodiscard]] std::vector<KernelSymbols::Function> functions() const;
    /// The made-up address of a return address in one of the functions; of another one 1, and 0 of 0.
    [[nodiscard]] u64 hide(u64 address) const;

private:
    std::vector<KernelSymbols::Function> functions_;  // by their addresses
};

/// Are the kernel's addresses hidden from us (kptr_restrict, no CAP_SYSLOG)?
bool kernel_addresses_hidden(const std::string& path = "/proc/kallsyms");

/// What that costs.
inline constexpr std::string_view no_direct_files =
    "direct I/O is not attributed to files: /proc/kallsyms hides addresses (CAP_SYSLOG, kernel.kptr_restrict)";

}  // namespace iolens
