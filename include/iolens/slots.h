/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The keys of slots: bpf/lib/slots.bpf.h. */
#ifndef IOLENS_SLOTS_H
#define IOLENS_SLOTS_H

#include "iolens/event/header.h"

#define IOLENS_SLOTS_BUCKET 8
#define IOLENS_SLOT_BUSY 1 /* claimed, and being filled */

/* One cache line. */
struct iolens_slot_keys {
	u64 key[IOLENS_SLOTS_BUCKET]; /* 0: free; IOLENS_SLOT_BUSY */
};

#endif
