// SPDX-License-Identifier: Apache-2.0
// Checks whether this process may trace, and which capabilities it has to retain.
#pragma once

#include "iolens/event/header.h"

namespace iolens {

/// Throws Failure (unavailable) with the remedy if this process or this kernel can't trace.
void require_tracing();

/// The process's effective capabilities allow BPF tracing: CAP_SYS_ADMIN, or CAP_BPF and CAP_PERFMON.
bool may_trace();

/// lockdown=confidentiality forbids BPF programs to read kernel memory (LOCKDOWN_BPF_READ_KERNEL in
/// kernel/trace/bpf_trace.c). Tries to load such a program, since securityfs is often not mounted; needs may_trace().
bool lockdown_forbids_reads();

/// The capabilities needed to read one of our open maps, a bit each: before 5.19 (c8644cd0efe7), with unprivileged BPF
/// disabled, CAP_BPF.
u64 capabilities_to_read_maps();

/// The capabilities needed to attach further probes: CAP_SYS_ADMIN for module types, CAP_SYS_RESOURCE before 5.11 for
/// locked memory.
u64 capabilities_to_attach();

}  // namespace iolens
