/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Kernel function, so that recorded stacks can be resolved elsewhere. */
#ifndef IOLENS_EVENT_SYMBOL_H
#define IOLENS_EVENT_SYMBOL_H

#include "iolens/event/header.h"

#define IOLENS_SYMBOL_LEN 48

/* Sent before the first record that contains an address in it. */
struct iolens_symbol_fact {
	struct iolens_header h;
	u64 start; /* made-up address (older recordings: the kernel's) */
	u64 end;   /* start of the next function */
	u8 name[IOLENS_SYMBOL_LEN];
};

#ifdef __cplusplus
#include <type_traits>

namespace iolens {
static_assert(std::has_unique_object_representations_v<iolens_symbol_fact>);
}  // namespace iolens
#endif

#endif
