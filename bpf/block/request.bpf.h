/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests, from their bios to completion. */
#ifndef IOLENS_BLOCK_REQUEST_BPF_H
#define IOLENS_BLOCK_REQUEST_BPF_H

#include "block/bio.bpf.h"
#include "block/copy.bpf.h"
#include "block/state.bpf.h"
#include "lib/bio.bpf.h"
#include "lib/compat/base.bpf.h"
#include "lib/compat/block.bpf.h"
#include "lib/file.bpf.h"
#include "lib/target.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"

#include "iolens/block_state.h"
#include "iolens/event/block.h"
#include "iolens/event/loss.h"
#include "iolens/event/target.h"

static __always_inline void block_take_creator(struct iolens_block_state *s, const struct iolens_block_state *from)
{
	s->created = from->created;
	s->e.cgroup_id = from->e.cgroup_id;
	s->e.tgid = from->e.tgid;
	s->e.tid = from->e.tid;
	if (own_pidns.level) {
		s->e.host_tgid = from->e.host_tgid;
		s->e.host_tid = from->e.host_tid;
	}
	__builtin_memcpy(s->e.comm, from->e.comm, sizeof(s->e.comm));
	s->e.flags &= ~(IOLENS_BLOCK_FILTERED | IOLENS_BLOCK_NO_CREATOR);
	s->e.flags |= from->e.flags & (IOLENS_BLOCK_FILTERED | IOLENS_BLOCK_NO_CREATOR);
}

static __always_inline bool block_same_target(const struct iolens_block_target *a, const struct iolens_block_target *b)
{
	return a->kind == b->kind && file_same(&a->id, &b->id);
}

/* Adds a merged bio whose target differs from that of the request's first bio: a further target, or more bytes of
 * one. Returns the number of further targets so far. */
static __always_inline __u8 block_add_extra_target(struct iolens_block_state *s, const struct iolens_block_state *b, __u32 bytes)
{
	struct block_extra_targets *all = s->e.target.more ? bpf_map_lookup_elem(&extra_targets, &s->rq) : 0;
	struct iolens_counters *n;
	__u32 count;

	if (!all) { /* an existing entry belongs to another request, whose completion was not seen */
		bpf_map_update_elem(&extra_targets, &s->rq, &block_no_extra_targets, BPF_ANY);
		all = bpf_map_lookup_elem(&extra_targets, &s->rq);
		if (!all) {
			if ((n = ring_counters()))
				ring_count(n, fact_lost);
			return 1;
		}
	}
	for (int i = 0; i < IOLENS_EXTRA_TARGETS; i++) {
		struct iolens_extra_target *extra = &all->record.targets[i];

		if ((__u32)i == all->count) {
			all->count++;
			extra->target = b->e.target;
		} else if (!block_same_target(&extra->target, &b->e.target)) {
			continue;
		}
		extra->bytes += bytes;
		goto out;
	}
	/* bios of a file are adjacent: compare with the last target only */
	if (!all->others || !file_same(&all->last, &b->e.target.id)) {
		all->others++;
		all->last = b->e.target.id;
	}
	all->record.others += bytes;
out:
	count = all->count + all->others;
	return count > 255 ? 255 : count;
}

/* Merges a bio after the first into an issued request, whose entry is at `place`. The submitter of the request is that
 * of the bio submitted first. A global function, which the verifier checks once rather than per iteration. */
__noinline int block_merge(__u64 place, __u64 bio)
{
	__u64 from = inflight_place(bio);
	struct iolens_block_state *s = inflight_at(place), *b = inflight_at(from);

	if (!s || !b)
		return 0;
	if (b->issued && !b->e.requeues && !(b->e.flags & (IOLENS_BLOCK_BIO | IOLENS_BLOCK_DONE))) {
		block_left_behind(from); /* and the submission of this bio was not seen */
		inflight_release(from);
		return 0;
	}
	if (b->e.requeues) { /* from a request that was requeued and merged into this one */
		s->e.requeues += b->e.requeues;
		bpf_map_delete_elem(&extra_targets, &b->rq);
		ring_count_seen(-1);
	}
	if (attribute && b->e.target.kind != IOLENS_TARGET_NONE && !block_same_target(&b->e.target, &s->e.target))
		s->e.target.more = block_add_extra_target(s, b, BPF_CORE_READ((struct bio *)bio, bi_iter.bi_size));
	if (b->created && (!s->created || (__s64)(b->created - s->created) < 0))
		block_take_creator(s, b);
	if (b->e.flags & IOLENS_BLOCK_BIO) /* the bio completes by itself */
		s->e.flags |= IOLENS_BLOCK_STACKED;
	else
		inflight_release(from);
	return 0;
}

