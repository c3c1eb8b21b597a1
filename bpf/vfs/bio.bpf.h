/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bios of watched files. */
#ifndef IOLENS_VFS_BIO_BPF_H
#define IOLENS_VFS_BIO_BPF_H

#include "lib/bio.bpf.h"
#include "lib/compat/base.bpf.h"
#include "lib/compat/block.bpf.h"
#include "lib/compat/fs.bpf.h"
#include "lib/target.bpf.h"
#include "lib/watch.bpf.h"
#include "vfs/access.bpf.h"

#include "iolens/event/block.h"
#include "iolens/event/vfs.h"
#include "iolens/watch.h"

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

/* A bio's operation is stored as an access's and matched with the filter on accesses. */
_Static_assert((int)IOLENS_VFS_READ == (int)IOLENS_OP_READ && (int)IOLENS_VFS_WRITE == (int)IOLENS_OP_WRITE,
	       "the enums agree on reads and writes");

/* A bio enters the block layer. Runs in the context of the task that submits it. */
static __always_inline int on_bio_queue(__u64 *ctx)
{
	struct bio *bio = compat_bio_queue(ctx);
	__u8 op = compat_block_op(bio->bi_opf);
	__u32 size = bio->bi_iter.bi_size;
	struct iolens_vfs_event e = {};
	struct target target = {};
	struct iolens_watch *watch;
	struct gendisk *disk;
	__u64 inode;

	if (op > IOLENS_OP_WRITE || !size || !vfs_asked_for(op))
		return 0;
	target_of(bio, &target);
	inode = target.inode;
	if (!inode)
		return 0;
	watch = watch_inode_or_directory((struct inode *)inode, &e.id);
	if (!watch)
		return 0;
	disk = compat_bio_disk(bio);
	e.disk = compat_disk_dev(disk);
	if (watch->disk && watch->disk != e.disk) /* on a disk below the filesystem's own */
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
	if (!bio_becomes_request(disk))
		e.flags = IOLENS_VFS_BIO;
	e.start = bpf_ktime_get_boot_ns();
	vfs_bio_put((__u64)bio, &e);
	return 0;
}

/* A bio is split: each part is an event. */
static __always_inline int on_bio_split(__u64 *ctx)
{
	__u64 rest;
	struct bio *bio = bio_split(ctx, &rest);
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

/* A bio of asynchronous direct I/O ends. The kiocb's completion has a probe of its own, but the kernel skips it in
 * an interrupt that arrives while another kprobe's program runs on this CPU. Tracepoints are not skipped: if this is
 * the last bio, the end is known nevertheless. */
static __always_inline void vfs_direct_ended(struct bio *bio, __s32 error, __u64 now)
{
	struct iolens_vfs_event *e;
	struct vfs_key key = {};
	__s64 result = 0;
	__u64 iocb;

	if (!end_of_iomap_dio || !(levels & 1 << IOLENS_LEVEL_VFS) ||
	    (__u64)BPF_CORE_READ(bio, bi_end_io) != end_of_iomap_dio)
		return;
	key.what = iocb = compat_direct_result(BPF_CORE_READ(bio, bi_private), !(BPF_CORE_READ(bio, bi_opf) & 1), &result);
	e = bpf_map_lookup_elem(&accesses, &key);
	if (!e || !(e->flags & IOLENS_VFS_ASYNC))
		return;
	e->flags |= IOLENS_VFS_ENDED;
	e->h.ts = now;
	e->result = error ? -(__s64)error : result;
	if (e->op == IOLENS_VFS_WRITE && e->result > 0) {
		__u64 position = BPF_CORE_READ((struct kiocb *)iocb, ki_pos); /* not yet advanced */

		if (position > e->address) /* an appending write */
			e->address = position;
	}
}

/* A bio has ended; its current position is `sector`, or ~0 if unknown. */
static __always_inline int vfs_bio_ended(__u64 key, __u64 sector, __s32 error, __u64 now)
{
	struct iolens_vfs_event *e = bpf_map_lookup_elem(&bios, &key);

	if (!e)
		return 0;
	if (sector != ~0ULL && sector != e->address + (e->result >> 9)) { /* the old bio was not seen to complete */
		vfs_send_unended(e);
		vfs_bio_forget(key);
		return 0;
	}
	if (e->result && !error) /* an earlier part may have failed */
		error = compat_errno(BPF_CORE_READ((struct bio *)key, bi_status));
	e->h.ts = now;
	e->result = error ? -(__s64)error : (__s64)e->requested;
	vfs_send(e);
	vfs_bio_forget(key);
	vfs_direct_ended((struct bio *)key, error, now);
	return 0;
}

/* A separate function, so that the verifier checks it once rather than per iteration of the loop below. */
__noinline int vfs_bio_end(__u64 key, __u64 sector, __s32 error, __u64 now)
{
	return vfs_bio_ended(key, sector, error, now);
}

/* The first `bytes` of a bio that is larger are complete. Until the bio ends, `result` is the number of such bytes. */
__noinline int vfs_bio_part(__u64 key, __u64 sector, __u32 bytes)
{
	struct iolens_vfs_event *e = bpf_map_lookup_elem(&bios, &key);

	if (e && sector == e->address + (e->result >> 9) && (__u64)e->result + bytes < e->requested)
		e->result += bytes;
	return 0;
}

/* Part or all of a request is completed: ends the bios that the bytes cover. Runs in interrupt context. */
static __always_inline int on_rq_complete(__u64 *ctx)
{
	struct request *rq = (void *)ctx[0];
	__u32 error = compat_errno((__s32)ctx[1]), left = (__u32)ctx[2];
	__u64 now, bio = (__u64)BPF_CORE_READ(rq, bio); /* a number: a global function takes no pointers */

	if (!bios_open || !bio)
		return 0;
	now = bpf_ktime_get_boot_ns();
	for (int i = 0; i < 256 && bio; i++) {
		__u32 size = BPF_CORE_READ((struct bio *)bio, bi_iter.bi_size);
		__u64 sector = BPF_CORE_READ((struct bio *)bio, bi_iter.bi_sector);

		if (size > left) {
			if (left)
				vfs_bio_part(bio, sector, left);
			return 0;
		}
		left -= size;
		vfs_bio_end(bio, sector, error, now);
		bio = bio_next(bio);
	}
	return 0;
}

/* A bio ends that is not part of a request. */
static __always_inline int on_bio_complete(__u64 *ctx)
{
	struct bio *bio;
	__u32 error;

	if (!bios_open)
		return 0;
	bio = bio_ended(ctx, &error);
	vfs_bio_ended((__u64)bio, ~0ULL, error, bpf_ktime_get_boot_ns());
	return 0;
}

#endif
