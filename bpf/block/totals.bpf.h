/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Totals of requests, kept here when nobody reads rows: no event travels. */
#ifndef IOLENS_BLOCK_TOTALS_BPF_H
#define IOLENS_BLOCK_TOTALS_BPF_H

#include "lib/compat/base.bpf.h"

#include "iolens/block_totals.h"
#include "iolens/event/block.h"

/* Add up requests instead of sending events. */
const volatile bool totals_only = false;

/* Also count times by powers of two: enum iolens_totals_log2. */
const volatile __u8 totals_log2 = IOLENS_LOG2_NONE;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct iolens_totals_key);
	__type(value, struct iolens_totals);
} totals SEC(".maps");

static const struct iolens_totals totals_nothing = {};

/* The number of the highest bit that is set; 0 if none is. */
static __always_inline __u32 totals_log2_of(__u64 value)
{
	__u32 log2 = 0;

#pragma unroll
	for (int half = 32; half; half >>= 1) {
		if (value >> half) {
			value >>= half;
			log2 += half;
		}
	}
	return log2;
}

/* The bucket of a time. A global function, which the verifier checks once. */
__noinline __u32 totals_bucket(__u64 ns)
{
	__u32 shift;

	if (ns < 2 << IOLENS_TIME_SUB_BITS)
		return ns;
	if (ns >> IOLENS_TIME_BITS)
		return IOLENS_TIME_BUCKETS - 1;
	shift = totals_log2_of(ns) - IOLENS_TIME_SUB_BITS;
	return (shift << IOLENS_TIME_SUB_BITS) + (__u32)(ns >> shift);
}

__noinline __u32 totals_slot(__u64 ns)
{
	__u32 slot = totals_log2_of(ns / 1000);

	return slot < IOLENS_LOG2_SLOTS ? slot : IOLENS_LOG2_SLOTS - 1;
}

static __always_inline struct iolens_totals *totals_of(__u32 dev, __u8 op)
{
	struct iolens_totals_key key = {.dev = dev, .op = op};
	struct iolens_totals *t = bpf_map_lookup_elem(&totals, &key);

	if (t)
		return t;
	bpf_map_update_elem(&totals, &key, &totals_nothing, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&totals, &key);
	if (t)
		return t;
	key.dev = 0; /* created by user space */
	return bpf_map_lookup_elem(&totals, &key);
}

/* Counts a time. Atomic, because an interrupt on the same CPU may count too; of two maxima at once one may be lost. */
#define TOTALS_TIME(t, what, ns)                                                \
	do {                                                                    \
		__u32 bucket_ = totals_bucket(ns);                              \
                                                                                \
		if (bucket_ < IOLENS_TIME_BUCKETS)                              \
			(void)__sync_fetch_and_add(&(t)->what[bucket_], 1);     \
		(void)__sync_fetch_and_add(&(t)->what##_ns, ns);                \
		if ((ns) > (t)->what##_max)                                     \
			(t)->what##_max = ns;                                   \
	} while (0)

/* Add up by cgroup and by target, too. */
const volatile bool totals_groups = false;

/* Its lowest bit says which of the two maps is added to: user space empties the other one. */
__u32 totals_turn = 0;

#define TOTALS_GROUPS(name)                                    \
	struct {                                               \
		__uint(type, BPF_MAP_TYPE_PERCPU_HASH);        \
		__uint(max_entries, 1); /* set before load */  \
		__type(key, struct iolens_group_key);          \
		__type(value, struct iolens_group_totals);     \
	} name SEC(".maps")
TOTALS_GROUPS(groups_0);
TOTALS_GROUPS(groups_1);
#undef TOTALS_GROUPS

static const struct iolens_group_totals totals_no_group = {};

static __always_inline void totals_add_group(const struct iolens_block_event *e, struct iolens_group_key *key, void *map)
{
	struct iolens_group_totals *t = bpf_map_lookup_elem(map, key);
	int other = e->op != IOLENS_OP_READ;

	if (!t) {
		bpf_map_update_elem(map, key, &totals_no_group, BPF_NOEXIST);
		t = bpf_map_lookup_elem(map, key);
	}
	if (!t) {
		__u8 group = key->group;

		__builtin_memset(key, 0, sizeof(*key));
		key->group = group;
		t = bpf_map_lookup_elem(map, key); /* created by user space */
		if (!t)
			return;
	}
	if (other) {
		(void)__sync_fetch_and_add(&t->requests[1], 1);
		(void)__sync_fetch_and_add(&t->bytes[1], e->bytes);
	} else {
		(void)__sync_fetch_and_add(&t->requests[0], 1);
		(void)__sync_fetch_and_add(&t->bytes[0], e->bytes);
	}
	if (!(e->flags & (IOLENS_BLOCK_NO_ISSUE | IOLENS_BLOCK_NO_END)))
		(void)__sync_fetch_and_add(&t->device_ns, e->device_ns);
}

static __always_inline void totals_add_groups_to(const struct iolens_block_event *e, __u64 cgroup, void *map)
{
	struct iolens_group_key key = {.id = cgroup, .group = IOLENS_GROUP_CGROUP, .known = 1};

	totals_add_group(e, &key, map);
	__builtin_memset(&key, 0, sizeof(key));
	key.id = e->target.name_id;
	key.file = e->target.id;
	key.group = IOLENS_GROUP_TARGET;
	key.kind = e->target.kind;
	key.source = e->target.source;
	key.known = 1;
	totals_add_group(e, &key, map);
}

/* `cgroup` is charged with the request. */
static __always_inline void totals_add_groups(const struct iolens_block_event *e, __u64 cgroup)
{
	if (totals_turn & 1)
		totals_add_groups_to(e, cgroup, &groups_1);
	else
		totals_add_groups_to(e, cgroup, &groups_0);
}

/* Counts a request that has ended. Returns false if there is no place for it. */
static __always_inline bool totals_add(const struct iolens_block_event *e)
{
	struct iolens_totals *t = totals_of(e->dev, e->op);
	__u32 slot;
	__u64 ns;

	if (!t)
		return false;
	(void)__sync_fetch_and_add(&t->bytes, e->bytes);
	if (e->error)
		(void)__sync_fetch_and_add(&t->errors, 1);
	if (e->requeues)
		(void)__sync_fetch_and_add(&t->requeues, e->requeues);
	if (!(e->flags & IOLENS_BLOCK_NO_CREATOR))
		TOTALS_TIME(t, queue, e->queue_ns);
	if (e->flags & (IOLENS_BLOCK_NO_ISSUE | IOLENS_BLOCK_NO_END))
		(void)__sync_fetch_and_add(&t->no_time, 1);
	else
		TOTALS_TIME(t, device, e->device_ns);
	if (totals_log2 && !(e->flags & (IOLENS_BLOCK_NO_ISSUE | IOLENS_BLOCK_NO_END))) {
		ns = e->device_ns + (totals_log2 == IOLENS_LOG2_BOTH ? e->queue_ns : 0);
		slot = totals_slot(ns - (totals_log2 == IOLENS_LOG2_EACH && ns));
		if (slot < IOLENS_LOG2_SLOTS)
			(void)__sync_fetch_and_add(&t->log2[slot], 1);
	}
	if (totals_log2 == IOLENS_LOG2_EACH && !(e->flags & IOLENS_BLOCK_NO_CREATOR)) {
		slot = totals_slot(e->queue_ns - !!e->queue_ns);
		if (slot < IOLENS_LOG2_SLOTS)
			(void)__sync_fetch_and_add(&t->log2_queue[slot], 1);
	}
	return true;
}

#endif
