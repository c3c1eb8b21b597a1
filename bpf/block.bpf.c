/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every block request, from the task that submits it to the device's answer. BTF tracepoints only: they are there on
 * every kernel from 5.10, also where kprobes and fentry are not.
 *
 *   bios      bio → who submitted it and when: put in at block_bio_queue, in the submitter's context; taken out when
 *             its request is issued, or at its end. (The bio of a request that was completed doesn't pass
 *             block_bio_complete: blk_update_request clears BIO_TRACE_COMPLETION.)
 *   requests  request → what becomes its event: put in at block_rq_issue, taken out at the final block_rq_complete
 *
 * The merging of bios needs no probe: when a request is issued, the bios that it was made of hang off it. Only a request
 * that was issued and given back can be merged into another one and is never heard of again: block_rq_merge.
 * block_rq_insert is not used: it doesn't fire without a scheduler, and passthrough and flush requests bypass it.
 */
#include "lib/compat.bpf.h"
#include "lib/keep.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"

#include "iolens/event/block.h"
#include "iolens/event/disk.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Of a request's merged bios, so many are asked for the creator, and so many can be forgotten: a request
 * has at most as many bios as segments, and the usual drivers' limits are 254 and less. */
#define MAX_ASKED 64
#define MAX_RELEASED 256

struct block_state {
	struct iolens_block_event e;
	__u64 created; /* ns; 0: not seen */
	__u64 issued;  /* ns; 0: not issued */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* set before load */
	__type(key, __u64);
	__type(value, struct block_state);
} bios SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* set before load */
	__type(key, __u64);
	__type(value, struct block_state);
} requests SEC(".maps");

/* What a new entry of `requests` is: it is filled in place, where the verifier needn't follow each byte. */
static const struct block_state block_nothing = {};

/* dev_t → identity of the disk whose name was told. An LRU: told twice is harmless. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} disks SEC(".maps");

/* Sends the name of a disk before its first event. */
static __always_inline __u32 block_disk(struct gendisk *disk)
{
	struct iolens_disk_fact fact = {};
	struct iolens_counters *n;
	__u64 identity, *told;
	__u32 dev;

	if (!disk)
		return 0;
	dev = (__u32)disk->major << 20 | (__u32)disk->first_minor;
	identity = compat_disk_identity(disk);
	told = bpf_map_lookup_elem(&disks, &dev);
	if (told && *told == identity)
		return dev;
	fact.h.ts = bpf_ktime_get_boot_ns();
	fact.h.kind = IOLENS_KIND_DISK;
	fact.h.size = sizeof(fact);
	fact.h.cpu = bpf_get_smp_processor_id();
	fact.dev = dev;
	bpf_probe_read_kernel_str(fact.name, sizeof(fact.name), (void *)disk + bpf_core_field_offset(disk->disk_name));
	if (ring_put(&fact, sizeof(fact)))
		bpf_map_update_elem(&disks, &dev, &identity, BPF_ANY);
	else if ((n = ring_counters()))
		ring_count(n, fact_lost);
	return dev;
}

/* Operation, flags and place of a request or bio. */
static __always_inline void block_describe(struct block_state *s, __u32 opf, __u64 sector, bool empty)
{
	__u16 flags = compat_block_flags(opf);
	__u8 op = compat_block_op(opf);

	/* A bio that only flushes is, to the block layer, an empty write with REQ_PREFLUSH. */
	if (op == IOLENS_OP_WRITE && empty && (flags & IOLENS_BLOCK_PREFLUSH)) {
		op = IOLENS_OP_FLUSH;
		flags &= ~IOLENS_BLOCK_PREFLUSH;
	} else if (op == IOLENS_OP_FLUSH) {
		flags &= ~IOLENS_BLOCK_PREFLUSH;
	}
	if (op == IOLENS_OP_FLUSH || op == IOLENS_OP_PASSTHROUGH) {
		flags |= IOLENS_BLOCK_NO_SECTOR;
		sector = 0;
	}
	s->e.op = op;
	s->e.flags |= flags;
	s->e.sector = sector;
}

static __always_inline bool block_wanted(const struct iolens_block_event *e, __u64 device_ns)
{
	if (e->flags & IOLENS_BLOCK_FILTERED)
		return false;
	if (keep_by_task() && (e->flags & IOLENS_BLOCK_NO_CREATOR))
		return false;
	if (keep.by_dev && e->dev != keep.dev)
		return false;
	if (keep.sector_end) {
		/* what has no sector was judged at creation by the partition it was addressed to */
		if (e->flags & IOLENS_BLOCK_NO_SECTOR) {
			if (e->flags & IOLENS_BLOCK_NO_CREATOR)
				return false;
		} else if (e->sector < keep.sector_first || e->sector >= keep.sector_end) {
			return false;
		}
	}
	if (keep.ops && !(keep.ops >> (e->op & 31) & 1))
		return false;
	return device_ns >= keep.min_ns;
}

