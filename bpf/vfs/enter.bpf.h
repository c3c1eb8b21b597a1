/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entry points of a filesystem. */
#ifndef IOLENS_VFS_ENTER_BPF_H
#define IOLENS_VFS_ENTER_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/regs.bpf.h"
#include "lib/file.bpf.h"
#include "lib/target.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/watch.bpf.h"
#include "vfs/access.bpf.h"

#include "iolens/event/file.h"
#include "iolens/event/loss.h"
#include "iolens/event/vfs.h"

/* read_iter, write_iter(kiocb, iov_iter): also for libaio and io_uring. */
static __always_inline bool vfs_move_begin(struct kiocb *iocb, struct iov_iter *iter, struct vfs_key *key, __u8 op,
					   __u32 slot, bool direct)
{
	struct file *file = file_read(direct, iocb, ki_filp);
	struct iolens_file_id id = {};
	struct vfs_asked asked = {.op = op};
	struct iolens_vfs_event *again;

	if (!vfs_watched(file, &id, direct))
		return false;
	key->what = (__u64)iocb;
	asked.address = file_read(direct, iocb, ki_pos);
	asked.bytes = file_read(direct, iter, count);
	if (file_read(direct, iocb, ki_complete)) {
		asked.flags = IOLENS_VFS_ASYNC;
		again = bpf_map_lookup_elem(&accesses, key);
		if (again && again->flags & IOLENS_VFS_ENDED) {
			vfs_send(again);
			bpf_map_delete_elem(&accesses, key);
		} else if (again && again->id.ino == id.ino && again->address == asked.address && again->op == op &&
			   again->requested == asked.bytes) {
			/* called again for the same request: io_uring tried it without blocking, or waited for a
			 * page */
			again->flags &= ~IOLENS_VFS_TRIED;
			return true;
		} else if (again && again->flags & IOLENS_VFS_TRIED) { /* an abandoned attempt transferred nothing */
			bpf_map_delete_elem(&accesses, key);
			ring_count_seen(-1);
		}
	}
	vfs_begin(key, compat_number((void *)iocb + bpf_core_field_offset(struct kiocb, ki_filp)), &asked, &id, slot);
	return true;
}

/* A read or write is complete. An appending write (O_APPEND, RWF_APPEND) gets its position in the filesystem, under the
 * inode's lock; afterwards ki_pos is the end of what was written. */
static __always_inline void vfs_move_complete(struct vfs_key *key, __s64 result)
{
	struct iolens_vfs_event *e = bpf_map_lookup_elem(&accesses, key);
	struct kiocb *iocb = (struct kiocb *)key->what; /* separate: BPF_CORE_READ would relocate key->what */
	__u64 end;

	if (!e)
		return;
	if (e->op == IOLENS_VFS_WRITE && result > 0) {
		end = BPF_CORE_READ(iocb, ki_pos);
		if (end > e->address + result)
			e->address = end - result;
	}
	vfs_end(key, result);
}

/* For synchronous access, the kiocb is on the stack of the thread. */
static __always_inline void vfs_move_end(struct vfs_key *key, __s64 result)
{
	struct iolens_vfs_event *e;
	struct kiocb *iocb;

	if (result == -EIOCBQUEUED) /* still in progress */
		return;
	if (result == -EAGAIN && complete_uring) { /* io_uring will call it again */
		iocb = (struct kiocb *)key->what; /* separate: BPF_CORE_READ would relocate key->what */
		e = bpf_map_lookup_elem(&accesses, key);
		if (e && (e->flags & IOLENS_VFS_ASYNC) && (__u64)BPF_CORE_READ(iocb, ki_complete) == complete_uring) {
			e->flags |= IOLENS_VFS_TRIED;
			return;
		}
	}
	vfs_move_complete(key, result);
}

/* splice_read(file, position, pipe, bytes, flags): sendfile, splice, copy_file_range. */
static __always_inline bool vfs_splice_begin(struct file *file, __u64 number, __u64 position, __u64 bytes,
					     struct vfs_key *key, bool direct)
{
	struct vfs_asked asked = {.bytes = bytes, .op = IOLENS_VFS_READ};
	struct iolens_file_id id = {};

