/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the arguments of a call point to, copied behind its strings into the record of its arguments. Global functions,
 * which the verifier checks once: their arguments must be numbers, so the rest is in the scratch.
 */
#ifndef IOLENS_SYSCALL_ITEMS_BPF_H
#define IOLENS_SYSCALL_ITEMS_BPF_H

#include "lib/compat/base.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/socket.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/arguments.h"

/* The caller's structs stat. */
struct call_stat64_i386 {
	__u64 dev;
	__u32 pad, old_ino, mode, nlink, uid, gid;
	__u32 rdev, rdev_high, pad2;
	__u32 size, size_high; /* not aligned as a 64-bit number would be */
};
struct call_stat_i386 {
	__u32 dev, ino;
	__u16 mode, nlink, uid, gid;
	__u32 rdev, size;
};
#if defined(__TARGET_ARCH_x86)
struct call_stat {
	__u64 dev, ino, nlink;
	__u32 mode, uid, gid, pad;
	__u64 rdev, size;
};
#elif defined(__TARGET_ARCH_arm64)
struct call_stat {
	__u64 dev, ino;
	__u32 mode, nlink, uid, gid;
	__u64 rdev, pad, size;
};
#endif
struct call_statx {
	__u32 mask, blksize;
	__u64 attributes;
	__u32 nlink, uid, gid;
	__u16 mode, pad;
	__u64 ino, size, blocks, attributes_mask;
	__u64 times[8];
	__u32 rdev_major, rdev_minor;
};

/* Appends the next string of an array. 0: there may be more, 1: the end, 2: no space, -1: it can't be read. */
__noinline int call_append_string(__u32 slot)
{
	struct call_argument_scratch *scratch;
	__u64 offset, string;
	long length;

	if (!decode_all && !operations) /* verified even if not used, when the map does not exist */
		return 1;
	scratch = bpf_map_lookup_elem(&argument_scratch_slots, &slot);
	if (!scratch || call_word(&string, scratch->from, 0, scratch->width))
		return -1;
	if (!string)
		return 1;
	/* a mask, then a bound: older verifiers need both, on the same register */
	offset = scratch->offset & (2 * CALL_SPACE - 1);
	barrier_var(offset);
	if (offset > CALL_SPACE - IOLENS_ARGUMENT_TEXT)
		return 2;
	length = bpf_probe_read_user_str(&scratch->text[offset], IOLENS_ARGUMENT_TEXT, (void *)string);
	if (length < 0 || length > IOLENS_ARGUMENT_TEXT)
		return -1;
	if (!length) { /* older kernels return 0 for an empty string */
		scratch->text[offset] = 0;
		length = 1;
	}
	scratch->offset = offset + length;
	scratch->from += scratch->width;
	return 0;
}

#define CALL_STRINGS 1024 /* of an array */

/* Appends the strings of an array of argument `place`, which begin at scratch->from. Returns -1 if one can't be read. */
__noinline int call_append_strings(__u32 slot, __u32 place)
{
	struct call_argument_scratch *scratch;
	struct iolens_item *item;
	__u64 offset;
	int ended = 2;

	if (!decode_all)
		return 0;
	scratch = bpf_map_lookup_elem(&argument_scratch_slots, &slot);
	if (!scratch)
		return 0;
	offset = (scratch->offset + 7) & (2 * CALL_SPACE - 8);
	barrier_var(offset);
	if (offset > CALL_SPACE - IOLENS_ARGUMENT_TEXT)
		return 0;
	*(__u64 *)&scratch->text[offset] = 0;
	scratch->offset = offset + sizeof(*item);
	for (int i = 0; i < CALL_STRINGS; i++) {
		asm volatile("" ::: "memory"); /* see file_emit_by() */
		ended = call_append_string(slot);
		if (ended)
			break;
	}
	item = (struct iolens_item *)&scratch->text[offset];
	item->kind = IOLENS_ITEM_STRINGS;
	item->place = place;
	item->flags = ended == 1 ? 0 : IOLENS_ITEM_CUT;
	item->length = scratch->offset - offset - sizeof(*item);
	return ended < 0 ? -1 : 0;
}