/* Returns the number of bios of a request. Uses probe reads, because a global function takes only numbers. */
static __always_inline __u8 block_merge_bios(__u64 place, struct bio *first)
{
	__u64 bio = bio_next((__u64)first);
	__u8 count = 1;

	for (int i = 1; i < MAX_MERGED && bio; i++) {
		block_merge(place, bio);
		bio = bio_next(bio);
		count++;
	}
	return count;
}

/* A request of the flush machinery has no bio: its submitter is the task that waits for the flush. */
static __always_inline void block_flush_creator(struct iolens_block_state *s, struct request *rq)
{
	__u64 key = compat_flush_owner(rq);
	struct iolens_block_state *b = key ? block_entry(key) : 0;

	if (b && b->created) {
		block_take_creator(s, b);
		s->e.partition = b->e.partition;
	}
}

/* The first bio of a request, as a number. */
static __always_inline __u64 block_first_bio(struct request *rq)
{
	return cast_word((void *)rq + bpf_core_field_offset(struct request, bio), CASTS);
}

/* The entry of an issued request. `number` is its address, `*place` receives its place. */
static __always_inline struct iolens_block_state *block_find(struct request *rq, __u64 number, __u64 *place)
{
	struct iolens_block_state *s;
	__u64 bio = block_first_bio(rq);

	*place = bio ? inflight_place(bio) : 0;
	s = inflight_at(*place);
	if (s && s->rq == number)
		return s;
	*place = inflight_place(number);
	return inflight_at(*place);
}

/* Has a program already handled this issue? */
static __always_inline bool block_issued(struct request *rq, __u64 number)
{
	__u64 place;
	struct iolens_block_state *s = block_find(rq, number, &place);

	return s && s->issued && !(s->e.flags & (IOLENS_BLOCK_REQUEUED | IOLENS_BLOCK_DONE)) &&
	       s->by == (__u32)bpf_get_current_pid_tgid();
}

/* The entry of a request that can't use that of its first bio, which is `first`, or 0. */
static __always_inline struct iolens_block_state *block_begin(struct bio *bio, __u64 number,
							      const struct iolens_block_state *first, __u64 *place, __u32 slot)
{
	struct iolens_block_state *s;

	*place = block_claim(number);
	s = inflight_at(*place);
	if (!s)
		return 0;
	__builtin_memset(s, 0, sizeof(*s));
	if (first && (first->e.flags & IOLENS_BLOCK_BIO)) {
		block_take_creator(s, first);
		s->e.target = first->e.target;
		s->e.target.more = 0;
		s->e.flags |= IOLENS_BLOCK_STACKED;
	}
	if (bio)
		s->e.partition = compat_bio_partition(bio);
	/* submission not seen: newer kernels skip a program while another task is preempted in it */
	if (attribute && bio && s->e.target.kind == IOLENS_TARGET_NONE)
		block_attribute(&s->e.target, bio, bio->bi_iter.bi_size, slot);
	return s;
}

