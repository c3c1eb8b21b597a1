/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entry and return of a call. */
#ifndef IOLENS_SYSCALL_CALL_BPF_H
#define IOLENS_SYSCALL_CALL_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/regs.bpf.h"
#include "lib/file.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "syscall/abi.bpf.h"
#include "syscall/aio.bpf.h"
#include "syscall/arguments.bpf.h"
#include "syscall/file.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/range.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/task.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/loss.h"

/* A register with an argument: in `regs` at a BTF tracepoint, in `given` at perf's. */
static __always_inline __u64 call_register(struct pt_regs *regs, const __u64 *given, int n, bool compat)
{
	if (given)
		return given[n];
	return compat ? compat_32bit_argument(regs, n) : compat_call_argument(regs, n);
}

/* Is the thread where its interrupted call was made, with the same arguments? A signal handler is deeper in the stack. */
static __always_inline bool call_same(const struct call_thread *t, struct pt_regs *regs, const __u64 *given, bool compat)
{
	return t->stack == compat_user_stack(regs) && t->registers[0] == call_register(regs, given, 0, compat) &&
	       t->registers[1] == call_register(regs, given, 1, compat);
}

/*
 * Is a call none on a watched file? Checked before anything else is done: nearly all calls on the machine are not. Calls without
 * an fd, and those of a thread whose state is in use, take the long way.
 */
static __always_inline bool call_is_unwatched(__u64 nr, struct pt_regs *regs, const __u64 *given, __u64 thread, bool direct)
{
	struct task_struct *task = file_task(direct);
	__u8 shape = syscalls[nr].shape;
	struct file *file;
	__u64 number;

	if (!shape || compat_is_32bit(task, direct))
		return false;
	if (shape > IOLENS_SHAPE_VECTOR_AT && shape != IOLENS_SHAPE_EXTENT && shape != IOLENS_SHAPE_ALLOCATE &&
	    shape != IOLENS_SHAPE_SENDFILE && shape != IOLENS_SHAPE_COPY)
		return false;
	file = file_of_fd(task, call_register(regs, given, 0, false), direct, &number);
	if (file && watch_maybe(file, direct))
		return false;
	if (shape == IOLENS_SHAPE_SENDFILE || shape == IOLENS_SHAPE_COPY) {
		__u32 fd = shape == IOLENS_SHAPE_COPY ? call_register(regs, given, 2, false) :
							call_register(regs, given, 1, false);

		file = file_of_fd(task, fd, direct, &number);
		if (file && watch_maybe(file, direct))
			return false;
	}
	return !call_maybe_busy(thread);
}

