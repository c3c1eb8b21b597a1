/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests, from their bios to the device's answer. */
#ifndef IOLENS_BLOCK_REQUEST_BPF_H
#define IOLENS_BLOCK_REQUEST_BPF_H

#include "block/bio.bpf.h"
#include "block/state.bpf.h"
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

/* A merged bio is for something else than its request's first: one thing more, or more of one. Returns how many such things
 * there are by now. */
static __always_inline __u8 block_add_extra_target(struct iolens_block_state *s, const struct iolens_block_state *b, __u32 bytes)
{
	struct block_extra_targets *all = s->e.target.more ? bpf_map_lookup_elem(&extra_targets, &s->rq) : 0;
	struct iolens_counters *n;
	__u32 count;

	if (!all) { /* what is there is another request's, whose end was not seen */
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
	/* a file's bios are next to each other: what is counted isn't looked for */
	if (!all->others || !file_same(&all->last, &b->e.target.id)) {
		all->others++;
		all->last = b->e.target.id;
	}
	all->record.others += bytes;
out:
	count = all->count + all->others;
	return count > 255 ? 255 : count;
}

/* A bio of a request that was issued, behind its first: the request, whose entry is at `key`, takes over. Its creator is the
 * one whose bio was submitted first. A global function, which the verifier walks once and not for each turn of the loop. */
__noinline int block_merge(__u64 key, __u64 bio)
{
	struct iolens_block_state *s = bpf_map_lookup_elem(&inflight, &key), *b = bpf_map_lookup_elem(&inflight, &bio);

	if (!s || !b)
		return 0;
	if (b->issued && !b->e.requeues && !(b->e.flags & (IOLENS_BLOCK_BIO | IOLENS_BLOCK_DONE))) {
		block_left_behind(bio); /* and this bio's submission was not seen */
		bpf_map_delete_elem(&inflight, &bio);
		return 0;
	}
	if (b->e.requeues) { /* of a request that was given back and merged into this one */
		s->e.requeues += b->e.requeues;
		bpf_map_delete_elem(&extra_targets, &b->rq);
		ring_count_seen(-1);
	}
	if (attribute && b->e.target.kind != IOLENS_TARGET_NONE && !block_same_target(&b->e.target, &s->e.target))
		s->e.target.more = block_add_extra_target(s, b, BPF_CORE_READ((struct bio *)bio, bi_iter.bi_size));
	if (b->created && (!s->created || (__s64)(b->created - s->created) < 0))
		block_take_creator(s, b);
	if (b->e.flags & IOLENS_BLOCK_BIO) /* it has an end of its own */
		s->e.flags |= IOLENS_BLOCK_STACKED;
	else
		bpf_map_delete_elem(&inflight, &bio);
	return 0;
}

/* Returns how many bios a request has. Probe reads, because a global function takes plain numbers only. */
static __always_inline __u8 block_merge_bios(__u64 key, struct bio *first)
{
	__u64 bio = (__u64)BPF_CORE_READ(first, bi_next);
	__u8 count = 1;

	for (int i = 1; i < MAX_MERGED && bio; i++) {
		block_merge(key, bio);
		bio = (__u64)BPF_CORE_READ((struct bio *)bio, bi_next);
		count++;
	}
	return count;
}

/* The flush machinery's own request has no bio: its creator is the one who waits for the flush. */
static __always_inline void block_flush_creator(struct iolens_block_state *s, struct request *rq)
{
	__u64 key = compat_flush_owner(rq);
	struct iolens_block_state *b = key ? bpf_map_lookup_elem(&inflight, &key) : 0;

	if (b && b->created)
		block_take_creator(s, b);
}

/* The entry of a request that was issued. `*key` is where it is. */
static __always_inline struct iolens_block_state *block_find(struct request *rq, __u64 *key)
{
	struct iolens_block_state *s;

	*key = (__u64)rq->bio;
	s = *key ? bpf_map_lookup_elem(&inflight, key) : 0;
	if (s && s->rq == (__u64)rq)
		return s;
	*key = (__u64)rq;
	return bpf_map_lookup_elem(&inflight, key);
}

/* A request goes to the driver. Runs anywhere. */
static __always_inline int on_rq_issue(__u64 *ctx)
{
	struct request *rq = compat_rq_issue(ctx);
	__u64 now = bpf_ktime_get_boot_ns(), key = (__u64)rq->bio;
	struct bio *bio = rq->bio;
	struct iolens_block_state *s = bio ? bpf_map_lookup_elem(&inflight, &key) : 0;
	struct iolens_block_state *first = s;
	bool fresh = false;

	if (!s || (s->e.flags & IOLENS_BLOCK_BIO) || (s->rq && s->rq != (__u64)rq)) {
		key = (__u64)rq;
		s = bpf_map_lookup_elem(&inflight, &key);
		if (!s || !(s->e.flags & IOLENS_BLOCK_REQUEUED)) {
			s = block_begin(key, &block_nothing) ? bpf_map_lookup_elem(&inflight, &key) : 0;
			if (!s) {
				ring_count_unstored();
				return 0;
			}
			fresh = true;
		}
	}
	if (!s->issued) { /* of a bio that becomes a request; one that was given back has begun before */
		ring_count_seen(1);
		s->e.bytes = 0;
		s->e.flags &= IOLENS_BLOCK_FILTERED | IOLENS_BLOCK_NO_CREATOR | IOLENS_BLOCK_STACKED;
	}
	if (fresh && first && (first->e.flags & IOLENS_BLOCK_BIO)) {
		block_take_creator(s, first);
		s->e.target = first->e.target;
		s->e.target.more = 0;
		s->e.flags |= IOLENS_BLOCK_STACKED;
	}
	/* its submission was not seen, which newer kernels bring about: they skip a program that is preempted elsewhere */
	if (attribute && fresh && bio && s->e.target.kind == IOLENS_TARGET_NONE)
		block_attribute(&s->e.target, bio, bio->bi_iter.bi_size, FILE_SLOT_SUBMIT);
	s->rq = (__u64)rq;
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
		s->e.bios = block_merge_bios(compat_number(&key), bio);
	}
	if (!s->created)
		s->e.flags |= IOLENS_BLOCK_NO_CREATOR;
	s->e.flags &= ~IOLENS_BLOCK_REQUEUED;
	s->issued = now;
	s->size = s->e.bytes + rq->__data_len;
	s->e.dev = block_disk(compat_rq_disk(rq));
	block_describe(s, rq->cmd_flags, rq->__sector - (s->e.bytes >> 9), !rq->__data_len);
	return 0;
}

