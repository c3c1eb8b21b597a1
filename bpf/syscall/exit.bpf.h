/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Exec and exit. */
#ifndef IOLENS_SYSCALL_EXIT_BPF_H
#define IOLENS_SYSCALL_EXIT_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/task.bpf.h"
#include "lib/file.bpf.h"
#include "lib/task.bpf.h"
#include "syscall/aio.bpf.h"
#include "syscall/fork.bpf.h"
#include "syscall/libc.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/requests.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/task.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/task.h"

#define EXEC_AT_FDCWD -100

/* The arguments of a new program after its first one, one after another at scratch->from, scratch->count bytes. */
__noinline int call_append_new_arguments(__u32 slot, __u32 place)
{
	struct call_argument_scratch *scratch;
	struct iolens_item *item;
	__u64 offset, length;

	if (!decode_all)
		return 0;
	scratch = bpf_map_lookup_elem(&argument_scratch_slots, &slot);
	if (!scratch)
		return 0;
	offset = (scratch->offset + 7) & (2 * CALL_SPACE - 8);
	barrier_var(offset);
	if (offset > CALL_SPACE - IOLENS_ARGUMENT_TEXT)
		return 0;
	length = scratch->count < IOLENS_ARGUMENT_TEXT - 8 ? scratch->count : IOLENS_ARGUMENT_TEXT - 8;
	length &= IOLENS_ARGUMENT_TEXT - 1;
	barrier_var(length);
	if (length > IOLENS_ARGUMENT_TEXT - 8)
		return 0;
	item = (struct iolens_item *)&scratch->text[offset];
	if (bpf_probe_read_user(item + 1, length, (void *)scratch->from))
		return 0;
	item->kind = IOLENS_ITEM_STRINGS;
	item->place = place;
	item->flags = length < scratch->count ? IOLENS_ITEM_CUT : 0;
	item->length = length;
	scratch->offset = offset + sizeof(*item) + length;
	return 0;
}

/* Sends the arguments of an exec that succeeds, if they could not be read at its entry: in a new child, the page with
 * the path is often not present yet. The memory that they were in is gone; the path is in the kernel's, and the first
 * argument in that of the new program. */
static __noinline int call_emit_exec(struct call_thread *t, __u64 program)
{
	struct linux_binprm *bprm = (struct linux_binprm *)program;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	const char *path = BPF_CORE_READ(bprm, filename);
	struct call_argument_scratch *scratch;
	struct iolens_counters *n;
	__u32 slot = FILE_SLOT_ENTER, size, offset = 0, first = t->e.call == CALL_EXECVEAT;
	long length;

	scratch = bpf_map_lookup_elem(&argument_scratch_slots, &slot);
	/* relative to a directory's fd: the kernel has it as /dev/fd/N/path */
	if (!scratch || (first && (__s32)t->values[0] != EXEC_AT_FDCWD))
		return 0;
	scratch->a.h.ts = bpf_ktime_get_boot_ns();
	scratch->a.h.kind = IOLENS_KIND_ARGUMENTS;
	scratch->a.h.cpu = bpf_get_smp_processor_id();
	scratch->a.tid = own_pidns.level ? t->e.host_tid : t->e.tid;
	scratch->a.call = t->e.call;
	scratch->a.texts = 0;
	scratch->a.single = 0;
#pragma unroll
	for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++)
		scratch->a.values[i] = t->values[i];
	length = bpf_probe_read_kernel_str(scratch->text, IOLENS_ARGUMENT_TEXT, path);
	if (length <= 0 || length > IOLENS_ARGUMENT_TEXT)
		return 0;
	scratch->a.texts = 1 << first;
	offset = length;
	/* the first argument of a script's interpreter is its own */
	if (BPF_CORE_READ(bprm, interp) != path) {
		if (!(t->texts & 1 << first)) /* the arguments that could be read have been sent */
			return 0;
	} else {
		__u64 from = BPF_CORE_READ(task, mm, arg_start), to = BPF_CORE_READ(task, mm, arg_end);

		length = bpf_probe_read_user_str(&scratch->text[offset], IOLENS_ARGUMENT_TEXT, (void *)from);
		if (length > 0 && length <= IOLENS_ARGUMENT_TEXT) {
			scratch->a.texts |= 2 << first;
			offset += length;
			scratch->from = from + length;
			scratch->count = to - scratch->from;
			if (from + length >= to)
				scratch->a.single = 2 << first;
		}
	}
	*(__u64 *)&scratch->text[offset & (CALL_SPACE - 1)] = 0;
	scratch->offset = offset;
	if (scratch->a.texts & 2 << first && !scratch->a.single)
		call_append_new_arguments(slot, first + 1);
	offset = scratch->offset;
	offset &= 2 * CALL_SPACE - 1;
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

