/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The user's filters: written once, before load, into the BPF programs' read-only data; the only thing that
 * flows from user space to the kernel. A zero field means "all". The verifier drops the tests of what is not asked
 * for, so an unused filter costs nothing.
 */
#ifndef IOLENS_FILTER_H
#define IOLENS_FILTER_H

#include "iolens/event/header.h"

#define IOLENS_FILTER_PIDS 16
#define IOLENS_FILTER_SELF 8

struct iolens_filter {
	/* of the task that creates the operation */
	u32 pids[IOLENS_FILTER_PIDS]; /* process ids (tgid), the first pid_count of them */
	u32 pid_count;
	u32 tid;
	u32 uid;
	u8 by_tid;
	u8 by_uid;
	u8 by_comm;
	u8 by_cgroup; /* the map `filter_cgroup` holds the cgroup; its descendants count too */
	u8 comm[IOLENS_COMM_LEN];
	u32 self[IOLENS_FILTER_SELF]; /* processes that are left out: iolens, and who takes its rows; 0: none */
	/* of the operation */
	u32 ops;          /* bit (1 << op) set: wanted; of enum iolens_op (block) or enum iolens_vfs_op (file) */
	u64 min_ns;       /* shortest device time */
	u32 dev;          /* whole disk, the kernel's dev_t */
	u32 part_dev;     /* partition, for operations without a sector; 0: none was asked for */
	u64 sector_first; /* a partition's first 512-byte sector on its disk … */
	u64 sector_end;   /* … and the one after its last; 0: no limit */
	u8 by_dev;
	u8 reserved[7];
};

/* For both sides. In the kernel `filter` is constant: it has to be inlined there, for the verifier to know that. */
#define IOLENS_BOTH_SIDES static inline __attribute__((always_inline))

/* Is a filter on tasks set? Then an operation whose creator wasn't seen is not one of theirs. */
IOLENS_BOTH_SIDES u8 iolens_filter_by_task(const volatile struct iolens_filter *filter)
{
	return filter->pid_count || filter->by_tid || filter->by_uid || filter->by_comm || filter->by_cgroup;
}

#endif