/* The driver gives a request back; it will be issued again. */
static __always_inline int on_rq_requeue(__u64 *ctx)
{
	struct request *rq = compat_rq_requeue(ctx);
	__u64 key;
	struct iolens_block_state *s = block_find(rq, &key);

	if (s) {
		s->e.requeues++;
		s->e.flags |= IOLENS_BLOCK_REQUEUED;
	}
	return 0;
}

/* The end of an operation on a disk without requests, and of the entry of any bio. */
static __always_inline void block_finish_bio(__u64 key, __u64 now, __u16 error)
{
	struct iolens_block_state *b = bpf_map_lookup_elem(&inflight, &key);

	if (!b)
		return;
	if (b->e.flags & IOLENS_BLOCK_BIO) {
		b->e.error = error;
		if (attribute && b->vector)
			block_target_forget(b->vector);
		block_finish(b, now);
	} else if (b->issued) {
		block_left_behind(compat_number(&key));
	}
	bpf_map_delete_elem(&inflight, &key);
}

/* A function of its own, so that the verifier walks it once and not for each turn of the loop below. */
__attribute__((noinline)) int iolens_finish_one_bio(__u64 key, __u64 now, __u32 error)
{
	block_finish_bio(key, now, error);
	return 0;
}

/* The end of a request's bios: of another disk's operation, if it passed them on unchanged, and of entries that are
 * left. Probe reads, because a global function takes plain numbers only. */
