/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watched files of a range of addresses: those that msync(MS_SYNC) writes back. */
#ifndef IOLENS_SYSCALL_RANGE_BPF_H
#define IOLENS_SYSCALL_RANGE_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/mm.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/watch.bpf.h"
#include "syscall/file.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/watch.h"

#define RANGE_MAPPINGS 64 /* searched for the next watched file */
#define RANGE_FILES 8     /* that follow the first one of a call */

const volatile __u32 page_shift = 12;

/* The first shared mapping of a watched file in a range of the caller's memory; 0: none. The file `ino` on `dev` is
 * skipped. A global function, which the verifier checks once. */
__noinline __u64 range_watched(__u64 from, __u64 end, __u64 ino, __u32 dev)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 mm = (__u64)BPF_CORE_READ(task, mm), vma;
	struct iolens_file_id id = {};
	struct iolens_watch *watch;
	struct file *file;

	if (!by_watch) /* verified even if not used */
		return 0;
	for (int i = 0; i < RANGE_MAPPINGS; i++) {
		vma = compat_mapping_at(mm, from);
		if (!vma || compat_mapping_start(vma) >= end)
			return 0;
		from = compat_mapping_end(vma);
		file = BPF_CORE_READ((struct vm_area_struct *)vma, vm_file);
		if (!file || !compat_mapping_is_shared(vma))
			continue;
		if (watch_depth)
			watch_by_directory((__u64)BPF_CORE_READ(file, f_path.dentry));
		watch = watch_inode(BPF_CORE_READ(file, f_inode), &id, false);
		if (watch && watch->flags & IOLENS_WATCH_CALLS && (id.ino != ino || id.dev != dev))
			return vma;
	}
	return 0;
}

/* Does msync() with these arguments write anything back? */
static __always_inline bool range_is_synced(const struct call_thread *t)
{
	return (t->values[2] & (MS_SYNC | MS_ASYNC)) == MS_SYNC && !(t->values[0] & ((1ULL << page_shift) - 1));
}

static __noinline __u64 range_file(struct iolens_call_event *e, __u64 vma, __u64 *emitted_name, __u32 slot)
{
	struct file *file = BPF_CORE_READ((struct vm_area_struct *)vma, vm_file);

	e->flags &= ~IOLENS_CALL_WATCHED;
	if (file)
		call_open_file(e, file, (__u64)file, emitted_name, slot, false);
	return compat_mapping_end(vma);
}

/* The call begins: its file is the first watched one. A separate function: the caller has no stack left for it. */
static __noinline int range_begin(struct call_thread *t)
{
	__u64 vma = 0;

	if (range_is_synced(t))
		vma = range_watched(t->values[0], t->values[0] + t->values[1], 0, 0);
	if (vma)
		range_file(&t->e, vma, &t->emitted_name, FILE_SLOT_ENTER);
	if (!(t->e.flags & IOLENS_CALL_WATCHED))
		t->state = CALL_NONE;
	return 0;
}

/* The call has ended, and its event was sent: sends one for each further file. */
static __noinline int range_rest(struct call_thread *t)
{
	__u64 from = t->values[0], vma;

	for (int i = 0; i < RANGE_FILES; i++) {
		vma = range_watched(from, t->values[0] + t->values[1], t->e.ino, t->e.dev);
		if (!vma)
			return 0;
		from = range_file(&t->e, vma, &t->emitted_name, FILE_SLOT_EXIT);
		if (!call_counts(&t->e))
			continue;
		ring_count_seen(1);
		call_send_one(&t->e);
	}
	return 0;
}

#endif
