// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

struct bpf_program;

namespace iolens {

/// The kernel functions that accesses pass through, and those needed to find the file of a bio.
std::vector<std::string_view> vfs_symbols();

/// True for tracepoint programs that substitute for the fault functions: they see only that a fault started.
bool is_seen_fault(const bpf_program* program);

}  // namespace iolens
