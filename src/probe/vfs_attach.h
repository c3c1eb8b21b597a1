// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

struct bpf_program;

namespace iolens {

/// The functions of the kernel's own that accesses pass, and what finding the file of a bio needs.
std::vector<std::string_view> vfs_symbols();

/// Tracepoints that stand for the functions of faults: that they began.
bool is_seen_fault(const bpf_program* program);

}  // namespace iolens
