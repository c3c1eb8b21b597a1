/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens to watched files: accesses as they enter a filesystem, and the bios that it submits for them.
 *
 * At the VFS the places are the filesystem's own functions (struct file_operations: read_iter, write_iter, splice_read,
 * fsync), which every way in passes: read, vectored, libaio, io_uring, sendfile. Their names differ, so user space looks
 * up the addresses that iolens_resolve tells and attaches there. Each program is there twice, over one body: for fentry and fexit, and
 * for kprobes. Where neither is to be had, bpf/syscall.bpf.c sees the calls instead; bios are seen everywhere.
 *
 * An access that its call doesn't wait for returns EIOCBQUEUED from read_iter, and ends when its kiocb's ki_complete is
 * called: aio_complete_rw, io_complete_rw. Its state is kept by kiocb from the start, since the end may come before the
 * return.
 */
#include "lib/compat.bpf.h"
#include "lib/file.bpf.h"
#include "lib/keep.bpf.h"
#include "lib/origin.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "lib/watch.bpf.h"

#include "iolens/event/vfs.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EAGAIN 11
#define EIOCBQUEUED 529

/* What tells one access from others under way: its kiocb, or thread and file. */
struct vfs_key {
	__u64 what;
	__u64 thread;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* set before load */
	__type(key, struct vfs_key);
	__type(value, struct iolens_vfs_event);
} accesses SEC(".maps");

/* A kretprobe is not told what the function was given: by thread and stack pointer. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct vfs_key);
	__type(value, struct vfs_key);
} frames SEC(".maps");

/* By bio. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* set before load */
	__type(key, __u64);
	__type(value, struct iolens_vfs_event);
} bios SEC(".maps");

/* Entries of `bios`: while there are none, no end is looked up. */
__s64 bios_open = 0;

const volatile __u32 levels = 3; /* bit (1 << enum iolens_vfs_level): asked for */

/* Is a file watched here? Its accesses may be seen as system calls instead. */
static __always_inline bool vfs_watched(struct file *file, struct iolens_file_id *id, bool direct)
{
	struct iolens_watch *watch = watch_file(file, id, direct);

	return watch && !(watch->flags & IOLENS_WATCH_CALLS);
}

static __always_inline bool vfs_asked_for(__u8 op)
{
	return !keep.ops || (keep.ops >> op & 1);
}

static __always_inline void vfs_count_filtered(void)
{
	struct iolens_counters *n = ring_counters();

	if (!n)
		return;
	ring_count(n, seen);
	ring_count(n, filtered);
}

/* The end of an access or bio that was counted as seen: one record, or a count of why there is none. */
static __always_inline void vfs_send(struct iolens_vfs_event *e)
{
	struct iolens_counters *n = ring_counters();

	if (!n)
		return;
	e->flags &= IOLENS_VFS_TOLD;
	if (!(e->flags & IOLENS_VFS_NO_END) && e->h.ts - e->start < keep.min_ns) {
		ring_count(n, filtered);
		return;
	}
	if (e->flags & IOLENS_VFS_MISSED)
		ring_count(n, no_end);
	ring_send_often(n, &e->h, IOLENS_KIND_VFS, sizeof(*e));
}

/* Who runs. False: somebody that isn't asked for. */
static __always_inline bool vfs_task(struct iolens_vfs_event *e)
{
	__u64 id = task_id();

	e->tgid = id >> 32;
	e->tid = (__u32)id;
	task_put_host_ids(e);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->cgroup_id = bpf_get_current_cgroup_id();
	return keep_task(e->tgid, e->tid, e->comm);
}

/* The name of an open file, told where it wasn't. A number: the function that tells takes no typed pointer. */
static __always_inline __u64 vfs_name(__u64 file, __u32 slot)
{
	struct file_facts f = {};

	file_look((struct file *)file, &f, false);
	if (!file_known(&f.name_id))
		file_tell(file + bpf_core_field_offset(struct file, f_path), f.name_id, f.kind, slot);
	return f.name_id;
}

/* Sends an access whose end was missed. */
static __always_inline void vfs_send_unended(struct iolens_vfs_event *e)
{
	if (!(e->flags & IOLENS_VFS_ENDED)) {
		e->h.ts = bpf_ktime_get_boot_ns();
		e->flags |= IOLENS_VFS_NO_END | IOLENS_VFS_MISSED;
	}
	vfs_send(e);
}

