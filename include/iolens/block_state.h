/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* State of a block operation in flight: the value of the BPF map `inflight`. */
#ifndef IOLENS_BLOCK_STATE_H
#define IOLENS_BLOCK_STATE_H

#include "iolens/event/block.h"
#include "iolens/filter.h"

struct iolens_block_state {
	struct iolens_block_event e;
	u64 created; /* ns; 0: not seen */
	u64 issued;  /* ns; 0: not issued */
	u64 rq;      /* request that owns the entry; 0: not issued yet */
	u64 vector;  /* key in `targets`; 0: none */
	u32 size;    /* bytes, at the last issue */
	u32 by;      /* thread that submitted or issued it last, in the initial pid namespace; for copies of programs only */
};

/* Is the disk selected, and the partition that `sector` is in? */
IOLENS_BOTH_SIDES u8 iolens_block_device_wanted(const volatile struct iolens_filter *filter, u32 dev, u64 sector)
{
	if (filter->by_dev && dev != filter->dev)
		return 0;
	return !filter->sector_end || (sector >= filter->sector_first && sector < filter->sector_end);
}

/* Does the operation pass the filters, with this much device time? For one in flight: time since its start. */
IOLENS_BOTH_SIDES u8 iolens_block_wanted(const volatile struct iolens_filter *filter, const struct iolens_block_event *e,
					 u64 device_ns)
{
	if (e->flags & IOLENS_BLOCK_FILTERED)
		return 0;
	if (iolens_filter_by_task(filter) && (e->flags & IOLENS_BLOCK_NO_CREATOR))
		return 0;
	/* an operation without a sector was filtered at submission, by its partition */
	if (!iolens_block_device_wanted(filter, e->dev, e->flags & IOLENS_BLOCK_NO_SECTOR ? filter->sector_first : e->sector))
		return 0;
	if (filter->sector_end && e->flags & IOLENS_BLOCK_NO_SECTOR && e->flags & IOLENS_BLOCK_NO_CREATOR)
		return 0;
	if (filter->ops && !(filter->ops >> (e->op & 31) & 1))
		return 0;
	return device_ns >= filter->min_ns;
}

#endif
