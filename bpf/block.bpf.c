/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All block requests, from submission to completion. BTF tracepoints only: they exist on every kernel from 5.10, even
 * without kprobes and fentry.
 *
 * A single map, `inflight`, has one entry per request for its whole lifetime: inserted at block_bio_queue with the bio
 * as key, in the submitter's context; updated at block_rq_issue, where the first bio's entry becomes that of the
 * request; emitted and deleted at the final block_rq_complete. The key is the request itself if it can't be the bio:
 *
 *   - a request without a bio: a flush of the flush machinery, passthrough;
 *   - a request whose first bio belongs to another disk's operation still in flight (an NVMe multipath head
 *     passes bios on unchanged);
 *   - a request completed in part: its first bio may already be freed.
 *
 * Merges need no probe: at issue, all bios of the request are linked from it, and the entries of all but the first are
 * deleted. block_rq_insert is not used: it does not fire without a scheduler, and passthrough and flush requests bypass
 * it. The bio of a completed request does not reach block_bio_complete: blk_update_request clears BIO_TRACE_COMPLETION.
 */
#include "block/bio.bpf.h"
#include "block/request.bpf.h"
#include "lib/compat/base.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* 5.18 converted pages to folios; each kernel has one of the two. */
PROGRAM("writeback_dirty_folio", iolens_dirty_folio, on_dirty(ctx))
PROGRAM("writeback_dirty_page", iolens_dirty_page, on_dirty(ctx))

/* What ends in a number is a copy: block/copy.bpf.h. User space attaches it after the first one. */
PROGRAM("block_bio_queue", iolens_bio_queue, on_bio_queue(ctx, 0, FILE_SLOT_ENTER))

PROGRAM("block_bio_queue", iolens_bio_queue_1, on_bio_queue(ctx, 1, FILE_SLOT_QUEUE_1))

PROGRAM("block_bio_queue", iolens_bio_queue_2, on_bio_queue(ctx, 2, FILE_SLOT_QUEUE_2))

PROGRAM("block_split", iolens_bio_split, on_bio_split(ctx))

PROGRAM("block_rq_issue", iolens_rq_issue, on_rq_issue(ctx, 0, FILE_SLOT_ISSUE))

PROGRAM("block_rq_issue", iolens_rq_issue_1, on_rq_issue(ctx, 1, FILE_SLOT_ISSUE_1))

PROGRAM("block_rq_issue", iolens_rq_issue_2, on_rq_issue(ctx, 2, FILE_SLOT_ISSUE_2))

PROGRAM("block_rq_requeue", iolens_rq_requeue, on_rq_requeue(ctx))

PROGRAM("block_rq_complete", iolens_rq_complete, on_rq_complete(ctx, 0))

PROGRAM("block_rq_complete", iolens_rq_complete_1, on_rq_complete(ctx, 1))

PROGRAM("block_bio_complete", iolens_bio_complete, on_bio_complete(ctx, 0))

PROGRAM("block_bio_complete", iolens_bio_complete_1, on_bio_complete(ctx, 1))
