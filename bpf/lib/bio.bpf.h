/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The life of a bio: it enters the block layer, may be split, becomes part of a request or goes to a disk that has no
 * requests, and ends. */
#ifndef IOLENS_LIB_BIO_BPF_H
#define IOLENS_LIB_BIO_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/block.bpf.h"

/* Does the disk turn bios into requests? dm, md, zram, pmem and an NVMe multipath head do not: the bio itself is the
 * operation, and its end is that of all its parts. */
static __always_inline bool bio_becomes_request(struct gendisk *disk)
{
	return disk->queue->mq_ops;
}

/* A bio that is too large for its disk was split (tracepoint block_split). Returns the new bio, which is the front
 * part: block_bio_queue does not see it. `*rest` receives the address of the old one, which is what remains. */
static __always_inline struct bio *bio_split(__u64 *ctx, __u64 *rest)
{
	struct bio *front = compat_bio_split(ctx);

	*rest = (__u64)front->bi_private; /* bio_chain() */
	return front;
}

/* The next bio of a request. Uses a probe read: the address may be a number. */
static __always_inline __u64 bio_next(__u64 bio)
{
	return (__u64)BPF_CORE_READ((struct bio *)bio, bi_next);
}

/* A bio has ended (tracepoint block_bio_complete): on a disk without requests, or before it became part of a
 * request. `*error` receives its errno, 0 on success. */
static __always_inline struct bio *bio_ended(__u64 *ctx, __u32 *error)
{
	struct bio *bio = (void *)ctx[1];

	*error = compat_errno(bio->bi_status);
	return bio;
}

#endif
