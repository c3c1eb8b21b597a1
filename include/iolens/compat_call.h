/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls of 32-bit programs (i386). They are decoded in the order, and with the numbers, of 64-bit programs.
 */
#ifndef IOLENS_COMPAT_CALL_H
#define IOLENS_COMPAT_CALL_H

#include "iolens/event/call.h"

#define IOLENS_COMPAT_SOCKETCALLS IOLENS_CALLS /* what socketcall chooses from, by its first argument, from here */
#define IOLENS_COMPAT_CALLS (IOLENS_CALLS + 24)
/* Entries of the table of calls: 64-bit numbers, then those of 32-bit programs. */
#define IOLENS_TABLE_CALLS (IOLENS_CALLS + IOLENS_COMPAT_CALLS)
#define IOLENS_COMPAT_NONE 6 /* instead of a word's number: 0 */

enum iolens_compat_flag {
	IOLENS_COMPAT_PAGES = 1 << 0,  /* mmap2: the last argument counts pages of 4096 bytes */
	IOLENS_COMPAT_OFFSET = 1 << 1, /* sendfile: its offset in memory has 32 bits */
	IOLENS_COMPAT_RESULT = 1 << 2, /* _llseek: the fourth word is the address of the result */
	IOLENS_COMPAT_STAT = 1 << 3,   /* i386's own struct stat … */
	IOLENS_COMPAT_STAT64 = 1 << 4, /* … its struct stat64 … */
	IOLENS_COMPAT_STAT_OLD = 1 << 5, /* … and the oldest one, which is not decoded */
};

/* Where the arguments of a call are: in six words of 32 bits. One per number, in read-only data. */
struct iolens_compat_call {
	u8 low[IOLENS_CALL_ARGUMENTS];  /* of each argument, the number of the word with its low half … */
	u8 high[IOLENS_CALL_ARGUMENTS]; /* … and its high half */
	u8 is_signed; /* bit n: argument n is a signed number without a high half */
	u8 flags;     /* enum iolens_compat_flag */
	u8 words;     /* the words are in memory, so many of them; 0: in registers */
	u8 reserved;
};

#endif
