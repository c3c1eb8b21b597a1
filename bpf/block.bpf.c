/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every block request, from the task that submits it to the device's answer. BTF tracepoints only: they are there on
 * every kernel from 5.10, also where kprobes and fentry are not.
 *
 * One map, `inflight`, and for a request one entry all its life: put in at block_bio_queue under its bio, in the
 * submitter's context; completed at block_rq_issue, where the first bio's entry becomes the request's; sent and taken out
 * at the final block_rq_complete. Under the request itself are those that can't be under a bio:
 *
 *   - a request without a bio: a flush of the flush machinery, passthrough;
 *   - one whose first bio belongs to another disk's operation that isn't over (an NVMe multipath head passes bios on
 *     unchanged);
 *   - one that was completed in part: its first bio may be gone.
 *
 * The merging of bios needs no probe: when a request is issued, the bios that it was made of hang off it, and the other
 * ones' entries go. block_rq_insert is not used: it doesn't fire without a scheduler, and passthrough and flush requests
 * bypass it. The bio of a completed request doesn't pass block_bio_complete: blk_update_request clears
 * BIO_TRACE_COMPLETION.
 */
#include "block/bio.bpf.h"
#include "block/request.bpf.h"
#include "lib/compat/base.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* 5.18 made pages folios; each kernel has one of the two. */
PROGRAM("writeback_dirty_folio", iolens_dirty_folio, on_dirty(ctx))
PROGRAM("writeback_dirty_page", iolens_dirty_page, on_dirty(ctx))

PROGRAM("block_bio_queue", iolens_bio_queue, on_bio_queue(ctx))

PROGRAM("block_split", iolens_bio_split, on_bio_split(ctx))

PROGRAM("block_rq_issue", iolens_rq_issue, on_rq_issue(ctx))

PROGRAM("block_rq_requeue", iolens_rq_requeue, on_rq_requeue(ctx))

PROGRAM("block_rq_complete", iolens_rq_complete, on_rq_complete(ctx))

PROGRAM("block_bio_complete", iolens_bio_complete, on_bio_complete(ctx))
