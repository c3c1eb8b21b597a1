/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The user's filters: written once, before load, into the BPF programs' read-only data. A zero field means "all". The
 * verifier removes the code of filters that are not set, so an unused filter costs nothing.
 */
#ifndef IOLENS_FILTER_H
#define IOLENS_FILTER_H

#include "iolens/event/header.h"

#define IOLENS_FILTER_PIDS 16
#define IOLENS_FILTER_SELF 8

struct iolens_filter {
	/* the task that submits the operation */
	u32 pids[IOLENS_FILTER_PIDS]; /* process IDs (tgid); the first pid_count are valid */
	u32 pid_count;
	u32 tid;
	u32 uid;
	u8 by_tid;
	u8 by_uid;
	u8 by_comm;
	u8 by_cgroup; /* the map `filter_cgroup` holds the cgroup; its descendants match too */
	u8 comm[IOLENS_COMM_LEN];
	u32 self[IOLENS_FILTER_SELF]; /* processes that are left out: iolens, and who takes its rows; 0: none */
	/* of the operation */
	u32 ops;          /* bit (1 << op) set: wanted; of enum iolens_op (block) or enum iolens_vfs_op (file) */
	u64 min_ns;       /* shortest device time */
	u32 dev;          /* whole disk, the kernel's dev_t */
	u32 part_dev;     /* partition, for operations without a sector; 0: not selected */
	u64 sector_first; /* first 512-byte sector of a partition on its disk … */
	u64 sector_end;   /* … and the first one past its end; 0: no limit */
	u8 by_dev;
	u8 reserved[7];
};

/* For both sides. Must be inlined in BPF: `filter` is constant there, so the verifier can remove dead code. */
#define IOLENS_BOTH_SIDES static inline __attribute__((always_inline))

/* Is any task filter set? If so, an operation with an unknown submitter does not match. */
IOLENS_BOTH_SIDES u8 iolens_filter_by_task(const volatile struct iolens_filter *filter)
{
	return filter->pid_count || filter->by_tid || filter->by_uid || filter->by_comm || filter->by_cgroup;
}

#endif
