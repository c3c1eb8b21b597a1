/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Arguments of a system call: struct iolens_arguments, sent before the iolens_call_event of the call when all calls are
 * decoded. Included by call.h.
 */
#ifndef IOLENS_EVENT_ARGUMENTS_H
#define IOLENS_EVENT_ARGUMENTS_H

#include "iolens/event/header.h"

#define IOLENS_CALL_ARGUMENTS 6
#define IOLENS_ARGUMENT_TEXT 4096 /* longest string copied from an argument, including its NUL */
#define IOLENS_ARGUMENTS_WHOLE 0xff /* from an imported log: one string with all arguments, verbatim */

/* Read at the start of the call. If it has results in the caller's memory, all is read and sent again at the return. */
struct iolens_arguments {
	struct iolens_header h;
	u64 values[IOLENS_CALL_ARGUMENTS];
	u32 tid; /* in the initial pid namespace */
	u16 call;
	u8 texts; /* bit n: the string of argument n follows, NUL-terminated */
	u8 single; /* bit n: argument n is an array with no other string than the one that follows */
	/* followed by the strings, zero-padded to a multiple of 8, and by any number of struct iolens_item */
};

/* What an argument points to. New kinds go to the end. */
enum iolens_item_kind {
	IOLENS_ITEM_NONE,
	IOLENS_ITEM_STRINGS,      /* an array of strings: those after the first, NUL-terminated */
	IOLENS_ITEM_ADDRESS,      /* struct sockaddr, of the length in the next argument */
	IOLENS_ITEM_ADDRESS_BACK, /* likewise, a result: struct iolens_item_lengths, and the address */
	IOLENS_ITEM_MESSAGE,      /* struct msghdr: struct iolens_item_message, and its iovecs */
	IOLENS_ITEM_VECTOR,       /* struct iovec, as many as the next argument says */
	IOLENS_ITEM_STAT,         /* struct stat, a result: struct iolens_item_stat */
	IOLENS_ITEM_STATX,        /* struct statx, likewise */
	IOLENS_ITEM_FDS,          /* two fds, a result */
	IOLENS_ITEM_SIGNALS,      /* the signal mask that rt_sigreturn restores */
};

enum iolens_item_flag {
	IOLENS_ITEM_CUT = 1 << 0,    /* there is more than fits */
	IOLENS_ITEM_NARROW = 1 << 1, /* of a 32-bit program: iovecs have words of 32 bits */
};

struct iolens_item {
	u8 kind;  /* enum iolens_item_kind */
	u8 place; /* number of the argument, from 0 */
	u16 flags; /* enum iolens_item_flag */
	u32 length; /* of the bytes that follow, zero-padded to a multiple of 8 */
};

#define IOLENS_ITEM_ADDRESS_MAX 128 /* bytes of an address that are copied: struct sockaddr_storage */
#define IOLENS_ITEM_VECTORS 64      /* iovecs that are copied */

struct iolens_item_lengths {
	u32 given; /* space for the address */
	u32 got;   /* its length */
};
struct iolens_item_message {
	u64 name;
	u64 iov;
	u64 iov_count;
	u64 control;
	u64 control_length;
	u32 flags;
	struct iolens_item_lengths name_length; /* equal, unless the call has received an address */
	u32 address_length; /* bytes of it that were copied */
	u8 address[IOLENS_ITEM_ADDRESS_MAX];
};
struct iolens_item_iovec {
	u64 base;
	u64 length;
};
struct iolens_item_stat {
	u64 size;
	u64 attributes; /* of statx, as the mask */
	u32 mask;
	u32 mode;
	u32 major; /* of st_rdev */
	u32 minor;
};

#ifdef __cplusplus
#include <type_traits>

static_assert(std::has_unique_object_representations_v<iolens_arguments>);
static_assert(sizeof(iolens_arguments) == 72);  // texts follow, so no field can be appended
static_assert(std::has_unique_object_representations_v<iolens_item>);
static_assert(sizeof(iolens_item) == 8);
static_assert(std::has_unique_object_representations_v<iolens_item_message>);
static_assert(std::has_unique_object_representations_v<iolens_item_stat>);
#endif

#endif
