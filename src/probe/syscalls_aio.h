// SPDX-License-Identifier: Apache-2.0
// The programs that see libaio complete a read or write: at a kernel function, so that they are optional.
#pragma once

#include <string_view>
#include <vector>

#include "probe/bpf.h"
#include "probe/vfs.h"

struct bpf_program;

namespace iolens {

inline constexpr std::string_view completion_function = "aio_complete_rw";

/// True for both variants: fentry and kprobe.
bool is_completion(const bpf_program* program);

/// How this variant is attached.
AttachMode completion_mode(const bpf_program* program);

/// Removes both from the results of loading the programs of bpf/syscall.bpf.c. Returns the one that is used, or what
/// is used instead; the others are appended to `others`.
ProbeStatus take_completion(std::vector<ProbeStatus>& statuses, std::vector<ProbeStatus>& others);

}  // namespace iolens
