// SPDX-License-Identifier: Apache-2.0
// May this process trace, and what does it have to keep for that?
#pragma once

#include "iolens/event/header.h"

namespace iolens {

/// Throws Failure (unavailable) with the remedy where this process or this kernel can't trace.
void require_tracing();

/// The process's effective capabilities allow BPF tracing: CAP_SYS_ADMIN, or CAP_BPF and CAP_PERFMON.
bool may_trace();

/// lockdown=confidentiality forbids BPF programs to read kernel memory (LOCKDOWN_BPF_READ_KERNEL in
/// kernel/trace/bpf_trace.c). Tries to load such a program, since securityfs is often not mounted; needs may_trace().
bool lockdown_forbids_reads();

/// What it takes to read a map of ours that is open, a bit each: before 5.19 (c8644cd0efe7), with unprivileged BPF
/// switched off, CAP_BPF.
u64 capabilities_to_read_maps();

/// What it takes to attach further probes: CAP_SYS_ADMIN for the types of modules, CAP_SYS_RESOURCE before 5.11 for
/// locked memory.
u64 capabilities_to_attach();

}  // namespace iolens
