/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Totals of block requests that the BPF programs keep themselves, when nobody reads rows: the BPF map `totals`. */
#ifndef IOLENS_BLOCK_TOTALS_H
#define IOLENS_BLOCK_TOTALS_H

#include "iolens/event/file.h"
#include "iolens/event/header.h"

/* Buckets of times in ns, those of Buckets<5> in src/stats/histogram.h: a bucket is at most 1/32 of its values wide. Longer
 * times (18 minutes) count in the last one. */
#define IOLENS_TIME_SUB_BITS 5
#define IOLENS_TIME_BITS 40
#define IOLENS_TIME_BUCKETS ((IOLENS_TIME_BITS - IOLENS_TIME_SUB_BITS + 1) << IOLENS_TIME_SUB_BITS)

/* Powers of two in µs, those of Log2Histogram in src/stats/log2.h. */
#define IOLENS_LOG2_SLOTS 32

enum iolens_totals_log2 {
	IOLENS_LOG2_NONE,
	IOLENS_LOG2_DEVICE,
	IOLENS_LOG2_BOTH, /* queue and device */
	IOLENS_LOG2_EACH, /* device, and queue in log2_queue; a slot includes its end: above 2 and up to 4 µs */
};

/* dev 0 is for the disks that found no place in the map. */
struct iolens_totals_key {
	u32 dev; /* whole disk, the kernel's dev_t */
	u8 op;   /* enum iolens_block_op */
	u8 reserved[3];
};

/* Of one CPU, since the start. The buckets may wrap around: what counts is how much one has grown. */
struct iolens_totals {
	u64 bytes;      /* completed */
	u64 queue_ns;   /* sums, and the longest */
	u64 queue_max;
	u64 device_ns;
	u64 device_max;
	u64 errors;
	u64 requeues;
	u64 no_time;    /* requests without a device time; the others are in `device` */
	u32 queue[IOLENS_TIME_BUCKETS];
	u32 device[IOLENS_TIME_BUCKETS];
	u32 log2[IOLENS_LOG2_SLOTS]; /* only if wanted */
	u32 log2_queue[IOLENS_LOG2_SLOTS];
};

/* What requests are also added up by. */
enum iolens_group {
	IOLENS_GROUP_CGROUP, /* of the submitter; of writeback: of the process that dirtied the pages */
	IOLENS_GROUP_TARGET, /* the file, or what else the first bio is for */
	IOLENS_GROUPS
};

/* All zero but `group`: what found no place in the map. */
struct iolens_group_key {
	u64 id; /* of the cgroup, or of the file's path: iolens_block_target.name_id */
	struct iolens_file_id file;
	u8 group;  /* enum iolens_group */
	u8 kind;   /* enum iolens_target_kind */
	u8 source; /* enum iolens_target_source */
	u8 known;  /* 1: not the key of what found no place */
	u8 reserved[4];
};

/* Of one CPU; [0]: reads, [1]: all others. */
struct iolens_group_totals {
	u64 requests[2];
	u64 bytes[2];
	u64 device_ns;
};

#endif
