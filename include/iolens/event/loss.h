/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ledger. For the operations of a lens, to the last event:
 *
 *     seen = delivered + filtered + ring_full + orphan
 *
 * The other counters are causes and notes on the side: they explain an orphan or an empty column, and are not part
 * of the sum.
 */
#ifndef IOLENS_EVENT_LOSS_H
#define IOLENS_EVENT_LOSS_H

#include "iolens/event/header.h"

#ifdef __cplusplus
namespace iolens {
#endif

/* One per CPU in the kernel (map `counters`), added up in user space. */
struct iolens_counters {
	u64 seen;       /* operations whose end was seen */
	u64 delivered;  /* records put into the ring */
	u64 filtered;   /* ended, but not asked for */
	u64 ring_full;  /* ended, and there was no room in the ring */
	u64 orphan;     /* ended, but the start was not seen: begun before tracing, or one of the causes below */
	u64 state_full; /* starts that found the state map full */
	u64 stale;      /* starts that found a leftover of an operation whose end was not seen */
	u64 no_creator; /* delivered without the task that created the operation */
	u64 fact_lost;  /* a name record found no room in the ring; it is sent again with the next event */
};

/* The same as a record: the last one of a recording. `missed` is read from the kernel's program statistics. */
struct iolens_loss {
	struct iolens_header h;
	struct iolens_counters n;
	u64 missed; /* program runs that the kernel skipped (its recursion guard) */
};

#ifdef __cplusplus
}  // namespace iolens
#endif

#endif
