/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends and filters the events of calls. */
#ifndef IOLENS_SYSCALL_SEND_BPF_H
#define IOLENS_SYSCALL_SEND_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "lib/filter.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "syscall/items.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/task.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/header.h"
#include "iolens/event/loss.h"

/* Sends the arguments of a call, at its entry: the call may overwrite them, as execve does, or never return. A
 * program that can't sleep can't read a string on a page that is not in memory; the call itself faults it in, so
 * reading is retried, and everything sent again, at the return. */
__noinline int call_emit_arguments(struct call_thread *t, __u32 texts, __u32 slot)
{
	struct call_argument_scratch *scratch;
	struct iolens_counters *n;
	__u32 size, offset = 0, array, again;

	if (!t || (!decode_all && !operations)) /* verified even if not used, when the map does not exist */
		return 0;
	scratch = bpf_map_lookup_elem(&argument_scratch_slots, &slot);
	if (!scratch)
		return 0;
	scratch->a.h.ts = bpf_ktime_get_boot_ns();
	scratch->a.h.kind = IOLENS_KIND_ARGUMENTS;
	scratch->a.h.cpu = bpf_get_smp_processor_id();
	scratch->a.tid = own_pidns.level ? t->e.host_tid : t->e.tid;
	scratch->a.call = t->e.call;
	scratch->a.texts = 0;
	scratch->a.single = 0;
	scratch->width = t->width;
#pragma unroll
	for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++)
		scratch->a.values[i] = t->values[i];
	scratch->read = 0;
	scratch->array = IOLENS_CALL_ARGUMENTS;
	for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++) {
		long length;
		__u64 from, next;

		if (!(texts >> i & 1))
			continue;
		asm volatile("" ::: "memory"); /* what was read: in memory, where it adds no states for the verifier */
		offset &= 2 * CALL_SPACE - 1;
		barrier_var(offset);
		if (offset > CALL_SPACE - IOLENS_ARGUMENT_TEXT)
			break;
		from = scratch->a.values[i];
		if (t->vectors >> i & 1) {
			if (call_word(&from, from, 0, t->width))
				continue;
			if (!from) { /* empty */
				scratch->read |= 1 << i;
				continue;
			}
			scratch->array = i;
			scratch->from = scratch->a.values[i] + t->width;
		}
		length = bpf_probe_read_user_str(&scratch->text[offset], IOLENS_ARGUMENT_TEXT, (void *)from);
		if (length < 0 || length > IOLENS_ARGUMENT_TEXT)
			continue;
		if (!length) { /* older kernels return 0 for an empty string */
			scratch->text[offset] = 0;
			length = 1;
		}
		scratch->a.texts |= 1 << i;
		scratch->read |= 1 << i;
		if ((t->vectors >> i & 1) && !call_word(&next, scratch->a.values[i], 1, t->width) && !next)
			scratch->a.single |= 1 << i;
		offset += length;
	}
	offset &= 2 * CALL_SPACE - 1;
	barrier_var(offset);
	if (offset > CALL_SPACE)
		return 0;
	*(__u64 *)&scratch->text[offset] = 0;
	scratch->offset = offset;
	asm volatile("" ::: "memory");
	array = scratch->array;
	if (array < IOLENS_CALL_ARGUMENTS && (scratch->read >> array & 1) && !(scratch->a.single >> array & 1) &&
	    call_append_strings(slot, array) < 0)
		scratch->read &= ~(1 << array);
	again = call_append_items(t, scratch, slot);
	t->texts = (texts & ~scratch->read) | again;
	offset = scratch->offset & (2 * CALL_SPACE - 1);
	barrier_var(offset);
	if (offset > CALL_SPACE)
		return 0;
	*(__u64 *)&scratch->text[offset] = 0;
	size = (sizeof(scratch->a) + offset + 7) & ~7U;
	scratch->a.h.size = size;
	barrier_var(size);
	if (size > sizeof(*scratch))
		return 0;
	if (!ring_put(scratch, size) && (n = ring_counters()))
		ring_count(n, fact_lost);
	return 0;
}

