/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ledger. Of the operations of a lens that began while it traced, to the last one:
 *
 *     seen = delivered + filtered + ring_full + state_full + in_flight
 *
 * The other counters are notes on the side and no part of the sum. What began before tracing is in none of these, only in
 * `orphan`.
 */
#ifndef IOLENS_EVENT_LOSS_H
#define IOLENS_EVENT_LOSS_H

#include "iolens/event/header.h"

/* One per CPU in the kernel (map `counters`), added up in user space. Earlier recordings end before a field that was added
 * later; in those without in_flight, `seen` has the orphans in it. */
struct iolens_counters {
	u64 seen;       /* operations that began */
	u64 delivered;  /* records put into the ring, or made of what was left in the state map */
	u64 filtered;   /* not asked for */
	u64 ring_full;  /* there was no room for the record in the ring */
	u64 orphan;     /* ends whose start was not seen: begun before tracing, or counted under another name */
	u64 state_full; /* there was no room for the start in the state map */
	u64 no_end;     /* delivered without an end: it was not seen */
	u64 no_creator; /* delivered without the task that created the operation */
	u64 fact_lost;  /* a name record found no room in the ring; it is sent again with the next event */
	u64 in_flight;  /* not over when tracing ended */
	/* of state_full, by what there was no room for */
	u64 requests_full; /* requests of libaio and io_uring */
	u64 libc_full;     /* functions of libc */
	u64 frames_full;   /* what a kretprobe has to know of its call */
	u64 not_decoded;   /* nothing was full: calls of another ABI, whose numbers mean other calls */
	u64 own;        /* of filtered: on what rows are written to */
	u64 not_followed; /* no operations: processes that found no room */
};

/* The same as a record: the last one of a recording. `missed` is its last 8 bytes, however many counters there are; it is
 * read from the kernel's program statistics. */
struct iolens_loss {
	struct iolens_header h;
	struct iolens_counters n;
	u64 missed; /* program runs that the kernel skipped (its recursion guard) */
};

#endif
