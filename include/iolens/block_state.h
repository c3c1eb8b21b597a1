/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel side keeps of a block operation that is under way: the value of its map `inflight`. */
#ifndef IOLENS_BLOCK_STATE_H
#define IOLENS_BLOCK_STATE_H

#include "iolens/event/block.h"

#ifdef __cplusplus
namespace iolens {
#endif

struct iolens_block_state {
	struct iolens_block_event e;
	u64 created; /* ns; 0: not seen */
	u64 issued;  /* ns; 0: not issued */
	u64 rq;      /* the request whose entry this is; 0: not issued yet */
	u64 vector;  /* its key in `targets`; 0: none */
};

#ifdef __cplusplus
}  // namespace iolens
#endif

#endif
