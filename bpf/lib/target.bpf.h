/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Target of a bio: a file, or other data on the disk. Nothing is guessed. */
#ifndef IOLENS_LIB_TARGET_BPF_H
#define IOLENS_LIB_TARGET_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/block.bpf.h"
#include "lib/compat/btrfs.bpf.h"
#include "lib/compat/fs.bpf.h"
#include "lib/compat/mm.bpf.h"

#include "iolens/bio_end.h"
#include "iolens/event/target.h"

/* Kernel addresses, from /proc/kallsyms; 0: not in this kernel. */
const volatile __u64 end_of_chain = 0;       /* bio_chain_endio */
const volatile __u64 end_of_crypt = 0;       /* crypt_endio */
const volatile __u64 end_of_iomap_dio = 0;   /* iomap_dio_bio_end_io */
const volatile __u64 pool_of_simple_dio = 0; /* iomap_dio_simple_pool, which is data */
const volatile __u64 complete_uring = 0;     /* io_complete_rw */
const volatile __u64 complete_aio = 0;       /* aio_complete_rw */

/* Address of a bi_end_io function → enum iolens_bio_end. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u32);
} bio_ends SEC(".maps");

struct target {
	__u64 inode;  /* of the file */
	__u64 vector; /* the bi_io_vec, or that of the bio that it was cloned from */
	__u32 device; /* raw: block device */
	__u8 kind;    /* enum iolens_target_kind */
	__u8 source;     /* enum iolens_target_source */
	__u16 reserved;
};

/* noinline: clang would hoist the relocated offset above the check that the field exists. */
static __noinline __u64 target_simple_dio_inode(__u64 bio) { return compat_simple_dio_inode(bio); }
static __noinline __u64 target_crypt_base(__u64 io) { return compat_crypt_base(io); }
static __noinline __u64 target_btrfs_inode(__u64 bio) { return compat_btrfs_inode(bio); }

static __noinline __u64 target_btrfs_direct(__u64 owner) { return compat_btrfs_direct_inode(owner); }
static __noinline __u64 target_btrfs_compressed(__u64 owner) { return compat_btrfs_compressed_inode(owner); }
static __noinline __u64 target_btrfs_end(__u64 bio, __u64 *owner) { return compat_btrfs_end(bio, owner); }
static __noinline __u64 target_btrfs_queued_end(__u64 *owner) { return compat_btrfs_queued_end(owner); }

static __always_inline void target_is(struct target *found, __u8 kind, __u8 source)
{
	found->kind = kind;
	found->source = source;
}

/* The bio holds data of this inode: that of a file, or one internal to a filesystem or block device. */
static __always_inline void target_inode(struct target *found, __u64 inode, __u8 source)
{
	__u32 mode = BPF_CORE_READ((struct inode *)inode, i_mode) & S_IFMT;

	if (mode == 0060000) { /* page cache of a block device: metadata if a mounted filesystem claimed it */
		found->device = BPF_CORE_READ(compat_bdev(inode), bd_dev);
		target_is(found, BPF_CORE_READ(compat_bdev(inode), bd_holder) ? IOLENS_TARGET_METADATA : IOLENS_TARGET_RAW, source);
	} else if (!mode || (BPF_CORE_READ((struct inode *)inode, i_sb, s_magic) == BTRFS_SUPER_MAGIC &&
			     BPF_CORE_READ((struct inode *)inode, i_ino) == 1)) { /* a filesystem's own, as btrfs's trees */
		target_is(found, IOLENS_TARGET_METADATA, source);
	} else {
		found->inode = inode;
		target_is(found, IOLENS_TARGET_FILE, source);
	}
}

static __always_inline __u32 target_end(__u64 function)
{
	__u32 *end = function ? bpf_map_lookup_elem(&bio_ends, &function) : 0;

	return end ? *end : IOLENS_BIO_END_NONE;
}

static __always_inline void target_raw(struct target *found, struct bio *bio)
{
	found->device = compat_bio_device(bio);
	target_is(found, IOLENS_TARGET_RAW, IOLENS_TARGET_SOURCE_DIO);
}

/*
 * Are the pages of a bio page cache rather than a program's buffer? Checked if bi_end_io does not identify direct I/O:
 * its pages may belong to another file, mapped into the program's memory. Mapped pages are up to date, pages being read
 * into the cache are not; and direct writes have REQ_IDLE, writeback never does.
 */
static __always_inline bool target_is_cache(__u32 opf, __u64 head)
{
	if (compat_block_op(opf) == IOLENS_OP_READ)
		return !compat_is_uptodate(head);
	return !(opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_IDLE)));
}

/* Target of a bio that reads or writes. bi_end_io is checked before the pages: the pages of direct I/O may belong to
 * another file, mapped into the program's memory. */
