/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bios: their targets, and the authors of their pages. */
#ifndef IOLENS_BLOCK_BIO_BPF_H
#define IOLENS_BLOCK_BIO_BPF_H

#include "block/copy.bpf.h"
#include "block/state.bpf.h"
#include "lib/bio.bpf.h"
#include "lib/compat/base.bpf.h"
#include "lib/compat/block.bpf.h"
#include "lib/file.bpf.h"
#include "lib/filter.bpf.h"
#include "lib/name.bpf.h"
#include "lib/target.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"

#include "iolens/block_state.h"
#include "iolens/event/block.h"
#include "iolens/event/file.h"
#include "iolens/event/target.h"

/* A clean page of a file is dirtied. Runs in the context of the writer. */
static __always_inline int on_dirty(__u64 *ctx)
{
	struct address_space *mapping = (struct address_space *)ctx[1];
	struct inode *inode = mapping ? BPF_CORE_READ(mapping, host) : 0;
	struct iolens_file_id id = {};
	struct block_author *known, fresh = {};
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 now;

	if (!inode || (BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	now = bpf_ktime_get_boot_ns();
	file_id_of(inode, &id, false);
	known = bpf_map_lookup_elem(&authors, &id);
	if (!known) {
		fresh.dirtied = now;
		fresh.tgid = tgid;
		fresh.cgroup = bpf_get_current_cgroup_id();
		if (own_pidns.level)
			fresh.shown = task_id() >> 32;
		task_process_comm(fresh.comm);
		bpf_map_update_elem(&authors, &id, &fresh, BPF_ANY);
		return 0;
	}
	/* are there pages dirtied earlier and not written back yet? */
	if (known->written > known->dirtied && now - known->written > BLOCK_WRITEBACK)
		known->several = 0;
	else if (known->tgid != tgid)
		known->several = 1;
	if (known->tgid != tgid) {
		known->tgid = tgid;
		known->cgroup = bpf_get_current_cgroup_id();
		if (own_pidns.level)
			known->shown = task_id() >> 32;
		task_process_comm(known->comm);
	}
	known->dirtied = now;
	return 0;
}

static __always_inline void block_author(struct iolens_block_target *t)
{
	struct block_author *known = bpf_map_lookup_elem(&authors, &t->id);

	if (!known)
		return;
	known->written = bpf_ktime_get_boot_ns();
	t->authors = known->several ? 2 : 1;
	t->author = own_pidns.level ? known->shown : known->tgid;
	__builtin_memcpy(t->author_comm, known->comm, sizeof(t->author_comm));
}

/* Determines the target of a bio. `slot` is that of the program. */
static __always_inline void block_attribute(struct iolens_block_target *t, struct bio *bio, __u32 size, __u32 slot)
{
	struct target found = {};
	struct iolens_block_target *known;
	struct inode *inode;
	__u8 op = compat_block_op(bio->bi_opf);
	__u64 vector;

	if (op == IOLENS_OP_DISCARD || op == IOLENS_OP_SECURE_ERASE) {
		t->kind = IOLENS_TARGET_DISCARD;
		return;
	}
	if (!size) {
		t->kind = IOLENS_TARGET_FLUSH;
		return;
	}
	if (op > IOLENS_OP_WRITE && op != IOLENS_OP_ZONE_APPEND) {
		t->kind = IOLENS_TARGET_NO_PAGES;
		return;
	}
	target_of(bio, &found);
	if (found.kind == IOLENS_TARGET_ANONYMOUS && targets_open) {
		vector = found.vector;
		known = bpf_map_lookup_elem(&targets, &vector);
		if (known) {
			*t = *known;
			return;
		}
	}
	t->kind = found.kind;
	t->source = found.source;
	if (found.kind == IOLENS_TARGET_RAW || found.kind == IOLENS_TARGET_METADATA)
		t->id.dev = found.device;
	inode = (struct inode *)found.inode; /* separate: BPF_CORE_READ would relocate found.inode too */
	if (!inode)
		return;
	file_id_of(inode, &t->id, false);
	if (authored && op != IOLENS_OP_READ && (found.source == IOLENS_TARGET_SOURCE_PAGE || found.source == IOLENS_TARGET_SOURCE_FS))
		block_author(t);
	t->name_id = name_of_inode((__u64)inode, &t->id, slot);
}

static __always_inline void block_target_put(__u64 vector, const struct iolens_block_target *t)
{
	if (!bpf_map_update_elem(&targets, &vector, t, BPF_NOEXIST))
		__sync_fetch_and_add(&targets_open, 1);
	else
		bpf_map_update_elem(&targets, &vector, t, BPF_EXIST);
}

/* Has a program already handled the submission of this bio? Otherwise, its entry is left from an earlier bio at the same
 * address, whose end was not seen: that one was issued, or submitted by another thread. */
static __always_inline bool block_queued(__u64 bio)
{
	struct iolens_block_state *s = block_entry(bio);

	return s && !s->rq && s->by == (__u32)bpf_get_current_pid_tgid();
}

/* The submitter of a bio, which is the running task. */
static __always_inline void block_creator(struct iolens_block_state *s, struct bio *bio, bool empty)
{
	__u64 id = task_id();

	s->created = bpf_ktime_get_boot_ns();
	s->e.tgid = id >> 32;
	s->e.tid = (__u32)id;
	task_put_host_ids(&s->e);
	bpf_get_current_comm(s->e.comm, sizeof(s->e.comm));
	s->e.cgroup_id = bpf_get_current_cgroup_id();
	if (!filter_task(s->e.tgid, s->e.tid, s->e.comm))
		s->e.flags |= IOLENS_BLOCK_FILTERED;
	if (filter.part_dev && empty && compat_bio_part(bio) != filter.part_dev)
		s->e.flags |= IOLENS_BLOCK_FILTERED;
	if (task_is_throttle_worker(s->e.comm)) {
		__builtin_memset(s, 0, sizeof(*s));
		s->e.flags |= IOLENS_BLOCK_NO_CREATOR;
	}
}

/* A bio enters the block layer. Runs in the context of the task that submits it. `slot` is that of the program. */
static __always_inline int on_bio_queue(__u64 *ctx, int copy, __u32 slot)
{
	struct bio *bio = cast_to(bio, compat_bio_queue(ctx));
	__u64 key = compat_block_number(ctx, bio), place;
	struct gendisk *disk = compat_bio_disk(bio);
	__u32 size = bio->bi_iter.bi_size;
	bool alone = !bio_becomes_request(disk);
	struct iolens_block_state *s;

	if (!copy_begin(COPIED_BIO_QUEUE, key, copy, copy == COPIES_OF_STARTS))
		return 0;
	if (copy) {
		if (block_queued(key))
			return 0;
		copy_take_over(COPIED_BIO_QUEUE, key, copy == COPIES_OF_STARTS);
	}
	if (alone)
		ring_count_seen(1);
	place = block_claim(key);
	s = inflight_at(place);
	if (!s) { /* a request then has no submitter */
		if (alone)
			block_count_full(block_disk(disk), bio->bi_iter.bi_sector);
		return 0;
	}
	__builtin_memset(s, 0, sizeof(*s));
	block_creator(s, bio, !size);
	if (attribute)
		block_attribute(&s->e.target, bio, size, slot);
	if (copies_of_starts)
		s->by = (__u32)bpf_get_current_pid_tgid();
	s->e.dev = block_disk(disk);
	s->e.partition = compat_bio_partition(bio);
	s->e.bytes = size;
	s->e.bios = 1;
	block_describe(s, bio->bi_opf, bio->bi_iter.bi_sector, !size);
	if (alone) {
		if (attribute && size && s->e.target.kind != IOLENS_TARGET_ANONYMOUS) {
			s->vector = (__u64)BPF_CORE_READ(bio, bi_io_vec);
			block_target_put(s->vector, &s->e.target);
		}
		s->e.flags |= IOLENS_BLOCK_BIO;
		s->size = size;
		s->issued = s->created ? s->created : bpf_ktime_get_boot_ns();
	}
	inflight_publish(place, key);
	return 0;
}

/* A bio is split: the front part inherits the submitter of the rest. */
static __always_inline int on_bio_split(__u64 *ctx)
{
	__u64 rest;
	struct bio *front = bio_split(ctx, &rest);
	struct iolens_block_state *p = block_entry(compat_number(&rest));

	if (p && !(p->e.flags & IOLENS_BLOCK_BIO))
		block_copy(compat_number(&front), p);
	return 0;
}

#endif
