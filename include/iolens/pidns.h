/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pid namespace that iolens runs in: written once, before load, into the BPF programs' read-only data. Every pid that
 * a user names or sees is one of this namespace.
 */
#ifndef IOLENS_PIDNS_H
#define IOLENS_PIDNS_H

#include "iolens/event/header.h"

struct iolens_pidns {
	u64 address; /* of its struct pid_namespace */
	u32 level;   /* 0: the initial one, whose pids are the kernel's own */
	u32 reserved;
};

#endif
