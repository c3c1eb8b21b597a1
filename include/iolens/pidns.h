/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pid namespace of iolens: written once, before load, into the BPF programs' read-only data. Every pid that the
 * user passes or sees belongs to this namespace.
 */
#ifndef IOLENS_PIDNS_H
#define IOLENS_PIDNS_H

#include "iolens/event/header.h"

struct iolens_pidns {
	u64 address; /* of struct pid_namespace */
	u32 level;   /* 0: the initial namespace, where pids need no translation */
	u32 reserved;
};

#endif