/* `thread`: call_thread_address() */
static __always_inline int call_enter(__u64 number, struct pt_regs *regs, const __u64 *given, __u64 thread, bool direct)
{
	__u64 id, nr = number;
	struct iolens_call_info info;
	struct task_struct *task;
	struct call_thread *t;
	__u32 tid;
	bool again, compat;

	if (compat_is_x32(nr))
		nr = compat_x32_number(nr);
	if (nr >= IOLENS_CALLS || !call_selected(nr) || (by_watch && direct && call_is_unwatched(nr, regs, given, thread, direct)))
		return 0;
	id = task_id();
	tid = (__u32)task_host_id(id);
	if (follow && !maybe_followed(id >> 32))
		return 0;
	task = file_task(direct);
	compat = compat_is_32bit(task, direct);
	if (compat)
		nr = call_compat_index(nr, call_register(regs, given, 0, true));
	barrier_var(nr); /* old verifiers forget the bounds of a spilled number */
	if (nr >= IOLENS_TABLE_CALLS)
		return 0;
	info.shape = syscalls[nr].shape;
	if (!info.shape)
		return 0;
	info.id = syscalls[nr].id;
	info.direction = syscalls[nr].direction;
	info.flags = syscalls[nr].flags;
	info.texts = syscalls[nr].texts;
	info.vectors = syscalls[nr].vectors;
	info.actions = syscalls[nr].actions;
	info.item = syscalls[nr].item;
	info.item_place = syscalls[nr].item_place;
	t = call_thread_of(task, tid, direct);
	if (!call_wanted_task(id, t != 0))
		return 0;
	if (info.shape == IOLENS_SHAPE_NOT_DECODED || (compat && !COMPAT_32BIT_TABLE)) {
		if (info.shape != IOLENS_SHAPE_SIGRETURN)
			call_not_decoded();
		return 0;
	}
	if (!t) {
		if (!decode_all && (info.shape == IOLENS_SHAPE_SIGRETURN || info.shape == IOLENS_SHAPE_RESTART))
			return 0;
		t = call_thread_new(task, tid, direct);
		if (!t) {
			ring_count_unstored();
			return 0;
		}
	}
	call_busy(t, thread);
	again = t->state == CALL_INTERRUPTED &&
		(info.shape == IOLENS_SHAPE_RESTART || (t->e.call == info.id && call_same(t, regs, given, compat)));
	if (t->state == CALL_INTERRUPTED && !again)
		call_interrupted(t, tid);
	else if (t->state == CALL_RUNNING) /* it did return: the kernel skipped the program */
		call_send_unended(t, 0);
	call_executed(t, id);
	t->sigreturn = info.shape == IOLENS_SHAPE_SIGRETURN;
	if (t->sigreturn && !decode_all) {
		t->state = CALL_RETURNING;
		return 0;
	}
	if (info.shape == IOLENS_SHAPE_RESTART && !again && !decode_all) {
		t->state = CALL_NONE;
		return 0;
	}
	if (t->emitted != period) {
		t->emitted_name = 0;
		if (!by_watch) {
			call_emit_thread(id, task_host_id(id), 0);
			t->emitted = period;
		}
	}
	t->state = CALL_RUNNING;
	t->number = (__u32)number;
	if (again)
		return 0;

	t->registers[0] = call_register(regs, given, 0, compat);
	t->registers[1] = call_register(regs, given, 1, compat);
	t->compat = 0;
	if (compat) {
#pragma unroll
		for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++)
			t->words[i] = call_register(regs, given, i, true);
		t->width = 4;
		if (!call_compat_values(t, nr - IOLENS_CALLS)) {
			t->state = CALL_NONE;
			call_not_decoded();
			return 0;
		}
	} else {
#pragma unroll
		for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++)
			t->values[i] = call_register(regs, given, i, false);
		t->width = compat_is_x32_own(number) ? 4 : 8;
	}
	__builtin_memset(&t->e, 0, sizeof(t->e));
	t->two = 0;
	t->counted = 0;
	t->shape = info.shape;
	t->pointer = 0;
	t->capacity = 0;
	t->e.start = bpf_ktime_get_boot_ns();
	t->e.tgid = id >> 32;
	t->e.tid = (__u32)id;
	task_put_host_ids(&t->e);
	t->e.call = info.id;
	t->e.direction = info.direction;
	t->e.fd = -1;
	if (operations) {
		t->started = operation_started(task_host_id(id) >> 32);
		t->actions = info.actions;
		t->buffer = 0;
	}
	if (decode_all || (operations && (info.actions & IOLENS_CALL_EMIT))) {
		t->all_texts = info.texts;
		t->vectors = info.vectors;
		t->texts = info.texts;
		t->item = decode_all ? info.item : 0;
		if (t->item == IOLENS_ITEM_SIGNALS && t->width != 8) /* their frames are others */
			t->item = 0;
		t->item_place = info.item_place;
		if (t->item == IOLENS_ITEM_ADDRESS_BACK)
			bpf_probe_read_user(&t->capacity, sizeof(t->capacity), (void *)t->values[(info.item_place + 1) & 7]);
		if (t->item == IOLENS_ITEM_SIGNALS)
			t->values[0] = compat_user_stack(regs) + COMPAT_SIGFRAME_MASK;
		if (!operations || t->started)
			call_emit_arguments(t, info.texts, FILE_SLOT_ENTER);
	}
	if (info.flags) {
		t->e.asked = t->values[(info.flags - 1) & 7];
		t->e.flags |= IOLENS_CALL_HAS_ASKED;
	}
	if (info.shape < IOLENS_SHAPE_NEW_FD)
		call_arguments(t, info.shape, direct);
	else if (info.shape == IOLENS_SHAPE_PAIR)
		t->pointer = t->values[3];
	else if (info.shape == IOLENS_SHAPE_PAIR_FIRST)
		t->pointer = t->values[0];
	else if (info.shape == IOLENS_SHAPE_IO_GET || info.shape == IOLENS_SHAPE_IO_DESTROY) {
		t->pointer = t->values[3];
		t->aio = request_aio_owner(t->values[0]);
	} else if (info.shape == IOLENS_SHAPE_IO_SUBMIT) {
		t->pointer = t->values[2];
		t->aio = request_aio_owner(t->values[0]);
		call_count(&t->e, t->values[1]); /* requests */
		request_aio_submit(t, direct);
	}
	if (t->state == CALL_RUNNING)
		call_begun(t);
	if (t->state == CALL_NONE)
		call_idle(t);
	return 0;
}

