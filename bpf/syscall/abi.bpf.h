/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls of 32-bit programs (i386, x32). Their numbers and arguments become those of a 64-bit program at the entry, so
 * that nothing else has to know; only what lies in the caller's memory has other sizes.
 */
#ifndef IOLENS_SYSCALL_ABI_BPF_H
#define IOLENS_SYSCALL_ABI_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/regs.bpf.h"
#include "lib/ring.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/compat_call.h"
#include "iolens/event/call.h"
#include "iolens/event/loss.h"

#define CALL_I386_SOCKETCALL 102

const volatile struct iolens_compat_call compat_calls[IOLENS_COMPAT_CALLS] = {};

/* Is a call of this number selected, of 64-bit or 32-bit programs? Cheaper than to find out which. */
static __always_inline bool call_selected(__u64 nr)
{
	__u8 shape = syscalls[nr].shape;

	if (COMPAT_32BIT_TABLE)
		shape |= syscalls[IOLENS_CALLS + nr].shape;
	return shape;
}

/* Index of a 32-bit call in `syscalls`. */
static __always_inline __u64 call_compat_index(__u64 nr, __u32 first)
{
	if (!COMPAT_32BIT_TABLE)
		return nr;
	if (nr == CALL_I386_SOCKETCALL && first && first < IOLENS_COMPAT_CALLS - IOLENS_COMPAT_SOCKETCALLS)
		return IOLENS_CALLS + IOLENS_COMPAT_SOCKETCALLS + first;
	return IOLENS_CALLS + nr;
}

static __always_inline void call_not_decoded(void)
{
	struct iolens_counters *n = ring_count_unstored();

	if (n)
		ring_count(n, not_decoded);
}

/* Puts the arguments of the call in order: `words` has the registers. Returns 0 if they can't be read. */
static __noinline int call_compat_values(struct call_thread *t, __u32 number)
{
	const volatile struct iolens_compat_call *from;
	__u32 words;

	if (number >= IOLENS_COMPAT_CALLS)
		return 0;
	from = &compat_calls[number];
	words = from->words;
	barrier_var(words);
	if (words) {
		__u64 address = t->words[number >= IOLENS_COMPAT_SOCKETCALLS];

		words &= 7;
		if (bpf_probe_read_user(t->words, words * sizeof(t->words[0]), (void *)address))
			return 0;
	}
	t->words[IOLENS_COMPAT_NONE] = 0;
#pragma unroll
	for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++) {
		__u64 low = t->words[from->low[i] & 7], high = t->words[from->high[i] & 7];

		/* without a branch, which would double the states for the verifier */
		high |= -(low >> 31 & from->is_signed >> i & 1);
		t->values[i] = low | high << 32;
	}
	t->compat = from->flags;
	if (t->compat & IOLENS_COMPAT_PAGES)
		t->values[5] <<= 12;
	return 1;
}

#endif
