/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel side keeps of a block operation that is under way: the value of its map `inflight`. */
#ifndef IOLENS_BLOCK_STATE_H
#define IOLENS_BLOCK_STATE_H

#include "iolens/event/block.h"
#include "iolens/filter.h"

struct iolens_block_state {
	struct iolens_block_event e;
	u64 created; /* ns; 0: not seen */
	u64 issued;  /* ns; 0: not issued */
	u64 rq;      /* the request whose entry this is; 0: not issued yet */
	u64 vector;  /* its key in `targets`; 0: none */
	u32 size;    /* bytes, at the last issue */
	u32 reserved;
};

/* Is an operation asked for, that took the device so many ns? One that isn't over: that began so long ago. */
IOLENS_BOTH_SIDES u8 iolens_block_wanted(const volatile struct iolens_filter *filter, const struct iolens_block_event *e,
					 u64 device_ns)
{
	if (e->flags & IOLENS_BLOCK_FILTERED)
		return 0;
	if (iolens_filter_by_task(filter) && (e->flags & IOLENS_BLOCK_NO_CREATOR))
		return 0;
	if (filter->by_dev && e->dev != filter->dev)
		return 0;
	if (filter->sector_end) {
		/* what has no sector was judged at creation by the partition it was addressed to */
		if (e->flags & IOLENS_BLOCK_NO_SECTOR) {
			if (e->flags & IOLENS_BLOCK_NO_CREATOR)
				return 0;
		} else if (e->sector < filter->sector_first || e->sector >= filter->sector_end) {
			return 0;
		}
	}
	if (filter->ops && !(filter->ops >> (e->op & 31) & 1))
		return 0;
	return device_ns >= filter->min_ns;
}

#endif
