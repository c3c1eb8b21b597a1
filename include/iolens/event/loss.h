/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Event accounting. For all operations of a lens that began while it traced:
 *
 *     seen = delivered + filtered + ring_full + state_full + in_flight
 *
 * The other counters are informational and not part of the sum. Operations that began before tracing are counted only
 * in `orphan`.
 */
#ifndef IOLENS_EVENT_LOSS_H
#define IOLENS_EVENT_LOSS_H

#include "iolens/event/header.h"

/* One per CPU in BPF (map `counters`), summed in user space. Older recordings end before fields that were added
 * later; in those without in_flight, `seen` includes the orphans. */
struct iolens_counters {
	u64 seen;       /* operations that began */
	u64 delivered;  /* records put into the ring, or built from what was left in the state map */
	u64 filtered;   /* excluded by the filters */
	u64 ring_full;  /* no space in the ring for the record */
	u64 orphan;     /* ends without a start: begun before tracing, or already counted in another field */
	u64 state_full; /* no space in the state map at the start */
	u64 no_end;     /* delivered without an end: not seen */
	u64 no_creator; /* delivered without the submitting task */
	u64 fact_lost;  /* no space in the ring for a name; it is sent again with the next event */
	u64 in_flight;  /* in flight when tracing ended */
	/* breakdown of state_full */
	u64 requests_full; /* requests of libaio and io_uring */
	u64 libc_full;     /* functions of libc */
	u64 frames_full;   /* arguments that a kretprobe needs */
	u64 not_decoded;   /* nothing was full: calls of 32-bit programs without a decoder */
	u64 own;        /* part of filtered: on the output of iolens itself */
	u64 not_followed; /* not operations: processes that did not fit into the map */
	u64 ambiguous;    /* part of state_full: io_uring completions that may be of one of several requests */
	u64 unmatched;    /* part of state_full: failed io_uring completions, before Linux 5.18, of an unknown request */
};

/* The counters as a record: the last one of a recording. `missed` is always its last 8 bytes, regardless of the
 * number of counters; it is read from the kernel's program statistics. */
struct iolens_loss {
	struct iolens_header h;
	struct iolens_counters n;
	u64 missed; /* program runs skipped by the kernel (its recursion guard) */
};

#endif
