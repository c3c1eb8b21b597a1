/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring buffer and the event counters. */
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

/* Amount of data in the ring that wakes the reader before its sleep ends. */
const volatile __u64 ring_wake_bytes = 1 << 20;

static __always_inline struct iolens_counters *ring_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

/* Atomic, because an interrupt on the same CPU may count too. */
#define ring_count(counters_, what) ((void)__sync_fetch_and_add(&(counters_)->what, 1))

/* Adjusts the number of operations seen; negative if one turned out not to count. */
static __always_inline void ring_count_seen(__s64 change)
{
	struct iolens_counters *n = ring_counters();

	if (n)
		__sync_fetch_and_add(&n->seen, change);
}

/* An operation began, but the state map is full: it is lost. Returns the counters, for a more specific counter. */
static __always_inline struct iolens_counters *ring_count_unstored(void)
{
	struct iolens_counters *n = ring_counters();

	if (n) {
		ring_count(n, seen);
		ring_count(n, state_full);
	}
	return n;
}

/* Flags for the next record: wake the reader only if much data is pending. */
static __always_inline __u64 ring_flags(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= ring_wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Copies a whole record into the ring. A record does not wake the reader: it sleeps for a few milliseconds and is
 * woken only if much data is pending. Returns false if the ring is full: the caller counts the loss. */
static __always_inline bool ring_put(void *record, __u64 size)
{
	return bpf_ringbuf_output(&ring, record, size, ring_flags()) == 0;
}

/* Likewise for frequent records: queries the pending data only for every 16th record of a CPU. `n` points to the
 * counters of this CPU. */
static __always_inline bool ring_put_often(struct iolens_counters *n, void *record, __u64 size)
{
	if (n->delivered % 16 == 0)
		return ring_put(record, size);
	return bpf_ringbuf_output(&ring, record, size, BPF_RB_NO_WAKEUP) == 0;
}

/* Sends the record of an operation that ended at `h->ts`, and counts it as delivered or ring_full. */
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
