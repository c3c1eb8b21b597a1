/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The user's filters. `filter` is constant at verification, so filters that are not set are dead code. */
#ifndef IOLENS_LIB_FILTER_BPF_H
#define IOLENS_LIB_FILTER_BPF_H

#include "lib/compat/base.bpf.h"

#include "iolens/filter.h"

const volatile struct iolens_filter filter = {};

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} filter_cgroup SEC(".maps");

/* Does the running task match the filters? */
static __always_inline bool filter_task(__u32 tgid, __u32 tid, const __u8 *comm)
{
	for (int i = 0; i < IOLENS_FILTER_SELF; i++) {
		if (filter.self[i] && tgid == filter.self[i])
			return false;
	}
	if (filter.pid_count) {
		bool found = false;

		for (int i = 0; i < IOLENS_FILTER_PIDS; i++) {
			if ((__u32)i < filter.pid_count && filter.pids[i] == tgid)
				found = true;
		}
		if (!found)
			return false;
	}
	if (filter.by_tid && filter.tid != tid)
		return false;
	if (filter.by_uid && filter.uid != (__u32)bpf_get_current_uid_gid())
		return false;
	if (filter.by_comm) {
		for (int i = 0; i < IOLENS_COMM_LEN; i++) {
			if (filter.comm[i] != comm[i])
				return false;
			if (!comm[i])
				break;
		}
	}
	if (filter.by_cgroup && bpf_current_task_under_cgroup(&filter_cgroup, 0) != 1)
		return false;
	return true;
}

#endif
