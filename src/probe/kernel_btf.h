// SPDX-License-Identifier: Apache-2.0
// BTF as sysfs has it: the kernel's and its modules'.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

inline constexpr const char* kernel_btf_path = "/sys/kernel/btf/vmlinux";

/// A file of BTF in memory. Both sections are empty where it can't be read, or is damaged.
class BtfFile {
public:
    explicit BtfFile(const std::string& path);
    [[nodiscard]] std::span<const std::byte> types() const { return types_; }
    /// One behind the other, a NUL after each; the first one is empty.
    [[nodiscard]] std::string_view strings() const { return strings_; }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::span<const std::byte> types_;
    std::string_view strings_;
};

/// The running kernel's. Read when it is needed, and kept while anybody holds it: 6 to 10 MB, which the kernel hands
/// out a page at a time. Whoever attaches several probes holds it meanwhile. From one thread at a time.
std::shared_ptr<const BtfFile> kernel_btf();

/// The names in the running kernel's BTF. Holds it.
class KernelNames {
public:
    /// Of a program's section: "tp_btf/block_rq_issue".
    [[nodiscard]] bool has_tracepoint(std::string_view section) const;
    [[nodiscard]] bool has(std::string_view name) const;

private:
    std::shared_ptr<const BtfFile> btf_ = kernel_btf();
};

}  // namespace iolens