/* An address of the running thread, for `busy_threads`: of its registers at a BTF tracepoint, which are at the same place in its stack
 * at each call, if the context can be read directly; else of its task. Both stay when it executes a program. */
static __always_inline __u64 call_thread_address(const __u64 *ctx, bool direct)
{
	if (!by_watch || !direct)
		return 0;
	return ctx ? cast_word(ctx, true) : bpf_get_current_task();
}

static __always_inline int call_enter_btf(__u64 *ctx, bool direct)
{
	return call_enter(ctx[1], (struct pt_regs *)ctx[0], 0, call_thread_address(ctx, direct), direct);
}

/*
 * Kernels that run tracepoints with preemption enabled (7.0) skip the program of a BTF tracepoint for every task that
 * runs on a CPU until a task preempted inside the program resumes: some milliseconds of calls. perf's tracepoints
 * disable preemption, but cost about 80 ns more per call. These are the same programs for perf's tracepoints.
 */
static __always_inline int call_enter_perf(struct compat_sys_enter *ctx, bool direct)
{
	return call_enter(ctx->id, 0, ctx->args, call_thread_address(0, direct), direct);
}

/* A call returns whose entry was not seen: it began before tracing, the kernel skipped a program, or seccomp denied
 * it (such calls pass no sys_enter). Calls dropped at entry look the same: mmap without a file, and files that are
 * not watched. */
static __always_inline void call_unseen(__u64 nr, __s64 result, bool known, bool direct)
{
	struct iolens_counters *n;
	__u16 call;
	__u8 shape;

	if (compat_is_x32(nr))
		nr = compat_x32_number(nr);
	if (by_watch || nr >= IOLENS_CALLS || !call_selected(nr))
		return;
	if (compat_is_32bit(file_task(direct), direct))
		nr = call_compat_index(nr, 0);
	barrier_var(nr); /* as above */
	if (nr >= IOLENS_TABLE_CALLS)
		return;
	shape = syscalls[nr].shape;
	call = syscalls[nr].id;
	if (!result && ((call >= CALL_CLONE && call <= CALL_VFORK) || call == CALL_CLONE3)) /* the child's first return */
		return;
	if (!shape || shape == IOLENS_SHAPE_SIGRETURN || shape == IOLENS_SHAPE_RESTART || shape == IOLENS_SHAPE_MAP ||
	    shape == IOLENS_SHAPE_NOT_DECODED || !call_wanted_task(task_id(), known))
		return;
	n = ring_counters();
	if (n)
		ring_count(n, orphan);
}

/* Is this the number of the thread's call? arm64 clears it in a successful execve (forget_syscall()). */
static __always_inline bool call_is(const struct call_thread *t, __u64 nr)
{
	/* x86-64 clears it in rt_sigreturn, too */
	return call_is_exec(t) || t->sigreturn || t->number == (__u32)nr;
}

