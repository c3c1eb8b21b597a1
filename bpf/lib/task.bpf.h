/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The running task. */
#ifndef IOLENS_LIB_TASK_BPF_H
#define IOLENS_LIB_TASK_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/task.bpf.h"

#include "iolens/pidns.h"

/*
 * The pid namespace of iolens. In the initial one, level 0, a task's IDs need no translation, and the verifier removes
 * the code for other namespaces.
 *
 * Filters and output use IDs of this namespace: task_id(). A task outside of it has none, hence 0; map keys that must
 * distinguish such tasks use IDs of the initial namespace: task_host_id().
 */
const volatile struct iolens_pidns own_pidns = {};

/* IDs of a task in that namespace, which is not the initial one: tgid << 32 | tid; 0: the task is outside of it. A
 * global function, which the verifier checks once: its argument must be a number. */
__noinline __u64 task_ids_in_pidns(__u64 address)
{
	struct task_struct *task = (struct task_struct *)address;
	__u32 tid = compat_pid_in(compat_thread_pid(task), own_pidns.level, own_pidns.address), tgid = tid;

	if (tid && BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		tgid = compat_pid_in(compat_process_pid(task), own_pidns.level, own_pidns.address);
	return (__u64)tgid << 32 | tid;
}

/* IDs of the running thread. */
static __always_inline __u64 task_id(void)
{
	return own_pidns.level ? task_ids_in_pidns(bpf_get_current_task()) : bpf_get_current_pid_tgid();
}

/* Process ID of a task; `host` is its ID in the initial namespace. */
static __always_inline __u32 task_tgid(__u64 address, __u32 host)
{
	return own_pidns.level ? task_ids_in_pidns(address) >> 32 : host;
}

/* IDs of the running thread in the initial namespace; `id` is its task_id(). */
static __always_inline __u64 task_host_id(__u64 id)
{
	return own_pidns.level ? bpf_get_current_pid_tgid() : id;
}

/* Stores the IDs in the initial namespace in a record if they may differ from its `tgid` and `tid`. */
#define task_put_host_ids(e)                                                        \
	do {                                                                        \
		if (own_pidns.level) {                                              \
			__u64 host_ = bpf_get_current_pid_tgid();                   \
                                                                                    \
			(e)->host_tgid = host_ >> 32;                               \
			(e)->host_tid = (__u32)host_;                               \
		}                                                                   \
	} while (0)

/*
 * A bio that blk-throttle delayed (cgroup io.max) is resubmitted by a kernel worker of the “kthrotld” workqueue, and
 * only then reaches block_bio_queue: the running task is not the submitter. `comm` is that of the running task.
 */
static __always_inline bool task_is_throttle_worker(const __u8 *comm)
{
	struct task_struct *task;
	struct worker *worker;
	struct workqueue_struct *wq;
	char name[9] = {};

	if (comm[0] != 'k' || comm[1] != 'w') /* kworker/…: skip the lookups below for all other tasks */
		return false;
	task = (struct task_struct *)bpf_get_current_task();
	if (!(BPF_CORE_READ(task, flags) & PF_WQ_WORKER))
		return false;
	worker = BPF_CORE_READ(compat_kthread(task), data);
	wq = BPF_CORE_READ(worker, current_pwq, wq);
	if (!wq)
		return false;
	bpf_probe_read_kernel_str(name, sizeof(name), (void *)wq + bpf_core_field_offset(wq->name));
	return *(__u64 *)name == *(__u64 *)"kthrotld";
}

/* The running thread's name; of a worker of io_uring's ("iou-wrk-123") that of the process that it works for. */
static __always_inline void task_process_comm(__u8 *comm)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	__builtin_memset(comm, 0, IOLENS_COMM_LEN); /* behind a shorter name would stand what was there before */
	if (BPF_CORE_READ(task, flags) & PF_IO_WORKER)
		BPF_CORE_READ_STR_INTO((char (*)[IOLENS_COMM_LEN])comm, task, group_leader, comm);
	else
		bpf_get_current_comm(comm, IOLENS_COMM_LEN);
}

#endif
