/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: requests, bios and disks. */
#ifndef IOLENS_LIB_COMPAT_BLOCK_BPF_H
#define IOLENS_LIB_COMPAT_BLOCK_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/cast.bpf.h"

#include "iolens/event/block.h"

CAST_TYPE(bio);
CAST_TYPE(request);

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct request___rq_disk {
	struct gendisk *rq_disk;
};
struct request___flush_list {
	struct {
		struct list_head list;
	} flush;
};
struct block_device___partno {
	u8 bd_partno;
};
struct block_device___flags {
	struct {
		int counter;
	} __bd_flags;
};
struct bio___bi_disk {
	struct gendisk *bi_disk;
};

enum req_flag_bits___swap {
	__REQ_SWAP___swap,
};

struct dm_crypt_io___base {
	struct bio *base_bio;
};

/* Prototypes of tracepoints with a leading request_queue argument. */
typedef void (*btf_trace_block_rq_issue___q)(void *, struct request_queue *, struct request *);
typedef void (*btf_trace_block_rq_requeue___q)(void *, struct request_queue *, struct request *);
typedef void (*btf_trace_block_bio_queue___q)(void *, struct request_queue *, struct bio *);
typedef void (*btf_trace_block_split___q)(void *, struct request_queue *, struct bio *, unsigned int);

enum req_opf___old {
	REQ_OP_ZONE_OPEN___old,
	REQ_OP_ZONE_CLOSE___old,
	REQ_OP_ZONE_FINISH___old,
	REQ_OP_ZONE_APPEND___old,
	REQ_OP_ZONE_RESET___old,
	REQ_OP_ZONE_RESET_ALL___old,
	REQ_OP_WRITE_SAME___old,
};

#pragma clang attribute pop

/* 5.11 “block: remove the request_queue argument from rq based tracepoints” (a54895fa057c), backported to 5.10.137;
 * and 5.12 “block: remove the request_queue argument to the block_bio tracepoints” (e8a676d61c07). */
static __always_inline struct request *compat_rq_issue(__u64 *ctx)
{
	return compat_arg(ctx, bpf_core_type_matches(btf_trace_block_rq_issue___q), 0);
}
static __always_inline struct request *compat_rq_requeue(__u64 *ctx)
{
	return compat_arg(ctx, bpf_core_type_matches(btf_trace_block_rq_requeue___q), 0);
}
static __always_inline struct bio *compat_bio_queue(__u64 *ctx)
{
	return compat_arg(ctx, bpf_core_type_matches(btf_trace_block_bio_queue___q), 0);
}
static __always_inline struct bio *compat_bio_split(__u64 *ctx)
{
	return compat_arg(ctx, bpf_core_type_matches(btf_trace_block_split___q), 0);
}

/* That request or bio, which is `pointer`, as a number. */
static __always_inline __u64 compat_block_number(const __u64 *ctx, const void *pointer)
{
	if (CASTS) /* these kernels pass no queue before it */
		return cast_word(ctx, true);
	return compat_number(&pointer);
}

/* The whole disk of a request; NULL for a queue without one (an NVMe admin queue). 5.14 added request_queue.disk
 * (d152c682f03c), 5.17 removed rq_disk (f3fa33acca9f). */
static __always_inline struct gendisk *compat_rq_disk(struct request *rq)
{
	if (bpf_core_field_exists(struct request_queue, disk))
		return rq->q->disk;
	return ((struct request___rq_disk *)rq)->rq_disk;
}

/* The whole disk of a bio. 5.12 “block: store a block_device pointer in struct bio” (309dca309fc3). */
static __always_inline struct gendisk *compat_bio_disk(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return bio->bi_bdev->bd_disk;
	return ((struct bio___bi_disk *)bio)->bi_disk;
}

/* Device number of a whole disk, the kernel's dev_t. */
static __always_inline __u32 compat_disk_dev(struct gendisk *disk)
{
	return (__u32)disk->major << 20 | (__u32)disk->first_minor;
}

/*
 * Rarely needed fields of a bio are read with a helper. For each pointer loaded from a tracepoint's own pointer, the
 * verifier of 6.2 and later searches the whole kernel BTF, once for each path to the load.
 */

/* Holder of the bio's device; 0: none, or unknown (before 5.12). */
static __always_inline __u64 compat_bio_holder(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return (__u64)BPF_CORE_READ(bio, bi_bdev, bd_holder);
	return 0;
}

