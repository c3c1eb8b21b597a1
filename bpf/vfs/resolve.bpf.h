/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Resolves a file in the kernel. */
#ifndef IOLENS_VFS_RESOLVE_BPF_H
#define IOLENS_VFS_RESOLVE_BPF_H

#include "lib/compat/base.bpf.h"

#include "iolens/watch.h"

/* Not attached: run by user space with one of its own fds (BPF_PROG_TEST_RUN, 5.10), to get the file's identity and
 * functions: stat does not always return the kernel's device and inode numbers, and never the functions. */
struct iolens_resolved resolved = {};
static const char symbol_format[] = "%ps";

#endif
