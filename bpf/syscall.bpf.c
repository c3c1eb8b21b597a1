/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls on file descriptors, from entry to return. BTF tracepoints only: sys_enter and sys_exit see all system
 * calls on every kernel from 5.10, even without kprobes and fentry.
 *
 * A thread is in at most one system call, so its state is created at its first selected call, reused for later ones and
 * deleted when the thread exits. Where the kernel supports it, the state is in task storage, which saves 200 ns per
 * call compared with a hash map. An fd is looked up in the kernel's own table at the start of the call, so fork, dup,
 * SCM_RIGHTS, close-on-exec and files opened before tracing need no bookkeeping.
 *
 * Each program has two variants: plain, for every kernel from 5.10, and direct, for kernels with task storage (5.11,
 * 4cf1bc1f1045) and bpf_rdonly_cast (6.2). User space loads one of each pair.
 */
#include "lib/compat/base.bpf.h"
#include "lib/compat/regs.bpf.h"
#include "lib/compat/uring.bpf.h"
#include "lib/ring.bpf.h"
#include "syscall/aio.bpf.h"
#include "syscall/call.bpf.h"
#include "syscall/exit.bpf.h"
#include "syscall/fork.bpf.h"
#include "syscall/libc.bpf.h"
#include "syscall/requests.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/thread.bpf.h"
#include "syscall/uring.bpf.h"
#include "syscall/uring_refused.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/operation.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Not attached: run by user space (BPF_PROG_TEST_RUN, 5.10) for a request that can no longer be in flight.
 * Arguments: key, start time, and a flag for the record. The record is then in the ring, and counted. Uses this
 * tracepoint because it has enough arguments. */
SEC("raw_tp/signal_generate")
int iolens_request_drop(struct bpf_raw_tracepoint_args *ctx)
{
	struct request_key key = {.owner = ctx->args[0], .which = ctx->args[1]};
	struct iolens_request *request = bpf_map_lookup_elem(&requests, &key), *copy;
	__u32 slot = REQUEST_SLOT_DROP;

	copy = bpf_map_lookup_elem(&request_scratch_slots, &slot);
	if (!request || !copy || request->e.start != ctx->args[2])
		return 0;
	*copy = *request;
	if (bpf_map_delete_elem(&requests, &key))
		return 0;
	multishot_remove(copy, key.owner);
	if (copy->shared) /* they have been sent */
		return 0;
	if (!copy->counted && call_counts(&copy->e))
		ring_count_seen(1);
	copy->e.flags |= (__u16)ctx->args[3];
	request_send_unended(&copy->e);
	return 0;
}

PROGRAM("io_uring_submit_sqe", iolens_uring_submit_sqe, request_uring_submit(compat_uring_submitted(ctx), false))

PROGRAM("io_uring_submit_req", iolens_uring_submit_req, request_uring_submit((struct io_kiocb *)ctx[0], false))

PROGRAM("io_uring_submit_req", iolens_uring_submit_req_direct, request_uring_submit((struct io_kiocb *)ctx[0], true))

PROGRAM("io_uring_req_failed", iolens_uring_req_failed, request_uring_req_failed(ctx, false))

PROGRAM("io_uring_req_failed", iolens_uring_req_failed_direct, request_uring_req_failed(ctx, true))

PROGRAM("io_uring_complete", iolens_uring_complete, request_uring_complete(ctx, false))

PROGRAM("io_uring_complete", iolens_uring_complete_direct, request_uring_complete(ctx, true))

PROGRAM("sys_enter", iolens_call_enter, call_enter_btf(ctx, false))

PROGRAM("sys_enter", iolens_call_enter_direct, call_enter_btf(ctx, true))

SEC("tp/raw_syscalls/sys_enter")
int iolens_perf_enter(struct compat_sys_enter *ctx)
{
	return call_enter_perf(ctx, false);
}

SEC("tp/raw_syscalls/sys_enter")
int iolens_perf_enter_direct(struct compat_sys_enter *ctx)
{
	return call_enter_perf(ctx, true);
}

PROGRAM("sys_exit", iolens_call_exit, call_exit_btf(ctx, false))

PROGRAM("sys_exit", iolens_call_exit_direct, call_exit_btf(ctx, true))

SEC("tp/raw_syscalls/sys_exit")
int iolens_perf_exit(struct compat_sys_exit *ctx)
{
	return call_exit_perf(ctx, false);
}

SEC("tp/raw_syscalls/sys_exit")
int iolens_perf_exit_direct(struct compat_sys_exit *ctx)
{
	return call_exit_perf(ctx, true);
}

PROGRAM("task_rename", iolens_call_rename, call_rename(ctx, false))

PROGRAM("task_rename", iolens_call_rename_direct, call_rename(ctx, true))

PROGRAM("sched_process_fork", iolens_call_fork, call_fork(ctx, false))

PROGRAM("sched_process_fork", iolens_call_fork_direct, call_fork(ctx, true))

/* One program per function, for kernels without multi-uprobes. */
#define LIBC_FUNCTION(name, operation, place, result)                                                                    \
	SEC("uprobe")                                                                                                    \
	int iolens_libc_##name(struct pt_regs *ctx) { return libc_begin(ctx, LIBC_##name); }                             \
	SEC("uretprobe")                                                                                                 \
	int iolens_libc_end_##name(struct pt_regs *ctx) { return libc_end(ctx, LIBC_##name); }
IOLENS_LIBC_FUNCTIONS(LIBC_FUNCTION)
#undef LIBC_FUNCTION

/* One program for all functions, with the function's number as cookie: since 6.6 (89ae89f53d20) they are attached
 * together, and detached in the time of one. */
SEC("uprobe")
int iolens_libc_all(struct pt_regs *ctx)
{
	return libc_begin(ctx, bpf_get_attach_cookie(ctx));
}

SEC("uretprobe")
int iolens_libc_end_all(struct pt_regs *ctx)
{
	return libc_end(ctx, bpf_get_attach_cookie(ctx));
}

PROGRAM("sched_process_exec", iolens_call_exec, call_exec(ctx, false))

PROGRAM("sched_process_exec", iolens_call_exec_direct, call_exec(ctx, true))

/* Not attached to an event: user space reads the iterator, which runs this for each thread. */
SEC("iter/task")
int iolens_pending_direct(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct call_thread *t = task ? bpf_task_storage_get(&thread_storage, task, 0, 0) : 0;

	if (t)
		call_pending(t);
	return 0;
}

/* Likewise for the plain programs: run (BPF_PROG_TEST_RUN) for each entry. */
SEC("raw_tp/sys_enter")
int iolens_pending(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tid = ctx->args[0];
	struct call_thread *t = bpf_map_lookup_elem(&threads, &tid);

	if (t)
		call_pending(t);
	return 0;
}

PROGRAM("sched_process_exit", iolens_call_end, call_end(ctx, false))

PROGRAM("sched_process_exit", iolens_call_end_direct, call_end(ctx, true))

/* User space attaches one of these, if the kernel has the function and the means. */
SEC("fentry/aio_complete_rw")
int iolens_aio_complete(__u64 *ctx)
{
	return request_aio_complete((struct kiocb *)ctx[0], ctx[1]);
}

SEC("kprobe/aio_complete_rw")
int iolens_aio_complete_kprobe(struct pt_regs *ctx)
{
	return request_aio_complete((struct kiocb *)compat_function_argument(ctx, 0), compat_function_argument(ctx, 1));
}