	if (!vfs_watched(file, &id, direct))
		return false;
	key->what = (__u64)file;
	key->thread = bpf_get_current_pid_tgid();
	bpf_probe_read_kernel(&asked.address, sizeof(asked.address), (void *)position);
	vfs_begin(key, number, &asked, &id, FILE_SLOT_SPLICE);
	return true;
}

/* fsync(file, start, end, datasync). */
static __always_inline bool vfs_sync_begin(struct file *file, __u64 number, struct vfs_key *key, bool direct)
{
	struct vfs_asked asked = {.op = IOLENS_VFS_FSYNC, .flags = IOLENS_VFS_NO_ADDRESS};
	struct iolens_file_id id = {};

	if (!vfs_watched(file, &id, direct))
		return false;
	key->what = number | 1;
	key->thread = bpf_get_current_pid_tgid();
	vfs_begin(key, number, &asked, &id, FILE_SLOT_SYNC);
	return true;
}

/* vfs_fallocate(file, mode, offset, bytes): only modes that remove a range. */
static __always_inline bool vfs_discard_begin(struct file *file, __u64 number, __u32 mode, __u64 offset,
					      __u64 bytes, struct vfs_key *key, bool direct)
{
	struct vfs_asked asked = {.address = offset, .bytes = bytes, .op = IOLENS_VFS_DISCARD};
	struct iolens_file_id id = {};

	if (!(mode & (2 | 8))) /* FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE */
		return false;
	if (!vfs_watched(file, &id, direct))
		return false;
	key->what = number | 2;
	key->thread = bpf_get_current_pid_tgid();
	vfs_begin(key, number, &asked, &id, FILE_SLOT_DISCARD);
	return true;
}

const volatile __u32 page_shift = 12;

/* filemap_fault(vm_fault), do_page_mkwrite(vm_fault, …). */
static __always_inline bool vfs_fault_begin(struct vm_fault *fault, __u64 number, struct vfs_key *key,
					    __u16 flags, __u32 slot, bool direct)
{
	struct vfs_asked asked = {.bytes = 1ULL << page_shift, .op = IOLENS_VFS_FAULT, .flags = flags};
	struct file *file = direct ? fault->vma->vm_file : BPF_CORE_READ(fault, vma, vm_file);
	struct iolens_file_id id = {};

	if (!file || !vfs_watched(file, &id, direct))
		return false;
	key->what = number | (flags ? 1 : 0);
	key->thread = bpf_get_current_pid_tgid();
	asked.address = file_read(direct, fault, pgoff) << page_shift;
	vfs_begin(key, compat_number((void *)BPF_CORE_READ(fault, vma) + bpf_core_field_offset(struct vm_area_struct, vm_file)),
		  &asked, &id, slot);
	return true;
}

/* VM_FAULT_ERROR: OOM, SIGBUS, HWPOISON … of vm_fault_t; its other bits describe kinds of success. */
static __always_inline __s64 vfs_fault_result(__u64 result)
{
	return (__u32)result & VM_FAULT_ERROR ? -EIO : 0;
}

/* For kretprobes: finds the arguments by thread and stack pointer. The x86 call instruction pushes the return
 * address, which the return has already popped. */
#if defined(__TARGET_ARCH_x86)
#define VFS_RETURN_ADDRESS 8
#else
#define VFS_RETURN_ADDRESS 0
#endif
static __always_inline void vfs_frame_put(struct pt_regs *regs, struct vfs_key *key)
{
	struct vfs_key frame = {.what = compat_stack(regs) + VFS_RETURN_ADDRESS, .thread = bpf_get_current_pid_tgid()};

	struct iolens_counters *n;

	/* without it the end can't be matched; a call excluded by the filters has no access */
	if (bpf_map_update_elem(&frames, &frame, key, BPF_ANY) && !bpf_map_delete_elem(&accesses, key) &&
	    (n = ring_counters())) {
		ring_count(n, state_full);
		ring_count(n, frames_full);
	}
}
static __always_inline bool vfs_frame_take(struct pt_regs *regs, struct vfs_key *key)
{
	struct vfs_key frame = {.what = compat_stack(regs), .thread = bpf_get_current_pid_tgid()}, *found;

	found = bpf_map_lookup_elem(&frames, &frame);
	if (!found)
		return false;
	*key = *found;
	bpf_map_delete_elem(&frames, &frame);
	return true;
}