/* Partition that a bio was submitted to, as dev_t; 0 if the kernel loses it when it remaps the bio to the whole disk
 * (before 5.12). */
static __always_inline __u32 compat_bio_part(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return BPF_CORE_READ(bio, bi_bdev, bd_dev);
	return 0;
}

/* Number of the partition that a bio was submitted to; 0: the whole disk. 6.10 moved it into
 * __bd_flags (1116b9fa15c0). */
static __always_inline __u32 compat_bio_partition(struct bio *bio)
{
	struct block_device *device;

	if (!bpf_core_field_exists(struct bio, bi_bdev))
		return IOLENS_PARTITION_UNKNOWN;
	device = bio->bi_bdev;
	if (bpf_core_field_exists(struct block_device___partno, bd_partno))
		return ((struct block_device___partno *)device)->bd_partno;
	return (__u8)((struct block_device___flags *)device)->__bd_flags.counter; /* BD_PARTNO */
}

/* Device that a bio was submitted to, as dev_t: the partition, or the whole disk if the kernel has lost it. */
static __always_inline __u32 compat_bio_device(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return compat_bio_part(bio);
	return compat_disk_dev(((struct bio___bi_disk *)bio)->bi_disk);
}

/* Distinguishes a disk from a later one with the same number: by its sequence number, if any (5.15, cf179948554a). */
static __always_inline __u64 compat_disk_identity(struct gendisk *disk)
{
	if (bpf_core_field_exists(struct gendisk, diskseq))
		return disk->diskseq;
	return (__u64)disk;
}

/* errno of a blk_status_t. Values above 13 moved between versions: unknown ones become EIO, as in the kernel. Tables here and
 * below, because the verifier of 6.18 takes an impossible case of a switch for a fault of its own, and warns (REG INVARIANTS
 * VIOLATION). Their indexes are masked, because older ones lose the bounds of a compared value. */
static const __u8 block_errnos[32] = {
	[1] = 95, /* NOTSUPP: EOPNOTSUPP */
	[2] = 110, /* TIMEOUT: ETIMEDOUT */
	[3] = 28, /* NOSPC: ENOSPC */
	[4] = 67, /* TRANSPORT: ENOLINK */
	[5] = 121, /* TARGET: EREMOTEIO */
	[6] = 52, /* NEXUS, RESV_CONFLICT: EBADE */
	[7] = 61, /* MEDIUM: ENODATA */
	[8] = 84, /* PROTECTION: EILSEQ */
	[9] = 12, /* RESOURCE: ENOMEM */
	[12] = 11, /* AGAIN: EAGAIN */
	[13] = 16, /* DEV_RESOURCE: EBUSY */
	[19] = 22, /* INVAL: EINVAL */
};

/* Before 5.16, block_rq_complete passes a negative errno (8a7d267b4a2c made it a blk_status_t, which is never negative). */
static __always_inline __u16 compat_errno(__s32 status)
{
	__u32 place = status & (sizeof(block_errnos) - 1);
	__u8 known;

	if (status <= 0)
		return -status;
	barrier_var(place);
	known = block_errnos[place];
	return known && place == (__u32)status ? known : 5; /* EIO */
}

/* 5.12 made the flags of a request blk_opf_t, 6.0 renamed enum req_opf to req_op (ff07a02e9e8e), and 6.x renumbered
 * the zone operations: look up each value. */