/* Copies iovecs; returns their number. */
static __always_inline __u32 call_copy_vector(void *to, __u64 from, __u64 count, __u32 width)
{
	__u32 n = count < IOLENS_ITEM_VECTORS ? count : IOLENS_ITEM_VECTORS, size = n * 2 * width;

	size &= 2 * IOLENS_ITEM_VECTORS * sizeof(struct iolens_item_iovec) - 1;
	barrier_var(size);
	if (size > IOLENS_ITEM_VECTORS * sizeof(struct iolens_item_iovec) || bpf_probe_read_user(to, size, (void *)from))
		return 0;
	return n;
}

static __always_inline __u32 call_copy_address(void *to, __u64 from, __u64 length)
{
	__u32 n = length < IOLENS_ITEM_ADDRESS_MAX ? length : IOLENS_ITEM_ADDRESS_MAX;

	n &= 2 * IOLENS_ITEM_ADDRESS_MAX - 1;
	barrier_var(n);
	if (n > IOLENS_ITEM_ADDRESS_MAX || bpf_probe_read_user(to, n, (void *)from))
		return 0;
	return n;
}

static __always_inline void call_put_dev(struct iolens_item_stat *s, __u64 dev)
{
	s->major = (dev & 0xfff00) >> 8;
	s->minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
}

/* Not 0: it can't be read. */
static __always_inline long call_copy_stat(struct iolens_item_stat *s, __u64 from, __u32 compat)
{
	union {
		struct call_stat native;
		struct call_stat_i386 i386;
		struct call_stat64_i386 i386_64;
	} found;
	__u64 rdev;

	if (compat & IOLENS_COMPAT_STAT_OLD)
		return -1;
	if (compat & IOLENS_COMPAT_STAT64) {
		if (bpf_probe_read_user(&found.i386_64, sizeof(found.i386_64), (void *)from))
			return -1;
		s->size = (__u64)found.i386_64.size_high << 32 | found.i386_64.size;
		s->mode = found.i386_64.mode;
		rdev = found.i386_64.rdev;
	} else if (compat & IOLENS_COMPAT_STAT) {
		if (bpf_probe_read_user(&found.i386, sizeof(found.i386), (void *)from))
			return -1;
		s->size = found.i386.size;
		s->mode = found.i386.mode;
		rdev = found.i386.rdev;
	} else {
		if (bpf_probe_read_user(&found.native, sizeof(found.native), (void *)from))
			return -1;
		s->size = found.native.size;
		s->mode = found.native.mode;
		rdev = found.native.rdev;
	}
	s->attributes = 0;
	s->mask = 0;
	call_put_dev(s, rdev);
	return 0;
}

/* Appends the item `kind` of argument `place`, which is at scratch->from; scratch->count is the next argument. Returns -1
 * if it can't be read. */
