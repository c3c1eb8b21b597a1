// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "iolens/event/header.h"

struct bpf_program;

namespace iolens {

/// The libc function that a program is for.
std::string_view libc_name(const bpf_program* program);

/// BPF_TRACE_UPROBE_MULTI of include/uapi/linux/bpf.h, from 6.6; our headers may be older.
inline constexpr u32 attach_many_uprobes = 48;

}  // namespace iolens