#define compat_op(name)                                                              \
	(bpf_core_enum_value_exists(enum req_op, REQ_OP_##name) ?                    \
		 bpf_core_enum_value(enum req_op, REQ_OP_##name) :                   \
	 bpf_core_enum_value_exists(enum req_opf___old, REQ_OP_##name##___old) ?     \
		 bpf_core_enum_value(enum req_opf___old, REQ_OP_##name##___old) :    \
		 0xffff)

/* 1 + enum iolens_op of the first operations, which never changed. */
static const __u8 block_first_ops[16] = {
	[REQ_OP_READ] = 1 + IOLENS_OP_READ,
	[REQ_OP_WRITE] = 1 + IOLENS_OP_WRITE,
	[REQ_OP_FLUSH] = 1 + IOLENS_OP_FLUSH,
	[REQ_OP_DISCARD] = 1 + IOLENS_OP_DISCARD,
	[REQ_OP_SECURE_ERASE] = 1 + IOLENS_OP_SECURE_ERASE,
	[REQ_OP_WRITE_ZEROES] = 1 + IOLENS_OP_WRITE_ZEROES,
};

static __always_inline __u8 compat_block_op(__u32 opf)
{
	__u32 op = opf & 0xff; /* REQ_OP_MASK, the same in all */
	__u32 driver = op & ~3U, place = op & (sizeof(block_first_ops) - 1);
	__u8 first;

	barrier_var(place);
	first = block_first_ops[place];
	if (first && place == op)
		return first - 1;
	if (driver == REQ_OP_DRV_IN - 2) /* SCSI_IN, SCSI_OUT (until 5.16), DRV_IN, DRV_OUT */
		return IOLENS_OP_PASSTHROUGH;
	if (op == compat_op(ZONE_APPEND))
		return IOLENS_OP_ZONE_APPEND;
	if (op == compat_op(ZONE_OPEN))
		return IOLENS_OP_ZONE_OPEN;
	if (op == compat_op(ZONE_CLOSE))
		return IOLENS_OP_ZONE_CLOSE;
	if (op == compat_op(ZONE_FINISH))
		return IOLENS_OP_ZONE_FINISH;
	if (op == compat_op(ZONE_RESET))
		return IOLENS_OP_ZONE_RESET;
	if (op == compat_op(ZONE_RESET_ALL))
		return IOLENS_OP_ZONE_RESET_ALL;
	if (bpf_core_enum_value_exists(enum req_opf___old, REQ_OP_WRITE_SAME___old) &&
	    op == bpf_core_enum_value(enum req_opf___old, REQ_OP_WRITE_SAME___old))
		return IOLENS_OP_WRITE_SAME;
	return IOLENS_OP_OTHER;
}

static __always_inline __u16 compat_block_flags(__u32 opf)
{
	__u16 flags = 0;

	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_PREFLUSH)))
		flags |= IOLENS_BLOCK_PREFLUSH;
	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_FUA)))
		flags |= IOLENS_BLOCK_FUA;
	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_RAHEAD)))
		flags |= IOLENS_BLOCK_RAHEAD;
	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_SYNC)))
		flags |= IOLENS_BLOCK_SYNC;
	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_META)))
		flags |= IOLENS_BLOCK_META;
	return flags;
}

/*
 * The bio of the request for which the flush machinery sends this cache flush (block/blk-flush.c: while a flush is in
 * flight, flush_queue[flush_running_idx] lists the requests that wait for it, oldest first). 0 if there is none. For a
 * flush after the data, its `bio` is already gone; `biotail` remains. 6.6 moved the list from request.flush.list to
 * request.queuelist (81ada09cc25e).
 */
static __always_inline __u64 compat_flush_owner(struct request *rq)
{
	struct blk_flush_queue *fq = BPF_CORE_READ(rq, mq_hctx, fq);
	struct list_head *head, *first;
	__u64 offset, owner;

	if (!fq || BPF_CORE_READ(fq, flush_rq) != rq)
		return 0;
	head = BPF_CORE_READ_BITFIELD_PROBED(fq, flush_running_idx) ? &fq->flush_queue[1] : &fq->flush_queue[0];
	first = BPF_CORE_READ(head, next);
	if (!first || first == head)
		return 0;
	if (bpf_core_field_exists(((struct request___flush_list *)0)->flush.list))
		offset = bpf_core_field_offset(((struct request___flush_list *)0)->flush.list);
	else
		offset = bpf_core_field_offset(struct request, queuelist);
	owner = (__u64)first - offset;
	return (__u64)BPF_CORE_READ((struct request *)owner, biotail);
}

static __always_inline bool compat_is_swap(__u32 opf)
{
	return bpf_core_enum_value_exists(enum req_flag_bits___swap, __REQ_SWAP___swap) &&
	       opf & (1u << bpf_core_enum_value(enum req_flag_bits___swap, __REQ_SWAP___swap));
}

/*
 * The base bio of a struct dm_crypt_io. The struct is in the bio's per-bio data, shortly before it, which validates the
 * pointer if modules have no BTF (5.10); there, too, it is the second member of the struct.
 */
static __always_inline __u64 compat_crypt_base(__u64 io)
{
	__u64 base = 0;

	if (bpf_core_type_exists(struct dm_crypt_io___base))
		return compat_read_if(struct dm_crypt_io___base, io, base_bio);
	bpf_probe_read_kernel(&base, sizeof(base), (void *)(io + 8));
	return base > io && base - io < 4096 ? base : 0;
}

#endif
