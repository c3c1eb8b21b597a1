/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A file as the kernel has it. */
#ifndef IOLENS_VFS_RESOLVE_BPF_H
#define IOLENS_VFS_RESOLVE_BPF_H

#include "lib/compat/base.bpf.h"

#include "iolens/watch.h"

/* Not attached: user space runs it with an fd of its own (BPF_PROG_TEST_RUN, 5.10), to learn what the kernel says of the
 * file: what stat says of device and inode isn't always that, and of its functions it says nothing. */
struct iolens_resolved resolved = {};
static const char symbol_format[] = "%ps";

#endif
