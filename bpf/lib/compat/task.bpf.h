/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: tasks, kernel threads and pids. */
#ifndef IOLENS_LIB_COMPAT_TASK_BPF_H
#define IOLENS_LIB_COMPAT_TASK_BPF_H

#include "lib/compat/base.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct signal_struct___live {
	struct {
		int counter;
	} live;
};
struct task_struct___signal {
	struct signal_struct___live *signal;
};
struct upid___numbers {
	int nr;
	struct pid_namespace *ns;
};
struct pid___numbers { /* `numbers` has an entry for each level, from 0; 6.5 made it a flexible array (b69f0aeb0689) */
	unsigned int level;
	struct upid___numbers numbers[1];
};
struct task_struct___pid {
	struct pid___numbers *thread_pid;
};
struct signal_struct___pids {
	struct pid___numbers *pids[4]; /* by enum pid_type */
};
struct task_struct___pids {
	struct signal_struct___pids *signal;
};

struct task_struct___state {
	long state;
};
struct task_struct___new {
	unsigned int __state;
};
struct task_struct___set_child_tid {
	int *set_child_tid;
};

#pragma clang attribute pop

struct pid_namespace;

/* For a typed pointer: TASK_RUNNING is 0. 5.14 renamed task_struct.state and made it 32 bits wide (2f064a59a11f). */
static __always_inline __u64 compat_task_state(struct task_struct *task)
{
	__u64 state;

	if (bpf_core_field_exists(struct task_struct___new, __state)) {
		state = ((struct task_struct___new *)task)->__state;
		barrier_var(state); /* keeps clang from merging the two loads */
	} else {
		state = ((struct task_struct___state *)task)->state;
		barrier_var(state);
	}
	return state;
}

/* struct kthread of a kernel thread: 5.17 moved the pointer from set_child_tid to worker_private (e32cf5dfbe22). */
static __always_inline struct kthread *compat_kthread(struct task_struct *task)
{
	if (bpf_core_field_exists(struct task_struct, worker_private))
		return (struct kthread *)BPF_CORE_READ(task, worker_private);
	return (struct kthread *)BPF_CORE_READ((struct task_struct___set_child_tid *)task, set_child_tid);
}

/*
 * Pids in namespaces. A task has a struct pid for its thread and one for its process, each with a number per namespace
 * from the initial one, level 0, down to its own. Both are NULL once the task is reaped.
 */
static __always_inline struct pid___numbers *compat_thread_pid(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___pid *)task, thread_pid);
}
static __always_inline struct pid___numbers *compat_process_pid(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___pids *)task, signal, pids[1]); /* PIDTYPE_TGID */
}

/* The number of a struct pid at a level. */
static __always_inline struct upid___numbers *compat_upid(struct pid___numbers *pid, __u32 level)
{
	return (void *)pid + bpf_core_field_offset(struct pid___numbers, numbers) +
	       level * bpf_core_type_size(struct upid___numbers);
}

/* The number of a struct pid in a namespace of this level; 0: not visible there. */
static __always_inline __u32 compat_pid_in(struct pid___numbers *pid, __u32 level, __u64 ns)
{
	struct upid___numbers *upid;

	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	upid = compat_upid(pid, level);
	return (__u64)BPF_CORE_READ(upid, ns) == ns ? BPF_CORE_READ(upid, nr) : 0;
}

/* The pid namespace of a task. */
static __always_inline void compat_active_pidns(struct task_struct *task, __u64 *ns, __u32 *level)
{
	struct pid___numbers *pid = compat_thread_pid(task);

	*level = BPF_CORE_READ(pid, level);
	*ns = (__u64)BPF_CORE_READ(compat_upid(pid, *level), ns);
}

/* Is this the last thread of its process to exit? do_exit() has already decremented the count. */
static __always_inline bool compat_last_thread(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___signal *)task, signal, live.counter) == 0;
}

#endif