/* The end of an operation: one record, or a count of why there is none. */
static __always_inline void block_finish(struct block_state *s, __u64 now)
{
	struct iolens_counters *n = ring_counters();

	if (!n)
		return;
	ring_count(n, seen);
	if (s->issued)
		s->e.device_ns = now - s->issued;
	else
		s->e.flags |= IOLENS_BLOCK_NO_ISSUE;
	if (s->created)
		s->e.queue_ns = (s->issued ? s->issued : now) - s->created;
	if (!block_wanted(&s->e, s->e.device_ns)) {
		ring_count(n, filtered);
		return;
	}
	s->e.h.ts = now;
	s->e.h.kind = IOLENS_KIND_BLOCK;
	s->e.h.size = sizeof(s->e);
	s->e.h.cpu = bpf_get_smp_processor_id();
	if (!ring_put(&s->e, sizeof(s->e))) {
		ring_count(n, ring_full);
		return;
	}
	ring_count(n, delivered);
	if (s->e.flags & IOLENS_BLOCK_NO_CREATOR)
		ring_count(n, no_creator);
}

static __always_inline void block_store(void *map, __u64 key, struct block_state *s)
{
	struct iolens_counters *n;

	if (bpf_map_update_elem(map, &key, s, BPF_ANY) && (n = ring_counters()))
		ring_count(n, state_full);
}

/* A bio enters the block layer. Runs in the context of the task that submits it. */
SEC("tp_btf/block_bio_queue")
int iolens_bio_queue(__u64 *ctx)
{
	struct bio *bio = compat_bio_queue(ctx);
	struct gendisk *disk = compat_bio_disk(bio);
	__u64 id = bpf_get_current_pid_tgid();
	struct block_state s = {};
	__u32 size = bio->bi_iter.bi_size;

	s.created = bpf_ktime_get_boot_ns();
	s.e.tgid = id >> 32;
	s.e.tid = (__u32)id;
	bpf_get_current_comm(s.e.comm, sizeof(s.e.comm));
	s.e.cgroup_id = bpf_get_current_cgroup_id();
	if (!keep_task(s.e.tgid, s.e.tid, s.e.comm))
		s.e.flags |= IOLENS_BLOCK_FILTERED;
	if (keep.part_dev && !size && compat_bio_part(bio) != keep.part_dev)
		s.e.flags |= IOLENS_BLOCK_FILTERED;
	if (task_is_throttle_worker(s.e.comm)) {
		__builtin_memset(&s, 0, sizeof(s));
		s.e.flags |= IOLENS_BLOCK_NO_CREATOR;
	}
	/* A disk without requests (dm, md, zram, pmem, an NVMe multipath head): the bio is all there is. */
	if (!disk->queue->mq_ops) {
		s.e.flags |= IOLENS_BLOCK_BIO;
		s.e.dev = block_disk(disk);
		s.e.bytes = size;
		s.e.bios = 1;
		s.issued = s.created ? s.created : bpf_ktime_get_boot_ns();
	}
	/* Needed for all, because a merged or flushing one keeps its entry by these flags. */
	block_describe(&s, bio->bi_opf, bio->bi_iter.bi_sector, !size);
	block_store(&bios, (__u64)bio, &s);
	return 0;
}

/* A bio too large for its disk is cut in two: the front part is a new bio, chained to the rest, that
 * block_bio_queue doesn't see. Its creator is the rest's. */
SEC("tp_btf/block_split")
int iolens_bio_split(__u64 *ctx)
{
	struct bio *bio = compat_bio_split(ctx);
	__u64 parent = (__u64)bio->bi_private;
	struct block_state *p = bpf_map_lookup_elem(&bios, &parent);
	struct block_state s;

	/* a disk without requests answers for the whole, when its last part has ended */
	if (!p || (p->e.flags & IOLENS_BLOCK_BIO))
		return 0;
	s = *p;
	block_store(&bios, (__u64)bio, &s);
	return 0;
}

static __always_inline void block_take_creator(struct block_state *s, const struct block_state *from)
{
	s->created = from->created;
	s->e.cgroup_id = from->e.cgroup_id;
	s->e.tgid = from->e.tgid;
	s->e.tid = from->e.tid;
	__builtin_memcpy(s->e.comm, from->e.comm, sizeof(s->e.comm));
	s->e.flags &= ~IOLENS_BLOCK_FILTERED;
	s->e.flags |= from->e.flags & IOLENS_BLOCK_FILTERED;
}

