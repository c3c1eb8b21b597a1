/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* New processes. */
#ifndef IOLENS_SYSCALL_FORK_BPF_H
#define IOLENS_SYSCALL_FORK_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "lib/task.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/task.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"

static __always_inline int call_rename(__u64 *ctx, bool direct)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct call_thread *t = call_thread_of(task, file_read(direct, task, pid), direct);

	if (t)
		t->emitted = 0;
	return 0;
}

/* A call has created a process: as an operation, it is sent now, before what the child does. Its duration ends here: a
 * later vfork would end after the child's exec. */
static __noinline int call_forked(struct call_thread *t, __u32 child)
{
	t->e.h.ts = bpf_ktime_get_boot_ns();
	t->e.result = child;
	call_send(t);
	t->state = CALL_SENT;
	return 0;
}

static __always_inline int call_fork(__u64 *ctx, bool direct)
{
	struct call_thread *t;
	struct task_struct *parent = (struct task_struct *)ctx[0], *child = (struct task_struct *)ctx[1];
	__u32 host_from = BPF_CORE_READ(parent, tgid), host_to = BPF_CORE_READ(child, tgid), from, to;
	__u64 *reads, pipe;
	__u8 one = 1;

	if (host_from == host_to)
		return 0;
	from = task_tgid(bpf_get_current_task(), host_from);
	if (follow && (!maybe_followed(from) || !bpf_map_lookup_elem(&followed, &from)))
		return 0;
	to = task_tgid(compat_number(&ctx[1]), host_to);
	/* a reader without a pipe is a client of a socket: its children are not readers */
	if (row_readers_alive > 0 && (reads = bpf_map_lookup_elem(&row_readers, &from)) && *reads) {
		pipe = *reads;
		if (bpf_map_update_elem(&row_readers, &to, &pipe, BPF_NOEXIST) == 0)
			__sync_fetch_and_add(&row_readers_alive, 1);
		return 0;
	}
	if (follow) {
		int error = bpf_map_update_elem(&followed, &to, &one, BPF_NOEXIST);

		if (!error) {
			__sync_fetch_and_add(&followed_buckets[to % IOLENS_FOLLOWED_BUCKETS], 1);
			__sync_fetch_and_add(&alive, 1);
		} else if (error != -EEXIST) { /* EEXIST: an entry whose exit was skipped remains followed */
			call_count_process();
		}
	}
	if (!operations)
		return 0;
	t = call_thread_of(file_task(direct), (__u32)bpf_get_current_pid_tgid(), direct);
	if (t && t->state == CALL_RUNNING && t->started && call_forks(t))
		call_forked(t, to);
	if (operation_paused() && operation_started(host_from))
		operation_start(host_to);
	if ((emit_start || emit_cwd) && operation_started(host_to) && call_wanted_task(task_id(), true))
		operation_process(child, (__u64)to << 32 | to, from, FILE_SLOT_FORK);
	return 0;
}

#define CALL_LOW_FDS 64

/* Is a pipe among the low fds of the running process? A global function, which the verifier checks once. */
__noinline int call_holds_pipe(__u64 ino)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 address;

	for (__u32 fd = 0; fd < CALL_LOW_FDS; fd++) {
		struct file *file;

		asm volatile("" ::: "memory"); /* see file_emit_by() */
		file = file_of_fd(task, fd, false, &address);
		if (file && BPF_CORE_READ(file, f_inode, i_ino) == ino &&
		    BPF_CORE_READ(file, f_inode, i_sb, s_magic) == PIPEFS_MAGIC)
			return 1;
	}
	return 0;
}

/* A process whose parent reads iolens's output executes a program: does it still read it? */
static __always_inline void call_exec_reader(__u32 tgid)
{
	__u64 *reads = bpf_map_lookup_elem(&row_readers, &tgid);

	if (!reads || (*reads && call_holds_pipe(*reads)))
		return;
	if (bpf_map_delete_elem(&row_readers, &tgid) == 0)
		__sync_fetch_and_add(&row_readers_alive, -1);
}

#endif
