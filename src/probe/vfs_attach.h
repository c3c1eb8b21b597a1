// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "probe/vfs.h"

struct bpf_program;

namespace iolens {

/// IOLENS_PROBE=fentry, kprobe or syscalls forces a way to attach to kernel functions, for tests: false for the others.
bool may_try(AttachMode mode);

/// True if the kernel has kprobes.
bool has_kprobes();
inline constexpr std::string_view no_kprobes = "not supported by this kernel";

/// The kernel functions that accesses pass through, and those needed to find the file of a bio.
std::vector<std::string_view> vfs_symbols();

/// True for tracepoint programs that substitute for the fault functions: they see only that a fault started.
bool is_seen_fault(const bpf_program* program);

}  // namespace iolens