__noinline int call_append_item(__u32 slot, __u32 kind, __u32 place)
{
	struct call_argument_scratch *scratch;
	struct iolens_item_message *message;
	struct iolens_item_lengths *lengths;
	struct iolens_item_stat *s;
	struct call_msghdr header;
	struct iolens_item *item;
	__u32 length = 0, flags = 0, width;
	__u64 offset, from;
	void *to;

	if (!decode_all)
		return 0;
	scratch = bpf_map_lookup_elem(&argument_scratch_slots, &slot);
	if (!scratch || !scratch->from)
		return 0;
	offset = (scratch->offset + 7) & (2 * CALL_SPACE - 8);
	barrier_var(offset);
	if (offset > CALL_SPACE - IOLENS_ARGUMENT_TEXT)
		return 0;
	item = (struct iolens_item *)&scratch->text[offset];
	to = item + 1;
	from = scratch->from;
	width = scratch->width & 8 ? 8 : 4;
	if (width == 4)
		flags |= IOLENS_ITEM_NARROW;
	switch (kind) {
	case IOLENS_ITEM_ADDRESS:
		length = call_copy_address(to, from, scratch->count);
		if (!length)
			return scratch->count ? -1 : 0;
		break;
	case IOLENS_ITEM_ADDRESS_BACK:
		lengths = to;
		lengths->given = scratch->capacity;
		if (bpf_probe_read_user(&lengths->got, sizeof(lengths->got), (void *)scratch->count))
			return 0;
		length = sizeof(*lengths) + call_copy_address(lengths + 1, from,
							      lengths->got < lengths->given ? lengths->got :
											      lengths->given);
		break;
	case IOLENS_ITEM_MESSAGE:
		message = to;
		if (!call_message(&header, from, width) || call_word(&message->control, from, 4, width) ||
		    call_word(&message->control_length, from, 5, width) ||
		    bpf_probe_read_user(&message->flags, sizeof(message->flags), (void *)(from + 6 * width)))
			return -1;
		message->name = header.name;
		message->iov = header.iov;
		message->iov_count = header.iov_count;
		message->name_length.got = header.name_length;
		message->name_length.given = scratch->back ? scratch->capacity : header.name_length;
		message->address_length = 0;
		if (header.name && (!scratch->reads || scratch->back))
			message->address_length = call_copy_address(message->address, header.name,
								    message->name_length.got < message->name_length.given ?
									    message->name_length.got :
									    message->name_length.given);
		length = call_copy_vector(message + 1, header.iov, header.iov_count, width);
		if (length < header.iov_count)
			flags |= IOLENS_ITEM_CUT;
		length = sizeof(*message) + length * 2 * width;
		break;
	case IOLENS_ITEM_VECTOR:
		length = call_copy_vector(to, from, scratch->count, width);
		if (!length && scratch->count)
			return -1;
		if (length < scratch->count)
			flags |= IOLENS_ITEM_CUT;
		length *= 2 * width;
		break;
	case IOLENS_ITEM_STAT:
		if (call_copy_stat(to, from, scratch->compat))
			return 0;
		length = sizeof(*s);
		break;
	case IOLENS_ITEM_STATX: {
		struct call_statx *found = to + sizeof(*s); /* too large for the stack */

		if (bpf_probe_read_user(found, sizeof(*found), (void *)from))
			return 0;
		s = to;
		s->size = found->size;
		s->attributes = found->attributes;
		s->mask = found->mask;
		s->mode = found->mode;
		s->major = found->rdev_major;
		s->minor = found->rdev_minor;
		length = sizeof(*s);
		break;
	}
	case IOLENS_ITEM_FDS:
	case IOLENS_ITEM_SIGNALS:
		length = 8;
		if (bpf_probe_read_user(to, 8, (void *)from))
			return 0;
		break;
	default: return 0;
	}
	item->kind = kind;
	item->place = place;
	item->flags = flags;
	item->length = length;
	scratch->offset = offset + sizeof(*item) + length;
	return 0;
}

/* Is what the argument points to a result? */
static __always_inline bool call_item_returns(const struct call_thread *t)
{
	return (t->item >= IOLENS_ITEM_STAT && t->item <= IOLENS_ITEM_FDS) || t->item == IOLENS_ITEM_ADDRESS_BACK ||
	       (t->item == IOLENS_ITEM_MESSAGE && t->e.direction == IOLENS_DIR_READ);
}

#define CALL_ITEM_AGAIN (1 << 7) /* in `texts`: the item could not be read yet */

/* Appends what the arguments of the call point to, if it is known: what is a result, only at the return. Returns bits of
 * `texts` that could not be read. */
static __always_inline __u32 call_append_items(struct call_thread *t, struct call_argument_scratch *scratch, __u32 slot)
{
	__u32 place = t->item_place & 7;
	bool returned = slot == FILE_SLOT_EXIT && t->e.result >= 0;

	if (!t->item || (call_item_returns(t) && !returned && t->item != IOLENS_ITEM_MESSAGE))
		return 0;
	if (slot == FILE_SLOT_ENTER && t->item == IOLENS_ITEM_ADDRESS_BACK)
		return 0;
	scratch->from = t->values[place];
	scratch->count = t->values[(place + 1) & 7];
	scratch->capacity = t->capacity;
	scratch->compat = t->compat;
	scratch->reads = t->e.direction == IOLENS_DIR_READ;
	scratch->back = returned && scratch->reads;
	return call_append_item(slot, t->item, place) < 0 ? CALL_ITEM_AGAIN : 0;
}

#endif
