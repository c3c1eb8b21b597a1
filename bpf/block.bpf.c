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
#include "lib/compat.bpf.h"
#include "lib/keep.bpf.h"
#include "lib/name.bpf.h"
#include "lib/origin.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"

#include "iolens/block_state.h"
#include "iolens/event/block.h"
#include "iolens/event/disk.h"
#include "iolens/watch.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A request has at most as many bios as segments, and the usual drivers' limits are 254 and less. */
#define MAX_MERGED 255
/* Of a request whose bios another disk passed on unchanged, or that failed before it was issued. */
#define MAX_FINISHED 24

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* set before load */
	__type(key, __u64);
	__type(value, struct iolens_block_state);
} inflight SEC(".maps");

/* Is it asked what requests are for? */
const volatile bool attribute = true;

/* What a bio of a disk without requests is for, by the address of its pages' list: the bios that such a disk makes of it for
 * the disks below share the list, or begin at it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* set before load */
	__type(key, __u64);
	__type(value, struct iolens_block_target);
} targets SEC(".maps");

/* Is it asked who made pages dirty? */
const volatile bool authored = true;

/* Who made a file's pages dirty. What is forgotten has no author. */
struct block_author {
	__u64 dirtied; /* ns: last */
	__u64 written; /* ns: a bio of it was last submitted */
	__u32 tgid;    /* the kernel's own */
	__u8 several;
	__u8 reserved[3];
	__u8 comm[IOLENS_COMM_LEN];
	__u64 shown; /* the process id in own_pidns, where that is not the initial one */
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536); /* set before load */
	__type(key, struct iolens_file_id);
	__type(value, struct block_author);
} authors SEC(".maps");

/* Writeback of a file is over when no bio of it was submitted for so long, ns. */
#define BLOCK_WRITEBACK 1000000000ULL

/* What else a merged request is for, by the request. */
struct block_parts {
	struct iolens_block_parts told;
	struct iolens_file_id last; /* of those that found no place */
	__u32 count;
	__u32 others;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, struct block_parts);
} parts SEC(".maps");

/* Entries of `targets`: while there are none, none is looked up. */
__s64 targets_open = 0;

static const struct iolens_block_state block_nothing = {};
static const struct block_parts block_no_parts = {};

/* dev_t → identity of the disk whose name was told. Full: names are told more often than once, no more. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} disks SEC(".maps");

/* The disk that was found told last: most requests in a row are of one disk. Two processors may mix their writes; the
 * pair then matches no disk, since no two have the same identity, and the map is asked. Not static: the compiler would make
 * two variables of it that the kernel's check of the object's BTF refuses, and without BTF there are no global functions. */
struct {
	__u64 identity;
	__u32 dev;
	__u32 reserved;
} block_told = {};