/* A request is issued to the driver. Runs in any context. `slot` is that of the program. */
static __always_inline int on_rq_issue(__u64 *ctx, int copy, __u32 slot)
{
	struct request *rq = cast_to(request, compat_rq_issue(ctx));
	__u64 now = bpf_ktime_get_boot_ns(), number = compat_block_number(ctx, rq), key = block_first_bio(rq);
	struct bio *bio = rq->bio;
	__u64 place = key ? inflight_place(key) : 0;
	struct iolens_block_state *s = inflight_at(place), *first = s;
	bool fresh = false;

	if (!copy_begin(COPIED_RQ_ISSUE, number, copy, copy == COPIES_OF_STARTS))
		return 0;
	if (copy) {
		if (block_issued(rq, number))
			return 0;
		copy_take_over(COPIED_RQ_ISSUE, number, copy == COPIES_OF_STARTS);
	}
	if (!s || (s->e.flags & IOLENS_BLOCK_BIO) || (s->rq && s->rq != number)) {
		key = number;
		place = inflight_place(key);
		s = inflight_at(place);
		if (!s || !(s->e.flags & IOLENS_BLOCK_REQUEUED)) {
			fresh = true;
			s = block_begin(bio, number, first, &place, slot);
			if (!s) {
				ring_count_seen(1);
				block_count_full(block_disk(compat_rq_disk(rq)), rq->__sector);
				return 0;
			}
		}
	}
	if (!s->issued) { /* of a bio that becomes a request; a requeued request was already counted */
		ring_count_seen(1);
		s->e.bytes = 0;
		s->e.flags &= IOLENS_BLOCK_FILTERED | IOLENS_BLOCK_NO_CREATOR | IOLENS_BLOCK_STACKED;
	}
	s->rq = number;
	s->e.bios = 1;
	if (!bio) {
		s->e.bios = 0;
		if (compat_block_op(rq->cmd_flags) == IOLENS_OP_FLUSH) {
			block_flush_creator(s, rq);
			s->e.target.kind = IOLENS_TARGET_FLUSH;
		} else {
			s->e.target.kind = IOLENS_TARGET_NO_PAGES;
		}
	} else if (bio->bi_next) {
		s->e.bios = block_merge_bios(place, bio);
	}
	if (!s->created)
		s->e.flags |= IOLENS_BLOCK_NO_CREATOR;
	s->e.flags &= ~IOLENS_BLOCK_REQUEUED;
	s->issued = now;
	if (copies_of_starts)
		s->by = (__u32)bpf_get_current_pid_tgid();
	s->size = s->e.bytes + rq->__data_len;
	s->e.dev = block_disk(compat_rq_disk(rq));
	block_describe(s, rq->cmd_flags, rq->__sector - (s->e.bytes >> 9), !rq->__data_len);
	if (fresh)
		inflight_publish(place, key);
	return 0;
}

/* The driver requeues a request; it will be issued again. */
static __always_inline int on_rq_requeue(__u64 *ctx)
{
	struct request *rq = compat_rq_requeue(ctx);
	__u64 place;
	struct iolens_block_state *s = block_find(rq, compat_number(&rq), &place);

	if (s) {
		s->e.requeues++;
		s->e.flags |= IOLENS_BLOCK_REQUEUED;
	}
	return 0;
}

/* Completion of a bio on a disk without requests; deletes the entry of any bio. */
static __always_inline void block_finish_bio(__u64 key, __u64 now, __u16 error)
{
	__u64 place = inflight_place(key);
	struct iolens_block_state *b = inflight_at(place);

	if (!b)
		return;
	if (b->e.flags & IOLENS_BLOCK_BIO) {
		b->e.error = error;
		if (attribute && b->vector)
			block_target_forget(b->vector);
		block_finish(b, now);
	} else if (b->issued) {
		block_left_behind(place);
	}
	inflight_release(place);
}

/* A separate function, so that the verifier checks it once rather than per iteration of the loop below. */
__attribute__((noinline)) int iolens_finish_one_bio(__u64 key, __u64 now, __u32 error)
{
	block_finish_bio(key, now, error);
	return 0;
}

/* Completion of a request's bios: operations of other disks that passed them on unchanged, and leftover entries.
 * Uses probe reads, because a global function takes only numbers. */
static __always_inline void block_finish_bios(struct request *rq, __u64 now, __u16 error)
{
	__u64 bio = (__u64)BPF_CORE_READ(rq, bio);

	/* bios beyond the limit are left in the map, and found when their address is reused, or at the end */
	for (int i = 0; i < MAX_FINISHED && bio; i++) {
		__u64 key = bio;

		bio = bio_next(bio);
		iolens_finish_one_bio(key, now, error);
	}
}

/* Part of a request is completed, and its first bio may be freed: moves the entry from another key. */
static __always_inline void block_move(__u64 number, __u64 from)
{
	struct iolens_block_state *s = inflight_at(from), copy;

	if (!s || from == inflight_place(number))
		return;
	copy = *s;
	inflight_release(from); /* makes room for it */
	if (!block_copy(number, &copy))
		block_count_full(copy.e.dev, copy.e.sector);
}

