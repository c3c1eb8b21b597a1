/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is running. */
#ifndef IOLENS_LIB_TASK_BPF_H
#define IOLENS_LIB_TASK_BPF_H

#include "compat.bpf.h"

/*
 * A bio that blk-throttle held back (cgroup io.max) is submitted a second time, by a kernel worker of the “kthrotld”
 * queue, and only then passes block_bio_queue: the running task isn't its creator. `comm` is the running task's.
 */
static __always_inline bool task_is_throttle_worker(const __u8 *comm)
{
	struct task_struct *task;
	struct worker *worker;
	struct workqueue_struct *wq;
	char name[9] = {};

	if (comm[0] != 'k' || comm[1] != 'w') /* kworker/…: nobody else pays for the look */
		return false;
	task = (struct task_struct *)bpf_get_current_task();
	if (!(BPF_CORE_READ(task, flags) & 0x20)) /* PF_WQ_WORKER */
		return false;
	worker = BPF_CORE_READ(compat_kthread(task), data);
	wq = BPF_CORE_READ(worker, current_pwq, wq);
	if (!wq)
		return false;
	bpf_probe_read_kernel_str(name, sizeof(name), (void *)wq + bpf_core_field_offset(wq->name));
	return *(__u64 *)name == *(__u64 *)"kthrotld";
}

#define TASK_IO_WORKER 0x10 /* PF_IO_WORKER */

/* The running thread's name; of a worker of io_uring's ("iou-wrk-123") that of the process that it works for. */
static __always_inline void task_process_comm(__u8 *comm)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (BPF_CORE_READ(task, flags) & TASK_IO_WORKER)
		BPF_CORE_READ_STR_INTO((char (*)[IOLENS_COMM_LEN])comm, task, group_leader, comm);
	else
		bpf_get_current_comm(comm, IOLENS_COMM_LEN);
}

#endif
