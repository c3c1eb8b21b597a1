/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One interval in which a thread did not run, at its end:
 *
 *     switched out          woken              runs again
 *  start ── blocked ─────────▶ woken ── ready ──▶ h.ts
 */
#ifndef IOLENS_EVENT_WAIT_H
#define IOLENS_EVENT_WAIT_H

#include "iolens/event/header.h"

#define IOLENS_WAIT_FRAMES 24

struct iolens_wait_event {
	struct iolens_header h;
	u64 start; /* CLOCK_BOOTTIME, ns: sched_switch to another thread */
	u64 woken; /* sched_waking; `start`: runnable all along, but others had the CPU; 0: not seen */
	u32 tid; /* in the initial pid namespace */
	u32 tgid;
	/* Kernel stack, innermost frame first; 0 = end. In a recording, offsets into the functions of
	 * iolens_symbol_fact, 1 = unknown function. */
	u64 frames[IOLENS_WAIT_FRAMES];
	u32 shown_tid; /* in the pid namespace of iolens; 0: the task is outside of it; not in older recordings */
	u32 shown_tgid;
};

#ifdef __cplusplus
#include <type_traits>

namespace iolens {
static_assert(std::has_unique_object_representations_v<iolens_wait_event>);
}  // namespace iolens
#endif

#endif
