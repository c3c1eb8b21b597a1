/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests in flight, and their events. */
#ifndef IOLENS_BLOCK_STATE_BPF_H
#define IOLENS_BLOCK_STATE_BPF_H

#include "block/totals.bpf.h"
#include "lib/compat/base.bpf.h"
#include "lib/compat/block.bpf.h"
#include "lib/filter.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/slots.bpf.h"
#include "lib/task.bpf.h"

#include "iolens/block_state.h"
#include "iolens/event/block.h"
#include "iolens/event/disk.h"
#include "iolens/event/file.h"
#include "iolens/event/header.h"
#include "iolens/event/loss.h"

/* A request has at most as many bios as segments, and common drivers' limits are 254 or less. */
#define MAX_MERGED 255
/* For a request whose bios another disk passed on unchanged, or that failed before it was issued. */
#define MAX_FINISHED 24

SLOTS(inflight, struct iolens_block_state);

/* Attribute requests to files. */
const volatile bool attribute = true;

/* Send the target, and what follows it in an event. */
const volatile bool whole_events = true;

/* Target of a bio on a disk without requests, by the address of its bi_io_vec: the clones that such a disk submits
 * to lower disks share the array, or start at it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* set before load */
	__type(key, __u64);
	__type(value, struct iolens_block_target);
} targets SEC(".maps");

/* Record which process dirtied pages. */
const volatile bool authored = true;

/* The process that dirtied a file's pages. LRU: an evicted file has no author. */
struct block_author {
	__u64 dirtied; /* ns: most recently */
	__u64 written; /* ns: last submission of a bio */
	__u32 tgid;    /* in the initial pid namespace */
	__u8 several;
	__u8 reserved[3];
	__u8 comm[IOLENS_COMM_LEN];
	__u64 shown; /* process ID in own_pidns, if that is not the initial namespace */
	__u64 cgroup;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536); /* set before load */
	__type(key, struct iolens_file_id);
	__type(value, struct block_author);
} authors SEC(".maps");

/* Writeback of a file has ended if none of its bios was submitted for this time, ns. */
#define BLOCK_WRITEBACK 1000000000ULL

/* Further targets of a merged request, by request. */
struct block_extra_targets {
	struct iolens_extra_targets record;
	struct iolens_file_id last; /* of the targets that did not fit */
	__u32 count;
	__u32 others;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, struct block_extra_targets);
} extra_targets SEC(".maps");

/* Number of entries in `targets`; 0: skip the lookup. */
__s64 targets_open = 0;

static const struct block_extra_targets block_no_extra_targets = {};

/* dev_t → identity of the disk whose name was sent. If the map is full, names are sent again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} disks SEC(".maps");

/* Last disk emitted: consecutive requests usually go to the same disk. Concurrent writes of two CPUs may mix; the
 * pair then matches no disk, since no two have the same identity, and the map is looked up. Not static: clang would
 * split it into two variables, for which the kernel rejects the BTF of the object, and without BTF there are no
 * global functions. */
struct {
	__u64 identity;
	__u32 dev;
	__u32 reserved;
} block_last_disk = {};