static __always_inline int call_exec(__u64 *ctx, bool direct)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	__u64 id = task_id(), host = task_host_id(id);
	__u32 tid = (__u32)host, old = (__u32)ctx[1];
	struct call_thread *t;

	if (row_readers_alive > 0)
		call_exec_reader(id >> 32);
	/* in an exec by another thread than the first, that thread takes over the first one's ID, and its execve
	 * continues under it */
	if (!direct && old != tid) {
		t = bpf_map_lookup_elem(&threads, &old);
		if (t && bpf_map_update_elem(&threads, &tid, t, BPF_ANY) != 0)
			call_send_unended(t, 0);
		bpf_map_delete_elem(&threads, &old);
	}
	call_abandoned(old, 0);
	t = call_thread_of(file_task(direct), tid, direct);
	if (t)
		t->emitted = 0;
	if (t && t->state == CALL_RUNNING && t->texts && call_is_exec(t) &&
	    (decode_all || (operations && (t->actions & IOLENS_CALL_EMIT) && t->started)))
		call_emit_exec(t, compat_number(&ctx[2]));
	if (libc_wanted) /* exec in a signal handler: the interrupted function never returns, and the stack is new */
		bpf_map_delete_elem(&libc_calls, &old);
	if (requests_wanted)
		request_exec();
	if (operations && (!follow || maybe_followed(id >> 32)) && call_wanted_task(id, false)) {
		__u32 tgid = host >> 32;

		if (operation_paused()) /* another program: it has to begin by itself */
			bpf_map_delete_elem(&started, &tgid);
		else if ((emit_start || emit_cwd) && t && t->state == CALL_RUNNING && call_is_exec(t)) {
			call_emit_thread(id, host, 0); /* its new name */
			t->executed = 1;
		} else if (emit_start || emit_cwd)
			operation_process(task, id, operation_parent(task), FILE_SLOT_EXEC);
	}
	return 0;
}

/* Tracing has ended: emits the thread's call if it is still in flight. */
static __always_inline void call_pending(struct call_thread *t)
{
	call_abandoned(own_pidns.level ? t->e.host_tid : t->e.tid, IOLENS_CALL_PENDING);
	if ((t->state != CALL_RUNNING && t->state != CALL_INTERRUPTED) ||
	    (operations && (!t->started || (t->actions & IOLENS_CALL_QUIET))))
		return;
	call_send_unended(t, IOLENS_CALL_PENDING);
}

static __always_inline int call_end(__u64 *ctx, bool direct)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	__u32 tid = file_read(direct, task, pid), tgid = file_read(direct, task, tgid);
	__u64 host = (__u64)tgid << 32 | tid, id = own_pidns.level ? task_id() : host;
	struct call_thread *t = call_thread_of(task, tid, direct);
	bool last = compat_last_thread(task), known = t && t->emitted;

	if (t) {
		if (t->state == CALL_RUNNING) { /* exit and exit_group do not return */
			t->e.h.ts = bpf_ktime_get_boot_ns();
			t->e.flags |= IOLENS_CALL_NO_RESULT;
		}
		if (t->state == CALL_RUNNING || t->state == CALL_INTERRUPTED)
			call_send(t);
		call_executed(t, id);
		call_abandoned(tid, 0);
		call_idle(t);
		if (!direct) /* task storage is freed with the task */
			bpf_map_delete_elem(&threads, &tid);
	}
	if (libc_wanted)
		bpf_map_delete_elem(&libc_calls, &tid); /* most threads have none */
	if (requests_wanted && last)
		request_exit();
	if (operations && last) {
		if (emit_stop && operation_started(tgid) && (!follow || maybe_followed(id >> 32)) && call_wanted_task(id, false))
			operation_stop(id, host);
		if (operation_paused())
			bpf_map_delete_elem(&started, &tgid);
	}
	if (known || (requests_wanted && request_task_known(id))) /* after all its events */
		call_emit_thread(id, host, IOLENS_TASK_ENDED | (last ? IOLENS_TASK_PROCESS_ENDED : 0));
	if (row_readers_alive > 0 && last) {
		__u32 own = task_tgid(bpf_get_current_task(), tgid);

		if (bpf_map_delete_elem(&row_readers, &own) == 0)
			__sync_fetch_and_add(&row_readers_alive, -1);
	}
	if (follow && last) {
		tgid = task_tgid(bpf_get_current_task(), tgid);
		if (bpf_map_delete_elem(&followed, &tgid))
			return 0;
		__sync_fetch_and_add(&followed_buckets[tgid % IOLENS_FOLLOWED_BUCKETS], -1);
		__sync_fetch_and_add(&alive, -1);
	}
	return 0;
}

#endif
