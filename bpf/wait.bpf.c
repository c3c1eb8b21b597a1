/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When the threads of followed processes do not run, and where in the kernel they wait; or those of all processes,
 * except kernel threads and iolens. BTF tracepoints only; the maps
 * `followed` and `ring` are shared with bpf/syscall.bpf.c.
 */
#include "lib/compat/base.bpf.h"
#include "lib/compat/task.bpf.h"
#include "lib/kernel.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"

#include "iolens/event/wait.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Shared with bpf/syscall.bpf.c. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u8);
} followed SEC(".maps");

/* By tid: threads that do not run. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* set before load */
	__type(key, __u32);
	__type(value, struct iolens_wait_event);
} waiting SEC(".maps");

const volatile __u64 min_ns = 10000; /* shorter waits are not emitted */
const volatile __u8 follow = 0;      /* only the processes in `followed` */
const volatile __u32 own_tgid = 0;   /* iolens, in own_pidns */

static __always_inline bool wait_wanted(struct task_struct *task)
{
	__u32 tgid;

	if (!follow && (!task->pid || (task->flags & PF_KTHREAD)))
		return false;
	tgid = task_tgid(bpf_get_current_task(), task->tgid);
	return follow ? bpf_map_lookup_elem(&followed, &tgid) != 0 : tgid != own_tgid;
}

/* The running task is switched out. The stack is still its own: this runs before the switch. */
static __always_inline int on_switch(__u64 *ctx)
{
	bool preempted = ctx[0];
	struct task_struct *from = (struct task_struct *)ctx[1], *to = (struct task_struct *)ctx[2];
	__u32 tid = from->pid;
	struct iolens_wait_event fresh = {}, *over;
	struct iolens_counters *n;
	__u64 now, id;

	if (wait_wanted(from)) {
		id = task_id();
		fresh.start = bpf_ktime_get_boot_ns();
		fresh.tid = tid;
		fresh.tgid = from->tgid;
		fresh.shown_tid = (__u32)id;
		fresh.shown_tgid = id >> 32;
		if (preempted || !compat_task_state(from))
			fresh.woken = fresh.start; /* still runnable: there will be no wakeup */
		bpf_get_stack(ctx, fresh.frames, sizeof(fresh.frames), 0);
		if (bpf_map_update_elem(&waiting, &tid, &fresh, BPF_ANY) && (n = ring_counters()))
			ring_count(n, state_full);
	}
	tid = to->pid;
	over = bpf_map_lookup_elem(&waiting, &tid);
	if (!over)
		return 0;
	now = bpf_ktime_get_boot_ns();
	if (now - over->start >= min_ns && (n = ring_counters())) {
		over->h.ts = now;
		ring_count(n, seen);
		ring_send_often(n, &over->h, IOLENS_KIND_WAIT, sizeof(*over));
	}
	bpf_map_delete_elem(&waiting, &tid);
	return 0;
}

PROGRAM("sched_switch", iolens_wait_switch, on_switch(ctx))

/* Runs in the context of the waker. */
static __always_inline int on_waking(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	__u32 tid = task->pid;
	struct iolens_wait_event *wait = bpf_map_lookup_elem(&waiting, &tid);

	if (wait && !wait->woken)
		wait->woken = bpf_ktime_get_boot_ns();
	return 0;
}

PROGRAM("sched_waking", iolens_wait_waking, on_waking(ctx))

/* A thread that exits is not switched to again. */
static __always_inline int on_wait_exit(__u64 *ctx)
{
	__u32 tid = ((struct task_struct *)ctx[0])->pid;

	bpf_map_delete_elem(&waiting, &tid);
	return 0;
}

PROGRAM("sched_process_free", iolens_wait_exit, on_wait_exit(ctx))