/* Sends the name of a disk before its first event. Returns its dev_t. */
static __always_inline __u32 block_disk(struct gendisk *disk)
{
	struct iolens_disk_fact fact = {};
	struct iolens_counters *n;
	__u64 identity, *sent;
	__u32 dev;

	if (!disk)
		return 0;
	dev = compat_disk_dev(disk);
	identity = compat_disk_identity(disk);
	if (block_last_disk.dev == dev && block_last_disk.identity == identity)
		return dev;
	sent = bpf_map_lookup_elem(&disks, &dev);
	if (sent && *sent == identity) {
		block_last_disk.identity = 0;
		block_last_disk.dev = dev;
		block_last_disk.identity = identity;
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

/* Sets operation, flags and sector of a request or bio. */
static __always_inline void block_describe(struct iolens_block_state *s, __u32 opf, __u64 sector, bool empty)
{
	__u16 flags = compat_block_flags(opf);
	__u8 op = compat_block_op(opf);

	/* To the block layer, a bio that only flushes is an empty write with REQ_PREFLUSH. */
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

/* Sends the further targets of a merged request if its event is wanted, and deletes them. A global function, which
 * the verifier checks once. */
__noinline int block_emit_extra_targets(__u64 rq, __u64 now, __u32 wanted)
{
	struct block_extra_targets *all = bpf_map_lookup_elem(&extra_targets, &rq);
	struct iolens_counters *n;
	__u32 size;

	if (!all)
		return 0;
	size = all->count;
	if (size > IOLENS_EXTRA_TARGETS)
		size = IOLENS_EXTRA_TARGETS;
	size = offsetof(struct iolens_extra_targets, targets) + size * sizeof(struct iolens_extra_target);
	all->record.offset = offsetof(struct iolens_extra_targets, targets);
	all->record.element_size = sizeof(struct iolens_extra_target);
	all->record.h.ts = now;
	all->record.h.kind = IOLENS_KIND_EXTRA_TARGETS;
	all->record.h.size = size;
	all->record.h.cpu = bpf_get_smp_processor_id();
	if (wanted && !ring_put(&all->record, size) && (n = ring_counters()))
		ring_count(n, fact_lost);
	bpf_map_delete_elem(&extra_targets, &rq);
	return 0;
}

/* The cgroup that is charged with a request: of writeback that of the author, otherwise that of the submitter. */
static __always_inline __u64 block_charged(const struct iolens_block_event *e)
{
	struct block_author *author;
	struct iolens_file_id id;

	if (!e->target.authors)
		return e->cgroup_id;
	id = e->target.id;
	author = bpf_map_lookup_elem(&authors, &id);
	return author ? author->cgroup : e->cgroup_id;
}

/* The end of an operation: sends its event or adds it up, or counts why not. */
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
	wanted = iolens_block_wanted(&filter, &s->e, s->e.device_ns);
	if (s->e.target.more)
		block_emit_extra_targets(s->rq, now, wanted);
	if (!wanted) {
		ring_count(n, filtered);
		return;
	}
	if (totals_only) {
		if (!totals_add(&s->e)) {
			ring_count(n, state_full);
			return;
		}
		if (totals_groups)
			totals_add_groups(&s->e, block_charged(&s->e));
	} else {
		s->e.h.ts = s->e.flags & IOLENS_BLOCK_NO_END ? s->issued : now;
		s->e.h.kind = IOLENS_KIND_BLOCK;
		size = whole_events ? sizeof(s->e) : offsetof(struct iolens_block_event, target);
		s->e.h.size = size;
		s->e.h.cpu = bpf_get_smp_processor_id();
		if (!ring_put(&s->e, size)) {
			ring_count(n, ring_full);
			return;
		}
	}
	ring_count(n, delivered);
	if (s->e.flags & IOLENS_BLOCK_NO_END)
		ring_count(n, no_end);
	if (s->e.flags & IOLENS_BLOCK_NO_CREATOR)
		ring_count(n, no_creator);
}

/* Counts an operation that found no place in `inflight`: as a loss only if its device is selected. */
static __always_inline void block_count_full(__u32 dev, __u64 sector)
{
	struct iolens_counters *n = ring_counters();

	if (!n)
		return;
	if (iolens_block_device_wanted(&filter, dev, sector))
		ring_count(n, state_full);
	else
		ring_count(n, filtered);
}

static __always_inline void block_target_forget(__u64 vector)
{
	if (!bpf_map_delete_elem(&targets, &vector))
		__sync_fetch_and_add(&targets_open, -1);
}

/* Handles an entry whose completion was not seen. It still gets an event if it was issued. A global function, which the
 * verifier checks once. */
__noinline int block_left_behind(__u64 place)
{
	struct iolens_block_state *old = inflight_at(place);

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

/* The entry of a key. */
static __always_inline struct iolens_block_state *block_entry(__u64 key)
{
	return inflight_at(inflight_place(key));
}

/* Claims an entry, whose contents are undefined, and which nobody else finds before inflight_publish(). An entry with this key
 * is left behind, and used again. 0: there is no room. */
static __always_inline __u64 block_claim(__u64 key)
{
	__u64 place = inflight_place(key);

	if (place && block_left_behind(place))
		return place;
	return inflight_claim(key);
}

/* Likewise, a copy of another one. */
static __always_inline bool block_copy(__u64 key, const struct iolens_block_state *from)
{
	__u64 place = block_claim(key);
	struct iolens_block_state *s = inflight_at(place);

	if (!s)
		return false;
	*s = *from;
	inflight_publish(place, key);
	return true;
}

#endif