/* Part or all of a request is completed. Runs in interrupt context. A copy needs no mark to know what was handled: then,
 * there is no entry any more. It leaves alone what two runs would change twice, a part and a flush behind the data. */
static __always_inline int on_rq_complete(__u64 *ctx, int copy)
{
	struct request *rq = cast_to(request, (void *)ctx[0]);
	__s32 status = (__s32)ctx[1];
	__u32 bytes = (__u32)ctx[2];
	bool last = bytes >= rq->__data_len;
	/* A flush follows the data (end_io is that of the flush machinery), and will look up the submitter. Computed
	 * here, once: the verifier checks each load of a pointer again on each path to it. */
	bool flushed_later = rq->bio && rq->end_io && compat_block_op(rq->cmd_flags) <= IOLENS_OP_WRITE;
	struct iolens_counters *n;
	struct gendisk *disk;
	bool never = false;
	__u16 flags, error;
	__u64 number = cast_word(ctx, CASTS), place, key, now;
	struct iolens_block_state *s;

	if (!copy_begin(COPIED_RQ_COMPLETE, number, copy, true) || (copy && !last))
		return 0;
	s = block_find(rq, number, &place);
	if (!s) {
		key = block_first_bio(rq);
		place = key ? inflight_place(key) : 0;
		s = inflight_at(place);
		/* The flush machinery completes the empty request behind a flush after the device completed the
		 * flush; the request never reached the device. */
		if (!bytes && compat_block_op(rq->cmd_flags) <= IOLENS_OP_WRITE) {
			if (s && !(s->e.flags & IOLENS_BLOCK_BIO))
				inflight_release(place);
			return 0;
		}
		if (!last)
			return 0;
		if (!s || (s->e.flags & IOLENS_BLOCK_BIO) || !s->created) {
			if (!copy && (n = ring_counters()))
				ring_count(n, orphan);
			return 0;
		}
		/* failed before it was issued */
		never = true;
		if (!s->issued)
			ring_count_seen(1);
		s->e.bytes = 0;
		s->e.flags &= IOLENS_BLOCK_FILTERED | IOLENS_BLOCK_NO_CREATOR;
		s->e.bios = 1;
		/* the disk name is not sent here: user space looks up the rare disk whose first request fails like
		 * this */
		disk = compat_rq_disk(rq);
		s->e.dev = disk ? compat_disk_dev(disk) : 0;
		block_describe(s, rq->cmd_flags, rq->__sector, !bytes);
	} else if (s->e.flags & IOLENS_BLOCK_DONE) {
		/* final completion by the flush machinery of a request whose data completed before */
		if (!copy)
			inflight_release(place);
		return 0;
	}
	if (copy)
		copy_take_over(COPIED_RQ_COMPLETE, number, true);
	s->e.bytes += bytes;
	if (status && !s->e.error)
		s->e.error = compat_errno(status);
	if (!last) {
		block_move(number, place);
		return 0;
	}
	now = bpf_ktime_get_boot_ns();
	flags = s->e.flags;
	/* Read it again: in a register derived from the status, each error would be a separate path for the
	 * verifier. */
	error = *(volatile __u16 *)&s->e.error;
	block_finish(s, now);
	if (flushed_later)
		s->e.flags |= IOLENS_BLOCK_DONE;
	else
		inflight_release(place);
	if (never || (flags & IOLENS_BLOCK_STACKED))
		block_finish_bios(rq, now, error);
	return 0;
}

/* A bio completes: emits the event on a disk without requests, and deletes any other entry of a bio. */
static __always_inline int on_bio_complete(__u64 *ctx, int copy)
{
	__u32 error;
	struct bio *bio = bio_ended(ctx, &error);
	__u64 key = compat_number(&bio);

	if (!copy_begin(COPIED_BIO_COMPLETE, key, copy, true))
		return 0;
	if (copy) {
		if (!block_entry(key)) /* handled, or not a request of ours */
			return 0;
		copy_take_over(COPIED_BIO_COMPLETE, key, true);
	}
	block_finish_bio(key, bpf_ktime_get_boot_ns(), error);
	return 0;
}

#endif