static __always_inline void block_forget_bio(struct request *rq)
{
	__u64 key = (__u64)rq->bio;

	bpf_map_delete_elem(&bios, &key);
}

static __always_inline void block_forget_bios(struct request *rq)
{
	struct bio *bio = rq->bio;

	for (int i = 0; i < MAX_RELEASED && bio; i++) {
		__u64 key = (__u64)bio;

		bio = bio->bi_next;
		bpf_map_delete_elem(&bios, &key);
	}
}

/* Forgets a bio whose request has taken over, but for one that is asked for again: a stacked disk's, and one that a
 * flush will look for. */
static __always_inline void block_release(struct block_state *s, __u64 key, struct block_state *b)
{
	if (b->e.flags & IOLENS_BLOCK_BIO)
		s->e.flags |= IOLENS_BLOCK_STACKED;
	else if (b->e.flags & (IOLENS_BLOCK_PREFLUSH | IOLENS_BLOCK_FUA))
		s->e.flags |= IOLENS_BLOCK_FLUSHES;
	else
		bpf_map_delete_elem(&bios, &key);
}

static __always_inline void block_first_creator(struct block_state *s, struct bio *bio)
{
	__u64 key = (__u64)bio;
	struct block_state *b = bpf_map_lookup_elem(&bios, &key);

	s->e.bios = 1;
	if (b) {
		block_take_creator(s, b);
		block_release(s, key, b);
	}
}

/* Finds the creator of the request: of its bios, the one that was submitted first. What the loop remembers is kept in
 * the map's entry, not in registers: there the verifier needn't tell one turn from another. */
static __always_inline void block_creator(struct block_state *s, struct request *rq)
{
	struct bio *bio = rq->bio;
	__u32 count = 0;

	if (!bio->bi_next) {
		block_first_creator(s, bio);
		return;
	}
	for (int i = 0; i < MAX_ASKED && bio; i++) {
		__u64 key = (__u64)bio;
		struct block_state *b = bpf_map_lookup_elem(&bios, &key);

		if (b) {
			s->e.flags |= b->e.flags & IOLENS_BLOCK_BIO ? IOLENS_BLOCK_STACKED : 0;
			if (b->created && (!s->created || (__s64)(b->created - s->created) < 0))
				block_take_creator(s, b);
		}
		bio = bio->bi_next;
		count++;
	}
	s->e.bios = count;
	/* a flushing bio is never merged, so the choice is between these two */
	if (!(s->e.flags & IOLENS_BLOCK_STACKED))
		block_forget_bios(rq);
}

/* The flush machinery's own request has no bio: its creator is the one who waits for the flush. */
static __always_inline void block_flush_creator(struct block_state *s, struct request *rq)
{
	__u64 key = compat_flush_owner(rq);
	struct block_state *b = key ? bpf_map_lookup_elem(&bios, &key) : 0;

	if (b && b->created)
		block_take_creator(s, b);
}

/* The end of an operation on a disk without requests, and of the entry of any bio. */
static __always_inline void block_finish_bio(__u64 key, __u64 now, __u16 error)
{
	struct block_state *b = bpf_map_lookup_elem(&bios, &key);

	if (!b)
		return;
	if (b->e.flags & IOLENS_BLOCK_BIO) {
		b->e.error = error;
		block_finish(b, now);
	}
	bpf_map_delete_elem(&bios, &key);
}

/* A function of its own, so that the verifier walks it once and not for each turn of a loop. */
__attribute__((noinline)) int iolens_finish_stacked_bio(__u64 key, __u64 now, __u32 error)
{
	block_finish_bio(key, now, error);
	return 0;
}

/* The bios that another disk passed on unchanged end with the request, and so do that disk's operations. Probe reads,
 * because only a plain number may be handed to a global function. */
static __always_inline void block_finish_stacked(struct request *rq, __u64 now, __u16 error)
{
	struct bio *bio = BPF_CORE_READ(rq, bio);

	for (int i = 0; i < MAX_RELEASED && bio; i++) {
		__u64 key = (__u64)bio;

		bio = BPF_CORE_READ(bio, bi_next);
		iolens_finish_stacked_bio(key, now, error);
	}
}

/* A new entry for a request. Null when there is one already, then `*old`, or no room, which is counted. */
static __always_inline struct block_state *block_begin(__u64 key, struct block_state **old)
{
	long err = bpf_map_update_elem(&requests, &key, &block_nothing, BPF_NOEXIST);
	struct block_state *s = bpf_map_lookup_elem(&requests, &key);
	struct iolens_counters *n;

	if (!err)
		return s;
	*old = s;
	if (!s && (n = ring_counters()))
		ring_count(n, state_full);
	return 0;
}

