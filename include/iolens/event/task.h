/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Name and owner of a thread: sent before its first operation, again after it is renamed or executes another program,
 * and when it exits.
 */
#ifndef IOLENS_EVENT_TASK_H
#define IOLENS_EVENT_TASK_H

#include "iolens/event/header.h"

enum iolens_task_flag {
	IOLENS_TASK_ENDED = 1 << 0,        /* the thread exits */
	IOLENS_TASK_PROCESS_ENDED = 1 << 1, /* it is the last thread of its process */
};

struct iolens_task_fact {
	struct iolens_header h;
	u64 cgroup_id; /* cgroup v2 id: bpf_get_current_cgroup_id() */
	u32 tgid; /* in the pid namespace of iolens; 0: the task is outside of it */
	u32 tid;
	u32 uid;
	u32 flags; /* enum iolens_task_flag */
	u8 comm[IOLENS_COMM_LEN];
	u32 host_tgid; /* tgid and tid in the initial pid namespace; 0: the same */
	u32 host_tid;
};

#ifdef __cplusplus
#include <type_traits>

namespace iolens {
static_assert(std::has_unique_object_representations_v<iolens_task_fact>);
static_assert(sizeof(iolens_task_fact) % 8 == 0);

/// IDs in the initial pid namespace, which also distinguish tasks outside of ours.
inline u32 host_tgid(const iolens_task_fact& fact) { return fact.host_tid != 0 ? fact.host_tgid : fact.tgid; }
inline u32 host_tid(const iolens_task_fact& fact) { return fact.host_tid != 0 ? fact.host_tid : fact.tid; }
}  // namespace iolens
#endif

#endif