/* Puts in what has begun, in the place of one whose end was not seen, if there is such a one. Returns 1 for a new entry. */
static __always_inline int vfs_put(void *map, const void *key, const struct iolens_vfs_event *e)
{
	struct iolens_vfs_event *old;
	struct iolens_counters *n;

	ring_count_seen(1);
	if (!bpf_map_update_elem(map, key, e, BPF_NOEXIST))
		return 1;
	old = bpf_map_lookup_elem(map, key);
	if (old)
		vfs_send_unended(old);
	if (bpf_map_update_elem(map, key, e, BPF_EXIST) && (n = ring_counters()))
		ring_count(n, state_full);
	return 0;
}

struct vfs_asked {
	__u64 address;
	__u64 bytes;
	__u16 flags;
	__u8 op;
};

/* A watched file is accessed. */
static __always_inline void vfs_begin(struct vfs_key *key, __u64 file, const struct vfs_asked *asked,
				      const struct iolens_file_id *id, __u32 slot)
{
	struct iolens_vfs_event e = {};

	if (!vfs_asked_for(asked->op) || !(levels & 1 << IOLENS_LEVEL_VFS))
		return;
	if (!vfs_task(&e)) {
		vfs_count_filtered();
		return;
	}
	e.id = *id;
	e.name_id = vfs_name(file, slot);
	e.address = asked->address;
	e.requested = asked->bytes;
	e.flags = asked->flags;
	e.op = asked->op;
	e.level = IOLENS_LEVEL_VFS;
	e.start = bpf_ktime_get_boot_ns();
	vfs_put(&accesses, key, &e);
}

static __always_inline void vfs_end(struct vfs_key *key, __s64 result)
{
	struct iolens_vfs_event *e = bpf_map_lookup_elem(&accesses, key);

	if (!e)
		return;
	e->h.ts = bpf_ktime_get_boot_ns();
	e->result = result;
	vfs_send(e);
	bpf_map_delete_elem(&accesses, key);
}

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
			/* called again for the same request: io_uring tried it without waiting, or waited for a page */
			again->flags &= ~IOLENS_VFS_TRIED;
			return true;
		} else if (again && again->flags & IOLENS_VFS_TRIED) { /* a try that was given up moved nothing */
			bpf_map_delete_elem(&accesses, key);
			ring_count_seen(-1);
		}
	}
	vfs_begin(key, compat_number((void *)iocb + bpf_core_field_offset(struct kiocb, ki_filp)), &asked, &id, slot);
	return true;
}