/* A request goes to the driver. Runs anywhere. */
SEC("tp_btf/block_rq_issue")
int iolens_rq_issue(__u64 *ctx)
{
	struct request *rq = compat_rq_issue(ctx);
	struct block_state *old = 0, *s;
	struct iolens_counters *n;
	__u64 key = (__u64)rq;

	s = block_begin(key, &old);
	if (!s) {
		if (!old)
			return 0;
		s = old;
		if (!(s->e.flags & IOLENS_BLOCK_REQUEUED)) {
			/* the request's memory serves another one, and the end of the former was missed */
			if ((n = ring_counters()))
				ring_count(n, stale);
			__builtin_memset(s, 0, sizeof(*s));
		}
		s->e.flags &= ~(IOLENS_BLOCK_REQUEUED | IOLENS_BLOCK_NO_CREATOR);
	}
	s->issued = bpf_ktime_get_boot_ns();
	/* after a requeue, too: bios may have been merged into it meanwhile */
	if (rq->bio)
		block_creator(s, rq);
	else if (compat_block_op(rq->cmd_flags) == IOLENS_OP_FLUSH)
		block_flush_creator(s, rq);
	if (!s->created)
		s->e.flags |= IOLENS_BLOCK_NO_CREATOR;
	s->e.dev = block_disk(compat_rq_disk(rq));
	block_describe(s, rq->cmd_flags, rq->__sector - (s->e.bytes >> 9), !rq->__data_len);
	return 0;
}

/* A request is swallowed by another one. It can have been issued before and given back by the driver. */
SEC("tp_btf/block_rq_merge")
int iolens_rq_merge(__u64 *ctx)
{
	__u64 key = (__u64)compat_rq_merge(ctx);

	bpf_map_delete_elem(&requests, &key);
	return 0;
}

/* The driver gives a request back; it will be issued again. */
SEC("tp_btf/block_rq_requeue")
int iolens_rq_requeue(__u64 *ctx)
{
	__u64 key = (__u64)compat_rq_requeue(ctx);
	struct block_state *s = bpf_map_lookup_elem(&requests, &key);

	if (s) {
		s->e.requeues++;
		s->e.flags |= IOLENS_BLOCK_REQUEUED;
	}
	return 0;
}

/* Bytes of a request are done, perhaps all. Runs in an interrupt of any task. */
SEC("tp_btf/block_rq_complete")
int iolens_rq_complete(__u64 *ctx)
{
	struct request *rq = (void *)ctx[0];
	__s32 status = (__s32)ctx[1];
	__u32 bytes = (__u32)ctx[2];
	__u64 key = (__u64)rq;
	struct block_state *s = bpf_map_lookup_elem(&requests, &key), *old;
	bool last = bytes >= rq->__data_len;
	struct iolens_counters *n;
	__u64 now;

	if (!s) {
		if (!last)
			return 0;
		/* The flush machinery ends the request that asked for a flush after the device has answered: no
		 * request of the device's, and empty. */
		if (!bytes && compat_block_op(rq->cmd_flags) <= IOLENS_OP_WRITE) {
			block_forget_bio(rq);
			return 0;
		}
		/* Failed before it was issued: then its bios are still known. */
		if (rq->bio && (s = block_begin(key, &old))) {
			block_first_creator(s, rq->bio);
			block_forget_bios(rq);
			s->e.dev = block_disk(compat_rq_disk(rq));
			block_describe(s, rq->cmd_flags, rq->__sector, !bytes);
		}
		if (!s || !s->created) {
			if (s)
				bpf_map_delete_elem(&requests, &key);
			if ((n = ring_counters())) {
				ring_count(n, seen);
				ring_count(n, orphan);
			}
			return 0;
		}
	}
	s->e.bytes += bytes;
	if (status && !s->e.error)
		s->e.error = compat_errno(status);
	if (!last)
		return 0;
	now = bpf_ktime_get_boot_ns();
	if (s->e.flags & IOLENS_BLOCK_STACKED)
		block_finish_stacked(rq, now, s->e.error);
	/* where the flush machinery has the last word (end_io), it ends the request once more, above */
	if ((s->e.flags & IOLENS_BLOCK_FLUSHES) && !rq->end_io)
		block_forget_bio(rq);
	block_finish(s, now);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

/* A bio ends: the row of a disk without requests, and the end of the entry of every other that still has one. */
SEC("tp_btf/block_bio_complete")
int iolens_bio_complete(__u64 *ctx)
{
	struct bio *bio = (void *)ctx[1];

	block_finish_bio((__u64)bio, bpf_ktime_get_boot_ns(), compat_errno(bio->bi_status));
	return 0;
}
