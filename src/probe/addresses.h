// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

/// The addresses of some of the kernel's symbols.
class KernelAddresses {
public:
    KernelAddresses() = default;
    /// Queries the kernel with a BPF program, where it has a sorted list of names (6.2) and they are at most
    /// IOLENS_SYMBOL_QUERIES; else reads /proc/kallsyms, which takes some 50 ms. All are 0 where addresses are hidden.
    explicit KernelAddresses(std::span<const std::string_view> names);

    /// 0 where there is none, or it was not among the names.
    [[nodiscard]] u64 of(std::string_view name) const;

    /// Is none of them known?
    [[nodiscard]] bool hidden() const;

private:
    std::map<std::string, u64, std::less<>> addresses_;
};

}  // namespace iolens