#define ARGUMENT(n) compat_function_argument(ctx, n)

/* read_iter and write_iter. The context of fexit has the return value after the arguments. */
#define VFS_MOVE(name, op, slot)                                                                                         \
	SEC("fentry")                                                                                                    \
	int iolens_##name(__u64 *ctx)                                                                                    \
	{                                                                                                                \
		struct vfs_key key = {};                                                                                 \
                                                                                                                         \
		vfs_move_begin((struct kiocb *)ctx[0], (struct iov_iter *)ctx[1], &key, op, slot, true);                 \
		return 0;                                                                                                \
	}                                                                                                                \
	SEC("fexit")                                                                                                     \
	int iolens_##name##_end(__u64 *ctx)                                                                              \
	{                                                                                                                \
		struct kiocb *iocb = (struct kiocb *)ctx[0];                                                             \
		struct vfs_key key = {.what = (__u64)iocb};                                                              \
                                                                                                                         \
		if (watch_maybe_inode(iocb->ki_filp->f_inode, true))                                                     \
			vfs_move_end(&key, ctx[2]);                                                                      \
		return 0;                                                                                                \
	}                                                                                                                \
	SEC("kprobe")                                                                                                    \
	int iolens_##name##_kprobe(struct pt_regs *ctx)                                                                  \
	{                                                                                                                \
		struct vfs_key key = {};                                                                                 \
                                                                                                                         \
		if (vfs_move_begin((struct kiocb *)ARGUMENT(0), (struct iov_iter *)ARGUMENT(1), &key, op, slot, false))  \
			vfs_frame_put(ctx, &key);                                                                        \
		return 0;                                                                                                \
	}                                                                                                                \
	SEC("kretprobe")                                                                                                 \
	int iolens_##name##_end_kprobe(struct pt_regs *ctx)                                                              \
	{                                                                                                                \
		struct vfs_key key;                                                                                      \
                                                                                                                         \
		if (vfs_frame_take(ctx, &key))                                                                           \
			vfs_move_end(&key, compat_function_result(ctx));                                                 \
		return 0;                                                                                                \
	}

/* Ends of the other functions: kretprobe, and fexit with the first part of the key and the index of the return
 * value. */
#define VFS_ENDS(name, first, result_, returned)                                                                         \
	SEC("fexit")                                                                                                     \
	int iolens_##name##_end(__u64 *ctx)                                                                              \
	{                                                                                                                \
		struct vfs_key key = {.what = first, .thread = bpf_get_current_pid_tgid()};                              \
                                                                                                                         \
		vfs_end(&key, result_(ctx[returned]));                                                                   \
		return 0;                                                                                                \
	}                                                                                                                \
	SEC("kretprobe")                                                                                                 \
	int iolens_##name##_end_kprobe(struct pt_regs *ctx)                                                              \
	{                                                                                                                \
		struct vfs_key key;                                                                                      \
                                                                                                                         \
		if (vfs_frame_take(ctx, &key))                                                                           \
			vfs_end(&key, result_(compat_function_result(ctx)));                                             \
		return 0;                                                                                                \
	}
#define VFS_WHOLE(result) ((__s64)(result))
#define VFS_INT(result) ((__s64)(__s32)(result))

#define VFS_NOTHING(result) ((void)(result), 0)

/* Completion of an asynchronous request: ki_complete(kiocb, result). */
#define VFS_COMPLETE(name)                                                                                               \
	SEC("fentry")                                                                                                    \
	int iolens_complete_##name(__u64 *ctx)                                                                           \
	{                                                                                                                \
		struct vfs_key key = {.what = ctx[0]};                                                                   \
                                                                                                                         \
		vfs_move_complete(&key, ctx[1]);                                                                                   \
		return 0;                                                                                                \
	}                                                                                                                \
	SEC("kprobe")                                                                                                    \
	int iolens_complete_##name##_kprobe(struct pt_regs *ctx)                                                         \
	{                                                                                                                \
		struct vfs_key key = {.what = ARGUMENT(0)};                                                              \
                                                                                                                         \
		vfs_move_complete(&key, ARGUMENT(1));                                                                              \
		return 0;                                                                                                \
	}

#endif