#define CALL_NO_END (IOLENS_CALL_NO_RESULT | IOLENS_CALL_NO_DURATION)

/* Does the call have an event? If files are watched, only calls on those do. */
static __always_inline bool call_counts(const struct iolens_call_event *e)
{
	return !by_watch || (e->flags & IOLENS_CALL_WATCHED);
}

/* Does a call change what is mapped at an address? */
static __always_inline bool call_maps(const struct iolens_call_event *e)
{
	return map_facts &&
	       ((e->flags & IOLENS_CALL_HAS_ADDRESS) || e->call == CALL_EXECVE || e->call == CALL_EXECVEAT);
}

/* Sends one side of a call that was counted as seen. Its end, if any, is at h.ts. */
static __always_inline void call_send_one(struct iolens_call_event *e)
{
	struct iolens_counters *n = ring_counters();
	bool missed;

	if (!n || !call_counts(e))
		return;
	if (e->ino == own_ino && e->dev == own_dev && own_ino) {
		ring_count(n, filtered); /* output of iolens itself: tracing it would generate more output */
		ring_count(n, own);
		return;
	}
	missed = (e->flags & CALL_NO_END) == CALL_NO_END && !(e->flags & IOLENS_CALL_PENDING);
	if (e->h.ts - e->start < filter.min_ns && !missed && !call_maps(e)) {
		ring_count(n, filtered);
		return;
	}
	if (e->flags & IOLENS_CALL_PENDING) {
		/* not counted as delivered: if the ring is full, it has no row */
		ring_count(n, in_flight);
		e->h.kind = IOLENS_KIND_CALL;
		e->h.size = sizeof(*e);
		e->h.cpu = bpf_get_smp_processor_id();
		ring_put(e, sizeof(*e));
		return;
	}
	if (missed)
		ring_count(n, no_end);
	ring_send_often(n, &e->h, IOLENS_KIND_CALL, sizeof(*e));
}

/* io-monitor ignores a process's standard input, output and error. */
static __always_inline bool call_asked_for(struct call_thread *t, struct iolens_call_event *e)
{
	if (!leave_std || t->shape >= IOLENS_SHAPE_NEW_FD || e->fd < 0 || e->fd > 2)
		return true;
	operation_left_out();
	return false;
}

/* The end of a call: sends an event for each side. */
__noinline int call_send(struct call_thread *t)
{
	__s64 sides = 0;

	if (!t)
		return 0;
	t->state = CALL_NONE;
	if (operations && !t->started) {
		operation_left_out();
		return 0;
	}
	if (operations && (t->actions & IOLENS_CALL_QUIET) && t->e.result >= 0)
		return 0;
	if (by_watch && t->emitted != period && ((t->e.flags | t->to.flags) & IOLENS_CALL_WATCHED)) {
		__u64 id = (__u64)t->e.tgid << 32 | t->e.tid;

		call_emit_thread(id, task_host_id(id), 0);
		t->emitted = period;
	}
	if (call_asked_for(t, &t->e)) {
		sides += call_counts(&t->e);
		call_send_one(&t->e);
	}
	if (t->two) {
		t->to.h.ts = t->e.h.ts;
		t->to.result = t->e.result;
		t->to.flags |= t->e.flags & (CALL_NO_END | IOLENS_CALL_PENDING);
		if (call_asked_for(t, &t->to)) {
			sides += call_counts(&t->to);
			call_send_one(&t->to);
		}
	}
	if (sides != t->counted) /* known only at the return: ends of a pipe; with operations, if it is one */
		ring_count_seen(sides - (__s64)t->counted);
	return 0;
}

/* After call_send() of the running thread's call: if that was an exec, START and CHDIR of the new program. */
static __always_inline void call_executed(struct call_thread *t, __u64 id)
{
	struct task_struct *task;

	if (!operations || !t->executed)
		return;
	t->executed = 0;
	task = (struct task_struct *)bpf_get_current_task();
	operation_process(task, id, operation_parent(task), FILE_SLOT_EXEC);
}