/* Sends the name of a disk before its first event. Returns its dev_t. */
static __always_inline __u32 block_disk(struct gendisk *disk)
{
	struct iolens_disk_fact fact = {};
	struct iolens_counters *n;
	__u64 identity, *told;
	__u32 dev;

	if (!disk)
		return 0;
	dev = compat_disk_dev(disk);
	identity = compat_disk_identity(disk);
	if (block_told.dev == dev && block_told.identity == identity)
		return dev;
	told = bpf_map_lookup_elem(&disks, &dev);
	if (told && *told == identity) {
		block_told.identity = 0;
		block_told.dev = dev;
		block_told.identity = identity;
		return dev;
	}
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
static __always_inline void block_describe(struct iolens_block_state *s, __u32 opf, __u64 sector, bool empty)
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

/* Sends what else a merged request is for, if its row is wanted, and forgets it. A global function, which the verifier walks
 * once. */
__noinline int block_tell_parts(__u64 rq, __u64 now, __u32 wanted)
{
	struct block_parts *all = bpf_map_lookup_elem(&parts, &rq);
	struct iolens_counters *n;
	__u32 size;

	if (!all)
		return 0;
	size = all->count;
	if (size > IOLENS_BLOCK_PARTS)
		size = IOLENS_BLOCK_PARTS;
	size = offsetof(struct iolens_block_parts, parts) + size * sizeof(struct iolens_block_part);
	all->told.h.ts = now;
	all->told.h.kind = IOLENS_KIND_PARTS;
	all->told.h.size = size;
	all->told.h.cpu = bpf_get_smp_processor_id();
	if (wanted && !ring_put(&all->told, size) && (n = ring_counters()))
		ring_count(n, fact_lost);
	bpf_map_delete_elem(&parts, &rq);
	return 0;
}

/* The end of an operation: one record, or a count of why there is none. */
static __always_inline void block_finish(struct iolens_block_state *s, __u64 now)
{
	struct iolens_counters *n = ring_counters();
	bool wanted;
	__u32 size;

	if (!n)
		return;
	if (s->issued)
		s->e.device_ns = now - s->issued;
	else
		s->e.flags |= IOLENS_BLOCK_NO_ISSUE;
	if (s->created)
		s->e.queue_ns = (s->issued ? s->issued : now) - s->created;
	wanted = iolens_block_wanted(&keep, &s->e, s->e.device_ns);
	if (s->e.target.more)
		block_tell_parts(s->rq, now, wanted);
	if (!wanted) {
		ring_count(n, filtered);
		return;
	}
	s->e.h.ts = s->e.flags & IOLENS_BLOCK_NO_END ? s->issued : now;
	s->e.h.kind = IOLENS_KIND_BLOCK;
	size = attribute || own_pidns.level ? sizeof(s->e) : offsetof(struct iolens_block_event, target);
	s->e.h.size = size;
	s->e.h.cpu = bpf_get_smp_processor_id();
	if (!ring_put(&s->e, size)) {
		ring_count(n, ring_full);
		return;
	}
	ring_count(n, delivered);
	if (s->e.flags & IOLENS_BLOCK_NO_END)
		ring_count(n, no_end);
	if (s->e.flags & IOLENS_BLOCK_NO_CREATOR)
		ring_count(n, no_creator);
}

static __always_inline void block_target_forget(__u64 vector)
{
	if (!bpf_map_delete_elem(&targets, &vector))
		__sync_fetch_and_add(&targets_open, -1);
}

/* What is found in the place of a new entry is a leftover: its end was not seen. If it was issued, it has a row all the same.
 * A global function, which the verifier walks once. */
__noinline int block_left_behind(__u64 key)
{
	struct iolens_block_state *old = bpf_map_lookup_elem(&inflight, &key);

	if (!old)
		return 0;
	if (attribute && old->vector)
		block_target_forget(old->vector);
	if (old->issued && !(old->e.flags & IOLENS_BLOCK_DONE)) {
		old->e.flags |= IOLENS_BLOCK_NO_END;
		old->e.bytes = old->size;
		block_finish(old, bpf_ktime_get_boot_ns());
	}
	return 1;
}

/* Puts in a new entry. False: there is no room for it. */
static __always_inline bool block_begin(__u64 key, const struct iolens_block_state *s)
{
	if (!bpf_map_update_elem(&inflight, &key, s, BPF_NOEXIST))
		return true;
	return block_left_behind(compat_number(&key)) && !bpf_map_update_elem(&inflight, &key, s, BPF_ANY);
}

/* A clean page of a file becomes dirty. Runs in the context of who writes to it. */
static __always_inline int on_dirty(__u64 *ctx)
{
	struct address_space *mapping = (struct address_space *)ctx[1];
	struct inode *inode = mapping ? BPF_CORE_READ(mapping, host) : 0;
	struct iolens_file_id id = {};
	struct block_author *known, fresh = {};
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 now;

	if (!inode || (BPF_CORE_READ(inode, i_mode) & 0170000) != 0100000)
		return 0;
	now = bpf_ktime_get_boot_ns();
	file_id_of(inode, &id, false);
	known = bpf_map_lookup_elem(&authors, &id);
	if (!known) {
		fresh.dirtied = now;
		fresh.tgid = tgid;
		if (own_pidns.level)
			fresh.shown = task_id() >> 32;
		task_process_comm(fresh.comm);
		bpf_map_update_elem(&authors, &id, &fresh, BPF_ANY);
		return 0;
	}
	/* are there pages that were made dirty before, and are not written back? */
	if (known->written > known->dirtied && now - known->written > BLOCK_WRITEBACK)
		known->several = 0;
	else if (known->tgid != tgid)
		known->several = 1;
	if (known->tgid != tgid) {
		known->tgid = tgid;
		if (own_pidns.level)
			known->shown = task_id() >> 32;
		task_process_comm(known->comm);
	}
	known->dirtied = now;
	return 0;
}

/* 5.18 made pages folios; each kernel has one of the two. */
PROGRAM("writeback_dirty_folio", iolens_dirty_folio, on_dirty(ctx))
PROGRAM("writeback_dirty_page", iolens_dirty_page, on_dirty(ctx))

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

/* What a bio is for. `slot`: of the program. */
static __always_inline void block_attribute(struct iolens_block_target *t, struct bio *bio, __u32 size, __u32 slot)
{
	struct origin o = {};
	struct iolens_block_target *known;
	struct inode *inode;
	__u8 op = compat_block_op(bio->bi_opf);
	__u64 vector;

	if (op == IOLENS_OP_DISCARD || op == IOLENS_OP_SECURE_ERASE) {
		t->origin = IOLENS_ORIGIN_DISCARD;
		return;
	}
	if (!size) {
		t->origin = IOLENS_ORIGIN_FLUSH;
		return;
	}
	if (op > IOLENS_OP_WRITE && op != IOLENS_OP_ZONE_APPEND) {
		t->origin = IOLENS_ORIGIN_NO_PAGES;
		return;
	}
	origin_of(bio, &o);
	if (o.kind == IOLENS_ORIGIN_ANONYMOUS && targets_open) {
		vector = o.vector;
		known = bpf_map_lookup_elem(&targets, &vector);
		if (known) {
			*t = *known;
			return;
		}
	}
	t->origin = o.kind;
	t->how = o.how;
	if (o.kind == IOLENS_ORIGIN_RAW || o.kind == IOLENS_ORIGIN_METADATA)
		t->id.dev = o.device;
	inode = (struct inode *)o.inode; /* apart: a read of the kernel's takes all its fields for the kernel's */
	if (!inode)
		return;
	file_id_of(inode, &t->id, false);
	if (authored && op != IOLENS_OP_READ && (o.how == IOLENS_HOW_PAGE || o.how == IOLENS_HOW_FS))
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

/* A bio enters the block layer. Runs in the context of the task that submits it. */
static __always_inline int on_bio_queue(__u64 *ctx)
{
	struct bio *bio = compat_bio_queue(ctx);
	struct gendisk *disk = compat_bio_disk(bio);
	__u64 id = task_id();
	struct iolens_block_state s = {};
	__u32 size = bio->bi_iter.bi_size;

	s.created = bpf_ktime_get_boot_ns();
	s.e.tgid = id >> 32;
	s.e.tid = (__u32)id;
	task_put_host_ids(&s.e);
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
	if (attribute)
		block_attribute(&s.e.target, bio, size, FILE_SLOT_ENTER);
	s.e.dev = block_disk(disk);
	s.e.bytes = size;
	s.e.bios = 1;
	block_describe(&s, bio->bi_opf, bio->bi_iter.bi_sector, !size);
	/* A disk without requests (dm, md, zram, pmem, an NVMe multipath head): the bio is all there is. */
	if (disk->queue->mq_ops) {
		block_begin((__u64)bio, &s); /* without room for it, its request has no creator */
		return 0;
	}
	if (attribute && size && s.e.target.origin != IOLENS_ORIGIN_ANONYMOUS) {
		s.vector = (__u64)BPF_CORE_READ(bio, bi_io_vec);
		block_target_put(s.vector, &s.e.target);
	}
	s.e.flags |= IOLENS_BLOCK_BIO;
	s.size = size;
	s.issued = s.created ? s.created : bpf_ktime_get_boot_ns();
	if (block_begin((__u64)bio, &s)) {
		ring_count_seen(1);
	} else {
		ring_count_unstored();
		if (attribute && s.vector)
			block_target_forget(s.vector);
	}
	return 0;
}

PROGRAM("block_bio_queue", iolens_bio_queue, on_bio_queue(ctx))

/* A bio too large for its disk is cut in two: the front part is a new bio, chained to the rest, that
 * block_bio_queue doesn't see. Its creator is the rest's. */
static __always_inline int on_bio_split(__u64 *ctx)
{
	struct bio *bio = compat_bio_split(ctx);
	__u64 parent = (__u64)bio->bi_private;
	struct iolens_block_state *p = bpf_map_lookup_elem(&inflight, &parent);
	struct iolens_block_state s;

	/* a disk without requests answers for the whole, when its last part has ended */
	if (!p || (p->e.flags & IOLENS_BLOCK_BIO))
		return 0;
	s = *p;
	block_begin((__u64)bio, &s);
	return 0;
}

PROGRAM("block_split", iolens_bio_split, on_bio_split(ctx))

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
	return a->origin == b->origin && file_same(&a->id, &b->id);
}

/* A merged bio is for something else than its request's first: one thing more, or more of one. Returns how many such things
 * there are by now. */
static __always_inline __u8 block_add_part(struct iolens_block_state *s, const struct iolens_block_state *b, __u32 bytes)
{
	struct block_parts *all = s->e.target.more ? bpf_map_lookup_elem(&parts, &s->rq) : 0;
	struct iolens_counters *n;
	__u32 count;

	if (!all) { /* what is there is another request's, whose end was not seen */
		bpf_map_update_elem(&parts, &s->rq, &block_no_parts, BPF_ANY);
		all = bpf_map_lookup_elem(&parts, &s->rq);
		if (!all) {
			if ((n = ring_counters()))
				ring_count(n, fact_lost);
			return 1;
		}
	}
	for (int i = 0; i < IOLENS_BLOCK_PARTS; i++) {
		struct iolens_block_part *part = &all->told.parts[i];

		if ((__u32)i == all->count) {
			all->count++;
			part->target = b->e.target;
		} else if (!block_same_target(&part->target, &b->e.target)) {
			continue;
		}
		part->bytes += bytes;
		goto out;
	}
	/* a file's bios are next to each other: what is counted isn't looked for */
	if (!all->others || !file_same(&all->last, &b->e.target.id)) {
		all->others++;
		all->last = b->e.target.id;
	}
	all->told.others += bytes;
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
		bpf_map_delete_elem(&parts, &b->rq);
		ring_count_seen(-1);
	}
	if (attribute && b->e.target.origin != IOLENS_ORIGIN_NONE && !block_same_target(&b->e.target, &s->e.target))
		s->e.target.more = block_add_part(s, b, BPF_CORE_READ((struct bio *)bio, bi_iter.bi_size));
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
	if (attribute && fresh && bio && s->e.target.origin == IOLENS_ORIGIN_NONE)
		block_attribute(&s->e.target, bio, bio->bi_iter.bi_size, FILE_SLOT_SUBMIT);
	s->rq = (__u64)rq;
	s->e.bios = 1;
	if (!bio) {
		s->e.bios = 0;
		if (compat_block_op(rq->cmd_flags) == IOLENS_OP_FLUSH) {
			block_flush_creator(s, rq);
			s->e.target.origin = IOLENS_ORIGIN_FLUSH;
		} else {
			s->e.target.origin = IOLENS_ORIGIN_NO_PAGES;
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

PROGRAM("block_rq_issue", iolens_rq_issue, on_rq_issue(ctx))

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

PROGRAM("block_rq_requeue", iolens_rq_requeue, on_rq_requeue(ctx))

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
		/* The flush machinery ends the request that asked for a flush after the device has answered: no
		 * request of the device's, and empty. */
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
		/* its name isn't told here: user space finds the rare disk whose first request fails like this */
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
	/* read anew: kept in a register since it was told from the status, each error would be a way of its own for the
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

PROGRAM("block_rq_complete", iolens_rq_complete, on_rq_complete(ctx))

/* A bio ends: the row of a disk without requests, and the end of the entry of every other that still has one. */
static __always_inline int on_bio_complete(__u64 *ctx)
{
	struct bio *bio = (void *)ctx[1];

	block_finish_bio((__u64)bio, bpf_ktime_get_boot_ns(), compat_errno(bio->bi_status));
	return 0;
}

PROGRAM("block_bio_complete", iolens_bio_complete, on_bio_complete(ctx))
