/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: entries of io_uring's submission queue. */
#ifndef IOLENS_LIB_COMPAT_SQE_BPF_H
#define IOLENS_LIB_COMPAT_SQE_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/uring.bpf.h"

/* The first 48 bytes of struct io_uring_sqe, the same on all kernels. */
struct compat_sqe {
	__u8 opcode, flags;
	__u16 priority;
	__s32 fd;
	__s64 offset;
	__u64 address;
	__u32 length, rw_flags;
	__u64 user_data;
	__u16 buffer, personality;
	__u32 slot; /* of those that open or close a direct descriptor: from 1 */
};
#define COMPAT_SQE_BYTES 64 /* before 5.19 (ebdeb7c01d02) always */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum io_uring_op { /* has a name since 5.18 (cc51eaa8b530) */
	IORING_OP_LAST___here = 1,
};
struct io_uring___head {
	__u32 head;
};
struct io_rings___queue {
	struct io_uring___head sq;
};
struct io_ring_ctx___queue { /* before 5.18 */
	struct io_rings___queue *rings;
	__u32 *sq_array;
	void *sq_sqes;
	unsigned int cached_sq_head;
	unsigned int sq_entries;
};
typedef void (*btf_trace_io_uring_submit_sqe___any)(void);

#pragma clang attribute pop

/* Number of operations that the kernel knows. Before 5.18 it does not say: those of Linux 7. */
static __always_inline __u32 compat_uring_operations(void)
{
	if (bpf_core_enum_value_exists(enum io_uring_op, IORING_OP_LAST___here))
		return bpf_core_enum_value(enum io_uring_op, IORING_OP_LAST___here);
	return 65;
}

struct compat_uring_refusal {
	__u64 sqe;
	struct io_kiocb *req;
	__s32 error;
};

/* The arguments of io_uring_req_failed. 6.0 (6aeb82fa8b4c) dropped the ring. Before 5.18 (502c87d65564) it lacks the request:
 * returns false. */
static __always_inline bool compat_uring_refused(__u64 *ctx, struct compat_uring_refusal *refusal)
{
	bool has_ring = bpf_core_type_exists(btf_trace_io_uring_submit_sqe___any) &&
			!bpf_core_type_matches(btf_trace_io_uring_submit_sqe___req);

	if (compat_uring_by_data())
		return false;
	refusal->sqe = ctx[0];
	refusal->req = compat_arg(ctx, has_ring, 1);
	refusal->error = (__s32)(__u64)compat_arg(ctx, has_ring, 2);
	return true;
}

/* The request that others are being linked behind; 0: none */
static __always_inline struct io_kiocb *compat_uring_link_head(__u64 ring)
{
	return (void *)compat_read_if(struct io_ring_ctx___link, ring, submit_state.link.head);
}

#define COMPAT_SQE_SEARCHED 64
#define COMPAT_SQE_UNKNOWN 1 /* not an address */

/* Before 5.18: the entry with this user_data among those that the kernel has taken from the queue in the system call that
 * submits them; it moves the head of the queue behind them at the end. 0: none. COMPAT_SQE_UNKNOWN: there were too many. */
static __always_inline __u64 compat_uring_taken(__u64 address, __u64 user_data)
{
	struct io_ring_ctx___queue *ring = (struct io_ring_ctx___queue *)address;
	__u32 next, taken, mask, place = 0;
	__u64 entry, found = 0;
	__u32 *places;

	if (!bpf_core_field_exists(ring->cached_sq_head) || !bpf_core_field_exists(ring->sq_array) ||
	    !bpf_core_field_exists(ring->sq_sqes) || !bpf_core_field_exists(struct io_rings___queue, sq.head))
		return COMPAT_SQE_UNKNOWN;
	next = BPF_CORE_READ(ring, cached_sq_head);
	taken = next - BPF_CORE_READ(ring, rings, sq.head);
	mask = BPF_CORE_READ(ring, sq_entries) - 1;
	if (!taken || taken > mask + 1) /* nothing is being submitted */
		return 0;
	places = BPF_CORE_READ(ring, sq_array);
	for (__u32 i = 1; i <= COMPAT_SQE_SEARCHED; i++) {
		if (i > taken)
			return 0;
		if (bpf_probe_read_kernel(&place, sizeof(place), places + ((next - i) & mask)))
			return 0;
		entry = (__u64)BPF_CORE_READ(ring, sq_sqes) + (__u64)(place & mask) * COMPAT_SQE_BYTES;
		bpf_probe_read_kernel(&found, sizeof(found),
				      (void *)(entry + __builtin_offsetof(struct compat_sqe, user_data)));
		if (found == user_data)
			return entry;
	}
	return taken > COMPAT_SQE_SEARCHED ? COMPAT_SQE_UNKNOWN : 0;
}

#endif