/* Sends a call whose return was not seen. */
static __always_inline void call_send_unended(struct call_thread *t, __u16 flag)
{
	t->e.h.ts = bpf_ktime_get_boot_ns();
	t->e.flags |= CALL_NO_END | flag;
	t->e.result = 0;
	call_send(t);
}

/* A signal handler makes a call while another call is interrupted. That one is stored until the handler returns: it is
 * sent, or restarted, then. One that is there already has been left by a jump out of its handler, unless this one is in
 * a handler that interrupted that handler, deeper in the stack. */
static __always_inline int call_interrupted(struct call_thread *t, __u32 tid)
{
	struct call_thread *stored = bpf_map_lookup_elem(&interrupted_calls, &tid);

	if (stored && t->stack >= stored->stack) {
		stored->e.flags |= IOLENS_CALL_NO_RESULT;
		call_send(stored);
		bpf_map_delete_elem(&interrupted_calls, &tid);
	}
	if (bpf_map_update_elem(&interrupted_calls, &tid, t, BPF_NOEXIST))
		call_send(t);
	t->state = CALL_NONE;
	return 0;
}

/* A signal handler has returned to where it interrupted the thread, with `result` in the register of a call's. */
static __noinline int call_handled(struct call_thread *t, __u32 tid, __u64 stack, __s64 result)
{
	struct call_thread *stored = bpf_map_lookup_elem(&interrupted_calls, &tid);

	t->sigreturn = 0;
	if (!stored || stored->stack != stack)
		return 0;
	if (result == CALL_EINTR) {
		if (decode_all) /* those of the handler's calls have been sent since */
			call_emit_arguments(stored, stored->all_texts, FILE_SLOT_EXIT);
		call_send(stored);
	} else {
		bpf_probe_read_kernel(t, sizeof(*t), stored); /* it is entered again next */
		if (decode_all)
			t->texts |= CALL_ITEM_AGAIN;
	}
	bpf_map_delete_elem(&interrupted_calls, &tid);
	return 0;
}

/* The interrupted call of a thread never returns: the thread exits or executes another program, or (`flag`) tracing has
 * ended. */
static __noinline int call_abandoned(__u32 tid, __u16 flag)
{
	struct call_thread *stored = bpf_map_lookup_elem(&interrupted_calls, &tid);

	if (!stored)
		return 0;
	if (flag) {
		call_send_unended(stored, flag);
	} else {
		stored->e.h.ts = bpf_ktime_get_boot_ns();
		stored->e.flags |= IOLENS_CALL_NO_RESULT;
		call_send(stored);
	}
	bpf_map_delete_elem(&interrupted_calls, &tid);
	return 0;
}

/* A call begins: counts its sides that have events as seen. Operations are counted at their ends. */
static __always_inline void call_begun(struct call_thread *t)
{
	if (operations)
		return;
	t->counted = call_counts(&t->e) + (t->two && call_counts(&t->to));
	if (t->counted)
		ring_count_seen(t->counted);
}

/* Does the running thread match the filters? A thread that already has state remains followed. */
static __always_inline bool call_wanted_task(__u64 id, bool known)
{
	__u32 tgid = id >> 32;
	__u8 comm[IOLENS_COMM_LEN] = {};

	if (follow && !known && !bpf_map_lookup_elem(&followed, &tgid))
		return false;
	if (row_readers_alive > 0 && bpf_map_lookup_elem(&row_readers, &tgid))
		return false;
	if (filter.by_comm)
		bpf_get_current_comm(comm, sizeof(comm));
	return filter_task(tgid, (__u32)id, comm);
}

static __always_inline void call_count(struct iolens_call_event *e, __u64 bytes)
{
	e->requested = bytes;
	e->flags |= IOLENS_CALL_HAS_REQUESTED;
}

static __always_inline void call_offset(struct iolens_call_event *e, __u64 offset)
{
	e->offset = offset;
	e->flags |= IOLENS_CALL_HAS_OFFSET;
}

#endif
