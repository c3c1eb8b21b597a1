/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sockets, and the addresses, vectors and messages of a call. */
#ifndef IOLENS_SYSCALL_SOCKET_BPF_H
#define IOLENS_SYSCALL_SOCKET_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/net.bpf.h"
#include "lib/file.bpf.h"
#include "lib/unix.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/file.h"

/* The caller's structs. In arrays of iovec and mmsghdr, all fields have the size of a pointer, or are padded to it. */
struct call_iovec {
	__u64 base;
	__u64 length;
};
struct call_msghdr { /* its first fields */
	__u64 name;
	__u32 name_length;
	__u32 padding;
	__u64 iov;
	__u64 iov_count;
};
struct call_compat_msghdr {
	__u32 name;
	__u32 name_length;
	__u32 iov;
	__u32 iov_count;
};
#define CALL_MMSGHDR_WORDS 8 /* of a pointer's size; the last one is the length of the message */
struct call_sockaddr { /* of IPv4, IPv6 and netlink */
	__u16 family;
	__be16 port;
	__u32 ipv4; /* IPv6: flow information; netlink: port ID */
	__u8 ipv6[16]; /* netlink: 4 bytes, the groups */
};

static __always_inline void call_address(struct iolens_call_event *e, struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	e->family = family;
	if (family == AF_INET || family == AF_INET6) {
		__u16 port = BPF_CORE_READ(sk, __sk_common.skc_dport);

		e->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		e->port = __builtin_bswap16(port);
		if (e->local_port)
			e->flags |= IOLENS_CALL_HAS_LOCAL;
		if (family == AF_INET) {
			bpf_probe_read_kernel(e->peer, 4, (void *)sk + bpf_core_field_offset(sk->__sk_common.skc_daddr));
			bpf_probe_read_kernel(e->local, 4,
					      (void *)sk + bpf_core_field_offset(sk->__sk_common.skc_rcv_saddr));
		} else {
			bpf_probe_read_kernel(e->peer, 16,
					      (void *)sk + bpf_core_field_offset(struct sock_common___v6, skc_v6_daddr));
			bpf_probe_read_kernel(e->local, 16, (void *)sk + bpf_core_field_offset(struct sock_common___v6,
											      skc_v6_rcv_saddr));
		}
		if (port)
			e->flags |= IOLENS_CALL_HAS_PEER;
	} else if (family == AF_NETLINK) {
		*(__u32 *)&e->peer[8] = compat_protocol(sk);
	}
}

/* Socket of a call; file.private_data is its struct socket. */
static __always_inline void call_socket(struct iolens_call_event *e, struct file *file, struct file_facts *f, __u32 slot)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);
	short type = 0;

	bpf_probe_read_kernel(&type, sizeof(type), (void *)socket + bpf_core_field_offset(socket->type));
	if (type == 1)
		e->flags |= IOLENS_CALL_STREAM;
	else if (type == 2)
		e->flags |= IOLENS_CALL_DATAGRAM;
	if (!sk)
		return;
	call_address(e, sk);
	if (e->family == AF_UNIX) {
		struct unix_address *address = file_unix_address((struct unix_sock *)sk);

		if (!address)
			return;
		f->name_id = file_hide(file_mix((__u64)address, f->id.ino));
		e->name_id = f->name_id;
		if (BPF_CORE_READ((struct unix_sock *)sk, addr) != address)
			e->flags |= IOLENS_CALL_HAS_PEER;
		if (!file_known(&f->name_id))
			file_emit_unix((__u64)address, f->name_id, slot);
	}
}

#define CALL_NAMED_LOCAL (1 << 8) /* the address that bind assigns to a socket; otherwise that of a peer */

/* An address of `length` bytes that was given to a call, or received: the peer of a socket without one. A datagram
 * socket that has one may send to another. `how`: the file_slot, and the flag above or FILE_OF_KERNEL. Returns -1 if it can't be read. */
__noinline int call_named(struct iolens_call_event *e, __u64 address, __u32 length, __u32 how)
{
	struct call_sockaddr a = {};
	bool local = how & CALL_NAMED_LOCAL;
	struct file_scratch *scratch;
	bool of_kernel = how & FILE_OF_KERNEL;
	__u32 slot = how & 0xff;
	int named;

	if (!e)
		return 0;
	if (!address || length <= sizeof(a.family) || e->file != IOLENS_FILE_SOCKET)
		return 0;
	if (!local && (e->flags & IOLENS_CALL_HAS_PEER) && !(e->flags & IOLENS_CALL_DATAGRAM))
		return 0;
	if (file_read_given(&a.family, sizeof(a.family), address, of_kernel))
		return -1;
	switch (a.family) {
	case AF_UNIX:
		named = file_emit_unix_given(address + sizeof(a.family), length - sizeof(a.family),
					     how & ~CALL_NAMED_LOCAL);
		if (named <= 0)
			return named;
		scratch = bpf_map_lookup_elem(&file_scratch_slots, &slot);
		if (!scratch)
			return 0;
		e->name_id = scratch->fact.name_id;
		break;
	case AF_INET:
		if (length < 8)
			return 0;
		if (file_read_given(&a, 8, address, of_kernel))
			return -1;
		__builtin_memcpy(local ? e->local : e->peer, &a.ipv4, 4);
		break;
	case AF_INET6:
		if (length < sizeof(a))
			return 0;
		if (file_read_given(&a, sizeof(a), address, of_kernel))
			return -1;
		__builtin_memcpy(local ? e->local : e->peer, a.ipv6, 16);
		break;
	case AF_NETLINK:
		if (local || length < 12)
			return 0;
		if (file_read_given(&a, 12, address, of_kernel))
			return -1;
		__builtin_memcpy(e->peer, &a.ipv4, 8);
		a.port = 0;
		break;
	default: return 0;
	}
	e->family = a.family;
	if (local && a.family == AF_UNIX)
		return 1;
	if (local)
		e->local_port = __builtin_bswap16(a.port);
	else
		e->port = __builtin_bswap16(a.port);
	e->flags |= local ? IOLENS_CALL_HAS_LOCAL : IOLENS_CALL_HAS_PEER;
	return 1;
}