static __always_inline void block_finish_bios(struct request *rq, __u64 now, __u16 error)
{
	struct bio *bio = BPF_CORE_READ(rq, bio);

	/* what is beyond the limit is left behind, and found when its place is used again, or at the end */
	for (int i = 0; i < MAX_FINISHED && bio; i++) {
		__u64 key = (__u64)bio;

		bio = BPF_CORE_READ(bio, bi_next);
		iolens_finish_one_bio(key, now, error);
	}
}

/* A part of a request is done and more is to come, when its first bio may be gone: its entry moves. */
static __always_inline void block_move(struct request *rq, __u64 from, struct iolens_block_state *s)
{
	__u64 key = (__u64)rq;
	struct iolens_block_state copy;
	struct iolens_counters *n;

	if (from == key)
		return;
	copy = *s;
	bpf_map_delete_elem(&inflight, &from); /* makes room for it */
	if (!block_begin(key, &copy) && (n = ring_counters()))
		ring_count(n, state_full);
}

/* Bytes of a request are done, perhaps all. Runs in an interrupt of any task. */
static __always_inline int on_rq_complete(__u64 *ctx)
{
	struct request *rq = (void *)ctx[0];
	__s32 status = (__s32)ctx[1];
	__u32 bytes = (__u32)ctx[2];
	bool last = bytes >= rq->__data_len;
	/* A flush comes after its data (end_io is the flush machinery's): it will ask who the creator is. Told here, once: the
	 * verifier pays for each load of a pointer on each way to it. */
	bool flushed_later = rq->bio && rq->end_io && compat_block_op(rq->cmd_flags) <= IOLENS_OP_WRITE;
	struct iolens_counters *n;
	struct gendisk *disk;
	bool never = false;
	__u16 flags, error;
	__u64 key, now;
	struct iolens_block_state *s = block_find(rq, &key);

	if (!s) {
		key = (__u64)rq->bio;
		s = key ? bpf_map_lookup_elem(&inflight, &key) : 0;
		/* The flush machinery completes the empty request behind a flush after the device has answered; it never
		 * reached the device. */
		if (!bytes && compat_block_op(rq->cmd_flags) <= IOLENS_OP_WRITE) {
			if (s && !(s->e.flags & IOLENS_BLOCK_BIO))
				bpf_map_delete_elem(&inflight, &key);
			return 0;
		}
		if (!last)
			return 0;
		if (!s || (s->e.flags & IOLENS_BLOCK_BIO) || !s->created) {
			if ((n = ring_counters()))
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
		/* its name isn't sent here: user space looks up the rare disk whose first request fails like this */
		disk = compat_rq_disk(rq);
		s->e.dev = disk ? compat_disk_dev(disk) : 0;
		block_describe(s, rq->cmd_flags, rq->__sector, !bytes);
	} else if (s->e.flags & IOLENS_BLOCK_DONE) {
		/* the flush machinery's last word on a request whose data was done before */
		bpf_map_delete_elem(&inflight, &key);
		return 0;
	}
	s->e.bytes += bytes;
	if (status && !s->e.error)
		s->e.error = compat_errno(status);
	if (!last) {
		block_move(rq, key, s);
		return 0;
	}
	now = bpf_ktime_get_boot_ns();
	flags = s->e.flags;
	/* read again: in a register since it was derived from the status, each error would be a path of its own for the
	 * verifier */
	error = *(volatile __u16 *)&s->e.error;
	block_finish(s, now);
	if (flushed_later)
		s->e.flags |= IOLENS_BLOCK_DONE;
	else
		bpf_map_delete_elem(&inflight, &key);
	if (never || (flags & IOLENS_BLOCK_STACKED))
		block_finish_bios(rq, now, error);
	return 0;
}

/* A bio ends: the row of a disk without requests, and the end of the entry of every other that still has one. */
static __always_inline int on_bio_complete(__u64 *ctx)
{
	struct bio *bio = (void *)ctx[1];

	block_finish_bio((__u64)bio, bpf_ktime_get_boot_ns(), compat_errno(bio->bi_status));
	return 0;
}

#endif
