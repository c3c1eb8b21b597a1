// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

/// Addresses of selected kernel symbols.
class KernelAddresses {
public:
    KernelAddresses() = default;
    /// Queries the kernel with a BPF program if it has a sorted list of names (6.2) and there are at most
    /// IOLENS_SYMBOL_QUERIES names; otherwise reads /proc/kallsyms, which takes some 50 ms. All are 0 if addresses are
    /// hidden.
    explicit KernelAddresses(std::span<const std::string_view> names);

    /// 0 if there is no such symbol, or it was not among the names.
    [[nodiscard]] u64 of(std::string_view name) const;

    /// True if none of the addresses is known.
    [[nodiscard]] bool hidden() const;

private:
    std::map<std::string, u64, std::less<>> addresses_;
};

}  // namespace iolens