static __always_inline int call_returned(struct call_thread *t, __u64 id, struct pt_regs *regs, __u64 nr, __s64 result,
					 bool direct)
{
	__u32 tid = (__u32)id;

	if (regs)
		nr = compat_call_number(regs);
	if (t && t->state == CALL_RUNNING && !call_is(t, nr)) /* the kernel skipped the program at its return */
		call_send_unended(t, 0);
	if (!t || t->state == CALL_NONE)
		call_unseen(nr, result, t, direct);
	if (!t)
		return 0;
	if (t->state == CALL_SENT || t->state == CALL_RETURNING)
		t->state = CALL_NONE;
	if (t->state != CALL_RUNNING) {
		if (t->sigreturn)
			call_handled(t, tid, compat_user_stack(regs), result);
		return 0;
	}
	if (own_pidns.level) /* known since the entry */
		id = (__u64)t->e.tgid << 32 | t->e.tid;
	t->e.h.ts = bpf_ktime_get_boot_ns();
	/* ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK: internal to the kernel. Either the
	 * same call is entered again, or a signal handler runs and the program gets EINTR. */
	if (result >= -516 && result <= -512 && result != -515 && !t->sigreturn) {
		t->e.result = CALL_EINTR;
		t->state = CALL_INTERRUPTED;
		t->stack = compat_user_stack(regs);
		return 0;
	}
	t->e.result = result;
	if (operations && operation_paused() && !t->started) {
		t->started = operation_counts(task_host_id(id) >> 32, t->actions & IOLENS_CALL_QUIET ? 0 : t->e.h.ts - t->e.start,
					      t->actions & IOLENS_CALL_OPENS ? t->values[t->all_texts == 1 ? 0 : 1] : 0,
					      FILE_SLOT_EXIT);
		if (t->started && (t->actions & IOLENS_CALL_EMIT)) /* not emitted at the entry */
			call_emit_arguments(t, t->all_texts, FILE_SLOT_EXIT);
	} else if ((decode_all || (operations && (t->actions & IOLENS_CALL_EMIT))) &&
		   (t->texts || (result >= 0 && call_item_returns(t))) &&
		   (result < 0 || !call_is_exec(t))) { /* in a successful exec, call_exec() has read them */
		call_emit_arguments(t, t->all_texts, FILE_SLOT_EXIT);
	}
	if (t->shape == IOLENS_SHAPE_IO_SUBMIT && result < (__s64)t->e.requested)
		request_aio_refused(t, result < 0 ? 0 : result, direct);
	call_path_again(t, direct);
	if (t->capacity)
		call_named_at_return(t, result);
	if (result >= 0)
		call_results(t, result, direct);
	if ((t->e.flags & IOLENS_CALL_APPEND) && t->e.direction == IOLENS_DIR_WRITE && !t->two)
		call_appended(&t->e, t->shape == IOLENS_SHAPE_MOVE || t->shape == IOLENS_SHAPE_VECTOR ||
					     (t->shape == IOLENS_SHAPE_VECTOR_AT && t->values[3] == ~0ULL));
	if (operations && result > 0 && t->buffer && t->started)
		operation_http(t, id, (__u64)result < t->buffer_length ? result : t->buffer_length);
	if (t->emitted && t->emitted != period)
		call_names_again(t);
	call_send(t);
	call_executed(t, id);
	if (by_watch && t->shape == IOLENS_SHAPE_RANGE)
		range_rest(t);
	if (t->sigreturn)
		call_handled(t, tid, compat_user_stack(regs), result);
	return 0;
}

static __always_inline int call_exit(struct pt_regs *regs, __u64 nr, __s64 result, __u64 thread, bool direct)
{
	struct call_thread *t;
	__u64 id;

	if (by_watch && direct && !call_maybe_busy(thread))
		return 0;
	id = bpf_get_current_pid_tgid();
	if (!own_pidns.level && follow && !maybe_followed(id >> 32))
		return 0;
	t = call_thread_of(file_task(direct), (__u32)id, direct);
	call_returned(t, id, regs, nr, result, direct);
	if (by_watch && t && t->state == CALL_NONE && !t->sigreturn)
		call_idle(t);
	return 0;
}

static __always_inline int call_exit_btf(__u64 *ctx, bool direct)
{
	return call_exit((struct pt_regs *)ctx[0], 0, ctx[1], call_thread_address(ctx, direct), direct);
}

static __always_inline int call_exit_perf(struct compat_sys_exit *ctx, bool direct)
{
	return call_exit(0, ctx->id, ctx->result, call_thread_address(0, direct), direct);
}

#endif
