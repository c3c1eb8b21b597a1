/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The user's filters. `keep` is constant when the program is verified, so what isn't asked for is no code. */
#ifndef IOLENS_LIB_KEEP_BPF_H
#define IOLENS_LIB_KEEP_BPF_H

#include "lib/compat/base.bpf.h"

#include "iolens/keep.h"

const volatile struct iolens_keep keep = {};

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} keep_cgroup SEC(".maps");

/* Is the running task one that the user asked for? */
static __always_inline bool keep_task(__u32 tgid, __u32 tid, const __u8 *comm)
{
	for (int i = 0; i < IOLENS_KEEP_SELF; i++) {
		if (keep.self[i] && tgid == keep.self[i])
			return false;
	}
	if (keep.pid_count) {
		bool found = false;

		for (int i = 0; i < IOLENS_KEEP_PIDS; i++) {
			if ((__u32)i < keep.pid_count && keep.pids[i] == tgid)
				found = true;
		}
		if (!found)
			return false;
	}
	if (keep.by_tid && keep.tid != tid)
		return false;
	if (keep.by_uid && keep.uid != (__u32)bpf_get_current_uid_gid())
		return false;
	if (keep.by_comm) {
		for (int i = 0; i < IOLENS_COMM_LEN; i++) {
			if (keep.comm[i] != comm[i])
				return false;
			if (!comm[i])
				break;
		}
	}
	if (keep.by_cgroup && bpf_current_task_under_cgroup(&keep_cgroup, 0) != 1)
		return false;
	return true;
}

#endif