/* Loops over arrays in the caller's memory: with bpf_loop (5.17), whose body is verified once, or unrolled by the
 * verifier, in global functions that it checks once: one loops over a part, another one over the parts. */
#define CALL_PART 32
#define CALL_EACH_PART(i, count) for (__u32 i = 0; i < UIO_MAXIOV && i < count; i += CALL_PART)
struct call_walk {
	__u64 from;
	__u64 sum;
	__u64 width; /* bytes of a pointer */
	__u64 process; /* of libaio's requests, as in struct iolens_request */
	__u64 owner;   /* likewise, as in struct request_key */
};
typedef long (*call_turn)(__u32, void *);

static __always_inline void call_loop(__u64 count, call_turn turn, struct call_walk *walk, bool direct)
{
	if (direct) {
		bpf_loop(count < UIO_MAXIOV ? count : UIO_MAXIOV, turn, walk, 0);
		return;
	}
	for (__u32 i = 0; i < CALL_PART && i < count; i++)
		if (turn(i, walk))
			break;
}

static __always_inline long call_piece(__u32 i, void *context)
{
	struct call_walk *walk = context;
	__u64 length;

	if (call_word(&length, walk->from, 2 * (__u64)i + 1, walk->width))
		return 1;
	walk->sum += length;
	return 0;
}
static long call_piece_turn(__u32 i, void *walk) { return call_piece(i, walk); }

static __always_inline long call_message_one(__u32 i, void *context)
{
	struct call_walk *walk = context;
	__u32 length;

	if (bpf_probe_read_user(&length, sizeof(length),
				(void *)(walk->from + ((__u64)i * CALL_MMSGHDR_WORDS + CALL_MMSGHDR_WORDS - 1) * walk->width)))
		return 1;
	walk->sum += length;
	return 0;
}
static long call_message_turn(__u32 i, void *walk) { return call_message_one(i, walk); }

/* Total length of an iovec array. */
__noinline __u64 call_pieces_part(__u64 from, __u64 count, __u64 width)
{
	struct call_walk walk = {.from = from, .width = width};

	call_loop(count, call_piece, &walk, false);
	return walk.sum;
}
__noinline __u64 call_pieces_plain(__u64 from, __u64 count, __u64 width)
{
	__u64 sum = 0;

	CALL_EACH_PART(i, count)
		sum += call_pieces_part(from + 2 * i * width, count - i, width);
	return sum;
}
__noinline __u64 call_pieces_direct(__u64 from, __u64 count, __u64 width)
{
	struct call_walk walk = {.from = from, .width = width};

	call_loop(count, call_piece_turn, &walk, true);
	return walk.sum;
}
static __always_inline __u64 call_pieces(__u64 from, __u64 count, __u64 width, bool direct)
{
	return direct ? call_pieces_direct(from, count, width) : call_pieces_plain(from, count, width);
}

/* Total bytes of an array of messages. */
__noinline __u64 call_message_bytes_part(__u64 from, __u64 count, __u64 width)
{
	struct call_walk walk = {.from = from, .width = width};

	call_loop(count, call_message_one, &walk, false);
	return walk.sum;
}
__noinline __u64 call_message_bytes_plain(__u64 from, __u64 count, __u64 width)
{
	__u64 sum = 0;

	CALL_EACH_PART(i, count)
		sum += call_message_bytes_part(from + i * CALL_MMSGHDR_WORDS * width, count - i, width);
	return sum;
}
__noinline __u64 call_message_bytes_direct(__u64 from, __u64 count, __u64 width)
{
	struct call_walk walk = {.from = from, .width = width};

	call_loop(count, call_message_turn, &walk, true);
	return walk.sum;
}

/* The header of a message. Returns 0 if it can't be read. */
static __noinline int call_message(struct call_msghdr *message, __u64 address, __u64 width)
{
	struct call_compat_msghdr compat;

	if (width == 8)
		return !bpf_probe_read_user(message, sizeof(*message), (void *)address);
	if (bpf_probe_read_user(&compat, sizeof(compat), (void *)address))
		return 0;
	message->name = compat.name;
	message->name_length = compat.name_length;
	message->iov = compat.iov;
	message->iov_count = compat.iov_count;
	return 1;
}

#endif
