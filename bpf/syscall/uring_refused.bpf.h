/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests of io_uring that the kernel refuses before it submits them: unknown operations, flags or personalities, what
 * restrictions forbid, what the operation does not accept (from 5.12 on), and before 5.18 also bad fds. There is no event of their
 * submission, so they are sent at once, with the error that their completion will have.
 *
 * From 5.18 on, the kernel has an event. Before that, there is only the completion. It is made in the system call that submits, while
 * the entry is still in the submission queue.
 */
#ifndef IOLENS_SYSCALL_URING_REFUSED_BPF_H
#define IOLENS_SYSCALL_URING_REFUSED_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/sqe.bpf.h"
#include "lib/compat/uring.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "lib/watch.bpf.h"
#include "syscall/file.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/requests.bpf.h"
#include "syscall/send.bpf.h"

#include "iolens/event/call.h"

#define URING_FIXED_FILE (1 << 0) /* IOSQE_FIXED_FILE */
#define REQUEST_FAIL (1 << 8)     /* REQ_F_FAIL, 5.15 */

/* Before 5.18 the kernel identifies a request only by its ring and user_data. Two in flight with the same: which of
 * them a completion is for is unknown. Both are sent without an end, and their entry counts them until they have ended. */
static __always_inline bool request_uring_shared(struct request_key *key, struct iolens_request *request)
{
	struct iolens_request *old = bpf_map_lookup_elem(&requests, key);

	if (!old)
		return false;
	if (!old->shared) {
		request_replaced(compat_number(&key->owner), compat_number(&key->which));
		__sync_fetch_and_add(&old->shared, 1);
	}
	__sync_fetch_and_add(&old->shared, 1);
	if (by_watch && request->e.file != IOLENS_FILE_NONE && !(request->e.flags & IOLENS_CALL_WATCHED))
		return true;
	if (by_watch)
		request_emit_task((__u64)request->e.tgid << 32 | request->e.tid);
	if (call_counts(&request->e))
		ring_count_seen(1);
	request_send_unended(&request->e);
	return true;
}

/* Is the fd in the SQE the one that the request is on? Of those that open a file, it is a directory or a protocol family. */
static __always_inline bool request_uring_on_fd(__u8 opcode, __u8 what)
{
	return !(what & IOLENS_REQUEST_NAMES) && (!(what & IOLENS_REQUEST_NEW_FD) || opcode == IORING_OP_ACCEPT);
}

/* An operation that is not selected, and that the kernel does not know: it is shown as one that has no name. */
static __always_inline __u32 request_uring_operation(__u8 opcode)
{
	if (opcode < compat_uring_operations() || (opcode < IOLENS_URING_OPS && uring_ops[opcode % IOLENS_URING_OPS]))
		return opcode % IOLENS_URING_OPS;
	return IOLENS_URING_UNKNOWN;
}

/* Is it traced, if it is the running thread's? */
static __always_inline bool request_uring_wanted(__u64 id, __u32 operation)
{
	return uring_ops[operation % IOLENS_URING_OPS] && (!follow || maybe_followed(id >> 32)) && call_wanted_task(id, false) &&
	       (!operations || operation_started(task_host_id(id) >> 32));
}

/* A refused request is made in steps beside each other, so that their frames do not add up: its record in the scratch, its file,
 * and the rest. Returns 0 if it is not traced. Global functions, which the verifier checks once. */
__noinline int request_uring_refused_new(__u64 address, __s32 error)
{
	struct iolens_request *request;
	struct iolens_call_event *e;
	struct compat_sqe sqe = {};
	__u64 id = task_id();
	__u32 operation;
	__u8 what;

	if (bpf_probe_read_kernel(&sqe, sizeof(sqe), (void *)address))
		return 0;
	operation = request_uring_operation(sqe.opcode);
	if (!request_uring_wanted(id, operation))
		return 0;
	what = uring_ops[operation % IOLENS_URING_OPS];
	request = request_new(REQUEST_SLOT_URING, id, IOLENS_CALL_URING + operation, what);
	if (!request)
		return 0;
	e = &request->e;
	e->result = error;
	if (what & IOLENS_REQUEST_MOVES) {
		request->at_position = sqe.offset == -1;
		call_offset(e, sqe.offset);
		if (!(what & IOLENS_REQUEST_VECTOR))
			call_count(e, sqe.length);
	}
	if (operation != IOLENS_URING_UNKNOWN && request_uring_on_fd(operation, what) && !(sqe.flags & URING_FIXED_FILE) &&
	    !(sqe.slot && operation == IORING_OP_CLOSE))
		e->fd = sqe.fd;
	return 1;
}