static __always_inline void target_of(struct bio *bio, struct target *found)
{
	__u64 end = (__u64)bio->bi_end_io, owner = (__u64)bio->bi_private, page, mapping, inode, vector, complete, above;
	struct bio *parent = bio, *source = bio;
	__u32 kind;
	bool meta;

	for (int i = 0; i < 4 && end; i++) {
		if (end == end_of_chain) { /* part of a split bio, chained to the rest; iomap chains bios of one file */
			parent = (struct bio *)owner;
		} else if (end == end_of_crypt) { /* encrypted copy of the pages of another bio */
			above = target_crypt_base(owner);
			if (!above)
				break;
			parent = source = (struct bio *)above;
		} else {
			break;
		}
		end = (__u64)BPF_CORE_READ(parent, bi_end_io);
		owner = (__u64)BPF_CORE_READ(parent, bi_private);
	}
	if (end == end_of_iomap_dio && end) {
		struct kiocb *iocb = BPF_CORE_READ((struct iomap_dio *)owner, iocb);

		complete = (__u64)BPF_CORE_READ(iocb, ki_complete);
		found->inode = (__u64)BPF_CORE_READ(iocb, ki_filp, f_inode);
		target_is(found, IOLENS_TARGET_FILE,
			  complete && complete == complete_uring ? IOLENS_TARGET_SOURCE_URING :
			  complete && complete == complete_aio   ? IOLENS_TARGET_SOURCE_AIO :
								   IOLENS_TARGET_SOURCE_DIO);
		return;
	}
	if (pool_of_simple_dio && (__u64)BPF_CORE_READ(parent, bi_pool) == pool_of_simple_dio) {
		found->inode = target_simple_dio_inode((__u64)parent);
		if (found->inode) {
			target_is(found, IOLENS_TARGET_FILE, IOLENS_TARGET_SOURCE_DIO);
			return;
		}
	}
	/* unless the checks below find more */
	meta = compat_block_flags(bio->bi_opf) & IOLENS_BLOCK_META;
	target_is(found, meta ? IOLENS_TARGET_METADATA : IOLENS_TARGET_ANONYMOUS, IOLENS_TARGET_SOURCE_NONE);
	switch (target_end(end)) {
	case IOLENS_BIO_END_BTRFS:
		inode = target_btrfs_inode((__u64)parent);
		if (!inode) {
			kind = target_end(target_btrfs_end((__u64)parent, &owner));
			if (kind == IOLENS_BIO_END_BTRFS_QUEUED)
				kind = target_end(target_btrfs_queued_end(&owner));
			switch (kind) {
			case IOLENS_BIO_END_BTRFS_DIRECT:
				inode = target_btrfs_direct(owner);
				break;
			case IOLENS_BIO_END_BTRFS_COMPRESSED:
				inode = target_btrfs_compressed(owner);
				break;
			}
		}
		if (inode) {
			target_inode(found, inode, IOLENS_TARGET_SOURCE_FS);
			return;
		}
		break;
	case IOLENS_BIO_END_BUFFER:
		/* before the page: the journal may write pages of a file */
		if (target_end(compat_buffer_end(owner)) == IOLENS_BIO_END_JOURNAL) {
			target_is(found, IOLENS_TARGET_JOURNAL, IOLENS_TARGET_SOURCE_FS);
			return;
		}
		break;
	case IOLENS_BIO_END_JOURNAL:
		target_is(found, IOLENS_TARGET_JOURNAL, IOLENS_TARGET_SOURCE_FS);
		return;
	case IOLENS_BIO_END_METADATA:
		target_is(found, IOLENS_TARGET_METADATA, IOLENS_TARGET_SOURCE_FS);
		return;
	case IOLENS_BIO_END_SWAP:
		target_is(found, IOLENS_TARGET_SWAP, IOLENS_TARGET_SOURCE_FS);
		return;
	case IOLENS_BIO_END_RAW:
		target_raw(found, bio);
		return;
	case IOLENS_BIO_END_WAIT:
		/* if nobody claimed the device, a program's I/O; else a filesystem's, or swap */
		if (!compat_bio_holder(bio))
			target_raw(found, bio);
		return;
	}
	if (compat_is_swap(bio->bi_opf)) {
		target_is(found, IOLENS_TARGET_SWAP, IOLENS_TARGET_SOURCE_FS);
		return;
	}
	vector = (__u64)BPF_CORE_READ(source, bi_io_vec); /* numbers: no arithmetic on typed pointers */
	if (!vector)
		return;
	found->vector = vector;
	vector += BPF_CORE_READ(source, bi_iter.bi_idx) * bpf_core_type_size(struct bio_vec);
	page = (__u64)BPF_CORE_READ((struct bio_vec *)vector, bv_page);
	if (!page)
		return;
	page = compat_head_page(page);
	if (!end_of_iomap_dio && !target_is_cache(bio->bi_opf, page))
		return;
	mapping = compat_mapping(page);
	if (mapping & 3) /* anonymous memory: a program's buffer */
		return;
	inode = mapping ? (__u64)BPF_CORE_READ((struct address_space *)mapping, host) : 0;
	/* a filesystem's private buffers may not be page cache pages, and store something else there */
	if (inode && (__u64)BPF_CORE_READ((struct inode *)inode, i_mapping) == mapping)
		target_inode(found, inode, IOLENS_TARGET_SOURCE_PAGE);
}

#endif