/* Where a thread can tell: a kiocb that waits is on its stack. */
static __always_inline void vfs_move_end(struct vfs_key *key, __s64 result)
{
	struct iolens_vfs_event *e;
	struct kiocb *iocb;

	if (result == -EIOCBQUEUED) /* it goes on */
		return;
	if (result == -EAGAIN && complete_uring) { /* io_uring will call it again */
		iocb = (struct kiocb *)key->what; /* apart: a read of the kernel's takes all its fields for the kernel's */
		e = bpf_map_lookup_elem(&accesses, key);
		if (e && (e->flags & IOLENS_VFS_ASYNC) && (__u64)BPF_CORE_READ(iocb, ki_complete) == complete_uring) {
			e->flags |= IOLENS_VFS_TRIED;
			return;
		}
	}
	vfs_end(key, result);
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

/* vfs_fallocate(file, mode, offset, bytes): only what takes a range out. */
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

/* VM_FAULT_ERROR: OOM, SIGBUS, HWPOISON … of vm_fault_t, whose other bits say how it went well. */
static __always_inline __s64 vfs_fault_result(__u64 result)
{
	return (__u32)result & 0x000873 ? -5 : 0;
}

/* Of a kretprobe: what its function was given is found by thread and stack. x86's call leaves its return address on the
 * stack, which the function's return has taken off. */
#if defined(__TARGET_ARCH_x86)
#define VFS_RETURN_ADDRESS 8
#else
#define VFS_RETURN_ADDRESS 0
#endif
static __always_inline void vfs_frame_put(struct pt_regs *regs, struct vfs_key *key)
{
	struct vfs_key frame = {.what = compat_stack(regs) + VFS_RETURN_ADDRESS, .thread = bpf_get_current_pid_tgid()};

	struct iolens_counters *n;

	/* without it its end will not be found; what isn't asked for has no access */
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

/* read_iter and write_iter. fexit is told after the arguments what the function returns. */
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
		if (watch_is_near(iocb->ki_filp->f_inode->i_ino))                                                        \
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

VFS_MOVE(read_iter, IOLENS_VFS_READ, FILE_SLOT_ENTER)
VFS_MOVE(write_iter, IOLENS_VFS_WRITE, FILE_SLOT_EXIT)

/* The end of the other places: a kretprobe's, and the fexit's with the key's first part and the result. */
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

SEC("fentry")
int iolens_splice_read(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_splice_begin((struct file *)ctx[0], compat_number(ctx), ctx[1], ctx[3], &key, true);
	return 0;
}
SEC("kprobe")
int iolens_splice_read_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_splice_begin((struct file *)ARGUMENT(0), ARGUMENT(0), ARGUMENT(1), ARGUMENT(3), &key, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
VFS_ENDS(splice_read, ctx[0], VFS_WHOLE, 5)

SEC("fentry")
int iolens_fsync(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_sync_begin((struct file *)ctx[0], compat_number(ctx), &key, true);
	return 0;
}
SEC("kprobe")
int iolens_fsync_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_sync_begin((struct file *)ARGUMENT(0), ARGUMENT(0), &key, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
VFS_ENDS(fsync, compat_number(ctx) | 1, VFS_INT, 4)

SEC("fentry")
int iolens_fallocate(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_discard_begin((struct file *)ctx[0], compat_number(ctx), ctx[1], ctx[2], ctx[3], &key, true);
	return 0;
}
SEC("kprobe")
int iolens_fallocate_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_discard_begin((struct file *)ARGUMENT(0), ARGUMENT(0), ARGUMENT(1), ARGUMENT(2), ARGUMENT(3), &key, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
VFS_ENDS(fallocate, compat_number(ctx) | 2, VFS_INT, 4)

/* A page of a mapping that isn't there: it is read in, and waited for. */
SEC("fentry")
int iolens_fault(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_fault_begin((struct vm_fault *)ctx[0], compat_number(ctx), &key, 0, FILE_SLOT_FAULT, true);
	return 0;
}
SEC("kprobe")
int iolens_fault_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_fault_begin((struct vm_fault *)ARGUMENT(0), ARGUMENT(0), &key, 0, FILE_SLOT_FAULT, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
VFS_ENDS(fault, ctx[0], vfs_fault_result, 1)

/* One that is there, and is to be written to for the first time since it was clean. The function's further arguments, and
 * so the place of its result, differ; a fault in a shared mapping that fails says so by a signal. */
SEC("fentry")
int iolens_store(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_fault_begin((struct vm_fault *)ctx[0], compat_number(ctx), &key, IOLENS_VFS_STORE, FILE_SLOT_STORE, true);
	return 0;
}
SEC("kprobe")
int iolens_store_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_fault_begin((struct vm_fault *)ARGUMENT(0), ARGUMENT(0), &key, IOLENS_VFS_STORE, FILE_SLOT_STORE, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
#define VFS_NOTHING(result) ((void)(result), 0)
VFS_ENDS(store, compat_number(ctx) | 1, VFS_NOTHING, 0)

/* The end of a request that its call did not wait for: ki_complete(kiocb, result). */
#define VFS_COMPLETE(name)                                                                                               \
	SEC("fentry")                                                                                                    \
	int iolens_complete_##name(__u64 *ctx)                                                                           \
	{                                                                                                                \
		struct vfs_key key = {.what = ctx[0]};                                                                   \
                                                                                                                         \
		vfs_end(&key, ctx[1]);                                                                                   \
		return 0;                                                                                                \
	}                                                                                                                \
	SEC("kprobe")                                                                                                    \
	int iolens_complete_##name##_kprobe(struct pt_regs *ctx)                                                         \
	{                                                                                                                \
		struct vfs_key key = {.what = ARGUMENT(0)};                                                              \
                                                                                                                         \
		vfs_end(&key, ARGUMENT(1));                                                                              \
		return 0;                                                                                                \
	}
VFS_COMPLETE(aio)
VFS_COMPLETE(uring)
VFS_COMPLETE(uring_poll)
VFS_COMPLETE(loop)

/* Faults where there is neither fentry nor kprobes: only that they began. */
static __always_inline void vfs_fault_seen(struct address_space *mapping, __u64 index, __u16 flags)
{
	struct inode *inode = BPF_CORE_READ(mapping, host);
	struct iolens_vfs_event e = {};

	if (!vfs_asked_for(IOLENS_VFS_FAULT) || !(levels & 1 << IOLENS_LEVEL_VFS) || !inode)
		return;
	if (!watch_inode_or_folder(inode, &e.id))
		return;
	if (!vfs_task(&e)) {
		vfs_count_filtered();
		return;
	}
	e.h.ts = e.start = bpf_ktime_get_boot_ns();
	e.address = index << page_shift;
	e.requested = 1ULL << page_shift;
	e.flags = flags | IOLENS_VFS_NO_END;
	e.op = IOLENS_VFS_FAULT;
	e.level = IOLENS_LEVEL_VFS;
	ring_count_seen(1);
	vfs_send(&e);
}

static __always_inline int on_filemap_fault(__u64 *ctx)
{
	vfs_fault_seen((struct address_space *)ctx[0], ctx[1], 0);
	return 0;
}

PROGRAM("mm_filemap_fault", iolens_fault_seen, on_filemap_fault(ctx))

/* A page of the cache is made dirty: by a store, if the thread came into the kernel by an exception. */
static __always_inline int on_dirty(__u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct address_space *mapping = (struct address_space *)ctx[1];

	if (mapping && compat_in_exception(regs)) /* none: a page of a filesystem's own */
		vfs_fault_seen(mapping, compat_folio_index(ctx[0]), IOLENS_VFS_STORE);
	return 0;
}

PROGRAM("writeback_dirty_folio", iolens_store_seen, on_dirty(ctx))

/* The block level. */

static __always_inline void vfs_bio_put(__u64 key, const struct iolens_vfs_event *e)
{
	if (vfs_put(&bios, &key, e))
		__sync_fetch_and_add(&bios_open, 1);
}

static __always_inline void vfs_bio_forget(__u64 key)
{
	if (!bpf_map_delete_elem(&bios, &key))
		__sync_fetch_and_add(&bios_open, -1);
}

/* A bio enters the block layer. Runs in the context of the task that submits it. */
static __always_inline int on_bio_queue(__u64 *ctx)
{
	struct bio *bio = compat_bio_queue(ctx);
	__u8 op = compat_block_op(bio->bi_opf);
	__u32 size = bio->bi_iter.bi_size;
	struct iolens_vfs_event e = {};
	struct origin origin = {};
	struct iolens_watch *watch;
	struct gendisk *disk;
	__u64 inode;

	if (op > IOLENS_OP_WRITE || !size || !vfs_asked_for(op))
		return 0;
	origin_of(bio, &origin);
	inode = origin.inode;
	if (!inode)
		return 0;
	watch = watch_inode_or_folder((struct inode *)inode, &e.id);
	if (!watch)
		return 0;
	disk = compat_bio_disk(bio);
	e.disk = compat_disk_dev(disk);
	if (watch->disk && watch->disk != e.disk) /* of the disks below the filesystem's own */
		return 0;
	if (!vfs_task(&e)) {
		vfs_count_filtered();
		return 0;
	}
	e.first_sector = watch->first_sector;
	e.address = bio->bi_iter.bi_sector;
	e.requested = size;
	e.op = op;
	e.level = IOLENS_LEVEL_BLK;
	if (!disk->queue->mq_ops)
		e.flags = IOLENS_VFS_BIO;
	e.start = bpf_ktime_get_boot_ns();
	vfs_bio_put((__u64)bio, &e);
	return 0;
}

PROGRAM("block_bio_queue", iolens_file_bio_queue, on_bio_queue(ctx))

/* A bio too large for its disk is cut in two: the front part is a new bio, chained to the rest. Each is a row. */
static __always_inline int on_bio_split(__u64 *ctx)
{
	struct bio *bio = compat_bio_split(ctx);
	__u64 rest = (__u64)bio->bi_private;
	struct iolens_vfs_event *whole, front;
	__u32 size = bio->bi_iter.bi_size;

	if (!bios_open)
		return 0;
	whole = bpf_map_lookup_elem(&bios, &rest);
	if (!whole || (whole->flags & IOLENS_VFS_BIO) || whole->requested <= size)
		return 0;
	front = *whole;
	front.requested = size;
	whole->address += size >> 9;
	whole->requested -= size;
	vfs_bio_put((__u64)bio, &front);
	return 0;
}

PROGRAM("block_split", iolens_file_bio_split, on_bio_split(ctx))

/* A bio of a direct I/O that nobody waits for ends. Where its kiocb is completed is told by a probe, which the kernel skips
 * in an interrupt that comes while another kprobe's program runs on this processor. It does not skip tracepoints: if that
 * was the last bio, the end is known all the same. */
static __always_inline void vfs_direct_ended(struct bio *bio, __s32 error, __u64 now)
{
	struct iolens_vfs_event *e;
	struct vfs_key key = {};
	__s64 result = 0;

	if (!end_of_iomap_dio || !(levels & 1 << IOLENS_LEVEL_VFS) ||
	    (__u64)BPF_CORE_READ(bio, bi_end_io) != end_of_iomap_dio)
		return;
	key.what = compat_direct_result(BPF_CORE_READ(bio, bi_private), !(BPF_CORE_READ(bio, bi_opf) & 1), &result);
	e = bpf_map_lookup_elem(&accesses, &key);
	if (!e || !(e->flags & IOLENS_VFS_ASYNC))
		return;
	e->flags |= IOLENS_VFS_ENDED;
	e->h.ts = now;
	e->result = error ? -(__s64)error : result;
}

/* A bio has ended; it is now at `sector`, ~0: not known. */
static __always_inline int vfs_bio_ended(__u64 key, __u64 sector, __s32 error, __u64 now)
{
	struct iolens_vfs_event *e = bpf_map_lookup_elem(&bios, &key);

	if (!e)
		return 0;
	if (sector != ~0ULL && sector != e->address) { /* another bio in the place of one whose end was not seen */
		vfs_send_unended(e);
		vfs_bio_forget(key);
		return 0;
	}
	e->h.ts = now;
	e->result = error ? -(__s64)error : (__s64)e->requested;
	vfs_send(e);
	vfs_bio_forget(key);
	vfs_direct_ended((struct bio *)key, error, now);
	return 0;
}

/* A function of its own, so that the verifier walks it once and not for each turn of the loop below. */
__noinline int vfs_bio_end(__u64 key, __u64 sector, __s32 error, __u64 now)
{
	return vfs_bio_ended(key, sector, error, now);
}

/* Bytes of a request are done, perhaps all: the bios that they are of have ended. Runs in an interrupt of any task. */
static __always_inline int on_rq_complete(__u64 *ctx)
{
	struct request *rq = (void *)ctx[0];
	__u32 error = compat_errno((__s32)ctx[1]), left = (__u32)ctx[2];
	struct bio *bio = BPF_CORE_READ(rq, bio); /* a number: a global function takes no pointers */
	__u64 now;

	if (!bios_open || !bio)
		return 0;
	now = bpf_ktime_get_boot_ns();
	for (int i = 0; i < 256 && bio; i++) {
		__u32 size = BPF_CORE_READ(bio, bi_iter.bi_size);

		if (size > left)
			return 0;
		left -= size;
		vfs_bio_end((__u64)bio, BPF_CORE_READ(bio, bi_iter.bi_sector), error, now);
		bio = BPF_CORE_READ(bio, bi_next);
	}
	return 0;
}

PROGRAM("block_rq_complete", iolens_file_rq_complete, on_rq_complete(ctx))

/* A bio of a disk without requests ends, or one that failed before it came to its disk. */
static __always_inline int on_bio_complete(__u64 *ctx)
{
	struct bio *bio = (void *)ctx[1];

	if (bios_open)
		vfs_bio_ended((__u64)bio, ~0ULL, compat_errno(bio->bi_status), bpf_ktime_get_boot_ns());
	return 0;
}

PROGRAM("block_bio_complete", iolens_file_bio_complete, on_bio_complete(ctx))

/* Not attached: user space runs it with an fd of its own (BPF_PROG_TEST_RUN, 5.10), to learn what the kernel says of the
 * file: what stat says of device and inode isn't always that, and of its functions it says nothing. */
struct iolens_resolved resolved = {};
static const char symbol_format[] = "%ps";

SEC("raw_tp/sys_enter")
int iolens_resolve(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = 0;
	struct file *file = file_of_fd(file_task(false), ctx->args[0], false, &address);
	struct file_facts f = {};
	struct block_device *disk;
	struct inode *inode;

	__builtin_memset(&resolved, 0, sizeof(resolved));
	if (!file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	file_look(file, &f, false);
	resolved.id = f.id;
	resolved.name_id = f.name_id;
	resolved.magic = f.magic;
	resolved.mode = BPF_CORE_READ(inode, i_mode);
	resolved.functions[IOLENS_READ_ITER] = (__u64)BPF_CORE_READ(inode, i_fop, read_iter);
	resolved.functions[IOLENS_WRITE_ITER] = (__u64)BPF_CORE_READ(inode, i_fop, write_iter);
	resolved.functions[IOLENS_SPLICE_READ] = (__u64)BPF_CORE_READ(inode, i_fop, splice_read);
	resolved.functions[IOLENS_FSYNC] = (__u64)BPF_CORE_READ(inode, i_fop, fsync);
	if (compat_has_snprintf()) {
		for (int i = 0; i < IOLENS_FUNCTIONS; i++) {
			__u64 function = resolved.functions[i];

			if (function)
				bpf_snprintf(resolved.names[i], sizeof(resolved.names[i]), symbol_format, &function, sizeof(function));
		}
	}
	disk = BPF_CORE_READ(inode, i_sb, s_bdev);
	if (disk)
		resolved.disk = BPF_CORE_READ(disk, bd_dev);
	resolved.found = 1;
	return 0;
}