static __always_inline int request_uring_refused_file(__u32 slot, bool direct)
{
	struct iolens_request *request = bpf_map_lookup_elem(&request_scratch_slots, &slot);
	__u64 emitted_name = 0;

	if (!request)
		return 0;
	if (request->e.fd >= 0)
		call_file(&request->e, &emitted_name, FILE_SLOT_SUBMIT, direct);
	if (request->at_position || request_appends(&request->e))
		request_no_offset(&request->e);
	return 0;
}
__noinline int request_uring_refused_plain(__u32 slot) { return request_uring_refused_file(slot, false); }
__noinline int request_uring_refused_direct(__u32 slot) { return request_uring_refused_file(slot, true); }

__noinline int request_uring_refused_send(__u32 slot)
{
	struct iolens_request *request = bpf_map_lookup_elem(&request_scratch_slots, &slot);
	struct iolens_call_event *e;

	if (!request || !call_counts(&request->e))
		return 0;
	e = &request->e;
	request_emit_task((__u64)e->tgid << 32 | e->tid);
	e->h.ts = bpf_ktime_get_boot_ns();
	ring_count_seen(1);
	call_send_one(e);
	return 0;
}

static __always_inline int request_uring_refused(__u64 sqe, __s32 error, bool direct)
{
	if (!request_uring_refused_new(sqe, error))
		return 0;
	if (direct)
		request_uring_refused_direct(REQUEST_SLOT_URING);
	else
		request_uring_refused_plain(REQUEST_SLOT_URING);
	return request_uring_refused_send(REQUEST_SLOT_URING);
}

/* Was the request submitted before it failed? Only one that is linked behind another. Otherwise the entry is that of an earlier
 * request in the same memory, whose completion was not seen. */
static __always_inline bool request_uring_submitted(struct io_kiocb *req, struct request_key *key)
{
	struct iolens_request *request = bpf_map_lookup_elem(&requests, key), *first;
	struct request_key of_head = {};
	struct io_kiocb *head;
	__u64 start;

	if (!request)
		return false;
	head = compat_uring_link_head(compat_uring_ring(req));
	start = request->e.start;
	if (head) {
		of_head.owner = (__u64)head;
		first = bpf_map_lookup_elem(&requests, &of_head);
		if (first ? start >= first->e.start : request->e.tid == (__u32)task_id())
			return true;
	}
	request_replaced(compat_number(&key->owner), compat_number(&key->which));
	bpf_map_delete_elem(&requests, key);
	return false;
}

static __always_inline int request_uring_req_failed(__u64 *ctx, bool direct)
{
	struct compat_uring_refusal refusal = {};
	struct request_key key = {};

	if (!compat_uring_refused(ctx, &refusal))
		return 0;
	key.owner = (__u64)refusal.req;
	if (request_uring_submitted(refusal.req, &key))
		return 0;
	return request_uring_refused(compat_number(&refusal.sqe), refusal.error, direct);
}

/* From 5.15 (a8295b982c46) to 5.17, and in stable kernels before that: a request that is linked to others has an event of its
 * submission also if it was refused, but nothing in it is set. Stores what its entry says; its completion ends it. Returns 0 if it
 * was not refused. */
static __noinline int request_uring_failed(struct io_kiocb *req)
{
	__u64 ring = compat_uring_ring(req), sqe;
	struct iolens_request *request;
	__u32 slot = REQUEST_SLOT_URING;
	struct request_key key = {};

	if (!(compat_uring_flags(req) & REQUEST_FAIL))
		return 0;
	sqe = compat_uring_taken(ring, compat_uring_user_data(req));
	if (!sqe || sqe == COMPAT_SQE_UNKNOWN || !request_uring_refused_new(sqe, 0))
		return 0;
	request_uring_refused_plain(slot);
	request = bpf_map_lookup_elem(&request_scratch_slots, &slot);
	if (!request)
		return 0;
	request->process = request_process();
	if (!by_watch)
		request_emit_task(task_id());
	compat_uring_key(req, &key.owner, &key.which);
	if (!request_uring_shared(&key, request))
		request_store(&key, request);
	return 1;
}

/* Before 5.18: a failed completion of no known request. It was refused, if it is of an entry that is being submitted: returns
 * that. What cancellations and timers end was submitted before iolens attached, or is not selected. */
__noinline __u64 request_uring_unmatched(__u64 ring, __u64 user_data, __s32 error)
{
	struct iolens_counters *n;
	__u64 sqe;

	if (error == -ECANCELED || error == -ETIME)
		return 0;
	sqe = compat_uring_taken(ring, user_data);
	if (sqe != COMPAT_SQE_UNKNOWN)
		return sqe;
	if (by_watch || !request_uring_wanted(task_id(), IOLENS_URING_UNKNOWN))
		return 0;
	if ((n = ring_count_unstored()))
		ring_count(n, unmatched);
	return 0;
}

#endif
