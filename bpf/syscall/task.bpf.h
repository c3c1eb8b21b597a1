/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Threads of calls. */
#ifndef IOLENS_SYSCALL_TASK_BPF_H
#define IOLENS_SYSCALL_TASK_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"

#include "iolens/event/header.h"
#include "iolens/event/loss.h"
#include "iolens/event/task.h"

/* Sends name and owner of a thread. `id` is its task_id(), `host` its IDs in the initial namespace; `flags` are of
 * enum iolens_task_flag. */
static __always_inline void call_emit_thread(__u64 id, __u64 host, __u32 flags)
{
	struct iolens_counters *n;
	struct iolens_task_fact fact = {};

	fact.h.ts = bpf_ktime_get_boot_ns();
	fact.h.kind = IOLENS_KIND_TASK;
	fact.h.size = sizeof(fact);
	fact.h.cpu = bpf_get_smp_processor_id();
	fact.tgid = id >> 32;
	fact.tid = (__u32)id;
	if (own_pidns.level) {
		fact.host_tgid = host >> 32;
		fact.host_tid = (__u32)host;
	}
	fact.uid = (__u32)bpf_get_current_uid_gid();
	fact.flags = flags;
	fact.cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(fact.comm, sizeof(fact.comm));
	if (!ring_put(&fact, sizeof(fact)) && (n = ring_counters()))
		ring_count(n, fact_lost);
}

static __always_inline void call_count_process(void)
{
	struct iolens_counters *n = ring_counters();

	if (n)
		ring_count(n, not_followed);
}

#endif
