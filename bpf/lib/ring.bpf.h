/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring and the ledger. */
#ifndef IOLENS_LIB_RING_BPF_H
#define IOLENS_LIB_RING_BPF_H

#include "lib/compat/base.bpf.h"

#include "iolens/event/loss.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* set before load */
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct iolens_counters);
} counters SEC(".maps");

/* Bytes waiting in the ring at which the reader is woken before its nap is over. */
const volatile __u64 ring_wake_bytes = 1 << 20;

static __always_inline struct iolens_counters *ring_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

/* Atomic, because an interrupt on the same processor counts too. */
#define ring_count(counters_, what) ((void)__sync_fetch_and_add(&(counters_)->what, 1))

/* So many more operations have begun; or fewer, where one turned out to be none. */
static __always_inline void ring_count_seen(__s64 change)
{
	struct iolens_counters *n = ring_counters();

	if (n)
		__sync_fetch_and_add(&n->seen, change);
}

/* An operation has begun and the state map is full: it is lost. Returns the counters, for a counter of its own. */
static __always_inline struct iolens_counters *ring_count_unstored(void)
{
	struct iolens_counters *n = ring_counters();

	if (n) {
		ring_count(n, seen);
		ring_count(n, state_full);
	}
	return n;
}

/* Is the reader to be woken for the next record? */
static __always_inline __u64 ring_flags(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= ring_wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Copies a whole record into the ring. Nobody is woken for a record: the reader naps for some milliseconds and is
 * called only when much is waiting. False when there was no room: the caller counts it under its own name. */
static __always_inline bool ring_put(void *record, __u64 size)
{
	return bpf_ringbuf_output(&ring, record, size, ring_flags()) == 0;
}

/* The same for what comes often: it looks how much is waiting only at each 16th record of a processor. `n` is the
 * processor's counters. */
static __always_inline bool ring_put_often(struct iolens_counters *n, void *record, __u64 size)
{
	if (n->delivered % 16 == 0)
		return ring_put(record, size);
	return bpf_ringbuf_output(&ring, record, size, BPF_RB_NO_WAKEUP) == 0;
}

/* Sends the record of an operation that has ended, at its `h.ts`: it is delivered, or the ring is full. */
static __always_inline void ring_send_often(struct iolens_counters *n, struct iolens_header *h, __u16 kind, __u16 size)
{
	h->kind = kind;
	h->size = size;
	h->cpu = bpf_get_smp_processor_id();
	if (ring_put_often(n, h, size))
		ring_count(n, delivered);
	else
		ring_count(n, ring_full);
}

#endif
