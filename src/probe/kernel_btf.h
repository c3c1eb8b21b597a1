// SPDX-License-Identifier: Apache-2.0
// BTF from sysfs: the kernel's and its modules'.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

inline constexpr const char* kernel_btf_path = "/sys/kernel/btf/vmlinux";

/// A BTF file in memory. Both sections are empty if it can't be read or is damaged.
class BtfFile {
public:
    explicit BtfFile(const std::string& path);
    [[nodiscard]] std::span<const std::byte> types() const { return types_; }
    /// Strings, each terminated by NUL; the first one is empty.
    [[nodiscard]] std::string_view strings() const { return strings_; }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::span<const std::byte> types_;
    std::string_view strings_;
};

/// The running kernel's BTF. It is read on first use and stays loaded as long as there is a reference: 6 to 10 MB,
/// which the kernel copies out page by page. Hold a reference while attaching several probes. Not thread-safe.
std::shared_ptr<const BtfFile> kernel_btf();

/// The names in the running kernel's BTF. Holds a reference to it.
class KernelNames {
public:
    /// Takes a program's section name: "tp_btf/block_rq_issue".
    [[nodiscard]] bool has_tracepoint(std::string_view section) const;
    [[nodiscard]] bool has(std::string_view name) const;

private:
    std::shared_ptr<const BtfFile> btf_ = kernel_btf();
};

}  // namespace iolens
