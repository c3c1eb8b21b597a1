/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests of io_uring. */
#ifndef IOLENS_SYSCALL_URING_BPF_H
#define IOLENS_SYSCALL_URING_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/uring.bpf.h"
#include "lib/file.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "lib/watch.bpf.h"
#include "syscall/file.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/requests.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/socket.bpf.h"
#include "syscall/thread.bpf.h"
#include "syscall/uring_file.bpf.h"
#include "syscall/uring_refused.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/file.h"

/* The request of a completion that the kernel posts without it. 0: unknown */
static __always_inline __u64 request_uring_multishot(const struct compat_uring_end *end)
{
	struct multishot_key key = {.ring = end->ring, .user_data = end->user_data};
	struct multishots *known;

	if (!(end->flags & IORING_CQE_F_MORE)) /* IORING_OP_MSG_RING of another ring */
		return 0;
	known = bpf_map_lookup_elem(&multishot_requests, &key);
	if (!known)
		return 0;
	if (known->number == 1)
		return known->requests;
	request_ambiguous();
	return 0;
}

#define REQUEST_IN 1 /* in the key's owner, which is an address: the side of a splice that is read */

static __always_inline bool request_uring_splices(__u8 opcode)
{
	return opcode == IORING_OP_SPLICE || opcode == IORING_OP_TEE;
}

static __always_inline void request_uring_side(struct iolens_call_event *e, __u64 length, __s64 offset)
{
	call_count(e, length);
	if (e->file != IOLENS_FILE_REGULAR && e->file != IOLENS_FILE_DISK)
		return;
	request_no_offset(e); /* where the position of a file will be is unknown */
	if (offset >= 0)
		call_offset(e, offset);
}

/* Submission of a splice or tee: the side that is read is a request of its own. It begins in steps beside each other, so that
 * their frames do not add up. First its record, in the scratch, with the fd or, in user_data, the file. 0: it has none. */
static __noinline int request_uring_splice_new(struct io_kiocb *req, __u64 id, __u8 opcode)
{
	struct iolens_request *request = request_new(REQUEST_SLOT_URING, id, IOLENS_CALL_URING + opcode, IOLENS_REQUEST_READS);
	struct compat_uring_splice splice;
	__u64 ring = compat_uring_ring(req);

	if (!request)
		return 0;
	request->process = request_process();
	compat_uring_splice(req, &splice);
	if (splice.file)
		request->user_data = (__u64)splice.file;
	else if (splice.fd < 0)
		return 0;
	else if (!splice.fixed)
		request->e.fd = splice.fd;
	else if (!compat_uring_linked(ring))
		request->user_data = (__u64)compat_uring_slot_file(ring, splice.fd);
	return 1;
}

/* It is in flight. */
static __noinline int request_uring_splice_store(struct io_kiocb *req, struct iolens_request *request, __u8 opcode)
{
	struct compat_uring_splice splice;
	struct request_key key = {};

	compat_uring_splice(req, &splice);
	request_uring_side(&request->e, splice.length, opcode == IORING_OP_TEE ? -1 : splice.in);
	compat_uring_key(req, &key.owner, &key.which);
	key.owner = compat_number(&key.owner) | REQUEST_IN;
	if (!compat_uring_by_data() || !request_uring_shared(&key, request))
		request_store(&key, request);
	return 0;
}

/* Its completion. */
static __noinline int request_uring_end_in(__u64 owner, __u64 which, __s32 result)
{
	struct request_key key = {.owner = compat_number(&owner) | REQUEST_IN, .which = which};
	struct iolens_request *request = bpf_map_lookup_elem(&requests, &key);

	if (!request)
		return 0;
	if (request->shared) {
		__sync_fetch_and_add(&request->shared, -1);
		if (request->shared)
			return 0;
	} else {
		request->e.h.ts = bpf_ktime_get_boot_ns();
		request->e.result = result;
		call_send_one(&request->e);
	}
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

/* The address that a datagram is sent to or, at completion, came from: in request->user_data, until the caller has read it;
 * calling call_named() here would need too much stack. Returns its length, and FILE_OF_KERNEL << 16. */
static __noinline int request_uring_named(struct io_kiocb *req, struct iolens_request *request, __u8 opcode, __u32 slot)
{
	struct call_msghdr header;
	bool of_kernel = false;
	__u32 length = 0;
	__u64 name;

	switch (opcode) {
	case IORING_OP_SENDMSG:
	case IORING_OP_SENDMSG_ZC:
	case IORING_OP_RECVMSG:
		if (bpf_probe_read_user(&header, sizeof(header), (void *)compat_uring_message(req)))
			return 0;
		name = header.name;
		length = header.name_length;
		if (opcode != IORING_OP_RECVMSG)
			break;
		if (slot == FILE_SLOT_SUBMIT) {
			request->capacity = name ? length : 0;
			return 0;
		}
		if (length > request->capacity) /* only what fits is written */
			length = request->capacity;
		break;
	case IORING_OP_SEND:
	case IORING_OP_SEND_ZC: name = compat_uring_address(req, &length, &of_kernel); break;
	default: return 0;
	}
	request->user_data = name;
	return (length & 0xffff) | (of_kernel ? FILE_OF_KERNEL << 16 : 0);
}

static __always_inline void request_uring_peer(struct io_kiocb *req, struct iolens_request *request, __u8 opcode, __u32 slot)
{
	__u32 length = request_uring_named(req, request, opcode, slot);
	__u64 name = request->user_data;

	request->user_data = 0;
	if (length)
		call_named(&request->e, name, length & 0xffff, slot | length >> 16);
}

static __always_inline int request_uring_submit(struct io_kiocb *req, bool direct)
{
	__u64 id = task_id();
	__u8 opcode = BPF_CORE_READ(req, opcode), what;
	struct request_key key = {};
	struct iolens_request *request;
	struct iolens_call_event *e;
	__u32 flags, slot;
	struct file *file;

	if (opcode >= IOLENS_URING_OPS)
		return 0;
	what = uring_ops[opcode];
	if (!what || (follow && !maybe_followed(id >> 32)) || !call_wanted_task(id, false))
		return 0;
	if (compat_uring_by_data() && request_uring_failed(req))
		return 0;
	request = request_new(REQUEST_SLOT_URING, id, IOLENS_CALL_URING + opcode, what);
	if (!request)
		return 0;
	request->process = request_process();
	e = &request->e;
	if (operations && !operation_started(task_host_id(id) >> 32))
		return 0;
	if (!by_watch)
		request_emit_task(id);
	if (what & IOLENS_REQUEST_MOVES) {
		__s64 offset = compat_uring_offset(req);

		if (offset != -1)
			call_offset(e, offset);
		else
			request->at_position = 1;
		if (!(what & IOLENS_REQUEST_VECTOR))
			call_count(e, compat_uring_length(req));
	}
	if (by_watch && opcode == IORING_OP_FALLOCATE) {
		struct compat_uring_fallocate range;

		compat_uring_fallocate(req, &range);
		e->asked = range.mode;
		call_offset(e, range.offset);
		call_count(e, range.length);
	}
	flags = compat_uring_flags(req);
	slot = compat_uring_slot(req, opcode);
	if (request_uring_on_fd(opcode, what) && !(flags & REQUEST_FIXED_FILE) && !(slot && opcode == IORING_OP_CLOSE))
		e->fd = compat_uring_fd(req);
	file = compat_uring_file(req);
	if (slot && opcode != IORING_OP_CLOSE)
		request->slot = slot;
	/* the last chance to see it: a slot is closed, or no completion will be seen */
	if (!file && !compat_uring_linked(compat_uring_ring(req))) {
		if (slot && opcode == IORING_OP_CLOSE)
			file = compat_uring_slot_file(compat_uring_ring(req), slot - 1);
		else if ((flags & REQUEST_FIXED_FILE) && (flags & REQUEST_CQE_SKIP) && compat_uring_fd(req) >= 0)
			file = compat_uring_slot_file(compat_uring_ring(req), compat_uring_fd(req));
	}
	if (direct)
		request_uring_file_direct((__u64)file);
	else
		request_uring_file_plain((__u64)file);
	if (e->file == IOLENS_FILE_SOCKET)
		request_uring_peer(req, request, opcode, FILE_SLOT_SUBMIT);
	if (what & IOLENS_REQUEST_MOVES &&
	    (request->at_position || request_appends(e) ||
	     (e->direction == IOLENS_DIR_WRITE && compat_uring_appends(req, false)))) /* known at completion */
		request_no_offset(e);
	compat_uring_key(req, &key.owner, &key.which);
	if (request_uring_splices(opcode)) {
		struct compat_uring_splice splice;

		compat_uring_splice(req, &splice);
		request_uring_side(e, splice.length, opcode == IORING_OP_TEE ? -1 : splice.out);
		if (!compat_uring_by_data() || !request_uring_shared(&key, request))
			request_store(&key, request);
		if (!request_uring_splice_new(req, id, opcode)) /* in the same scratch */
			return 0;
		file = (struct file *)request->user_data;
		request->user_data = 0;
		if (direct)
			request_uring_file_direct((__u64)file);
		else
			request_uring_file_plain((__u64)file);
		return request_uring_splice_store(req, request, opcode);
	}
	if (compat_uring_by_data()) {
		if (!request_uring_shared(&key, request))
			request_store(&key, request);
		return 0;
	}
	if (compat_uring_multishot(req, opcode)) {
		request->ring = compat_uring_ring(req);
		request->user_data = compat_uring_user_data(req);
	}
	if (request->ring && !multishot_add(request->ring, request->user_data, key.owner)) {
		request_no_entry();
		return 0;
	}
	if (!request_store(&key, request))
		multishot_remove(request, key.owner);
	return 0;
}

/* Where the bytes of a request went that did not say so: the kernel has moved the request's position behind them. */
static __always_inline void request_uring_offset(struct iolens_call_event *e, bool at_position, __u64 address)
{
	struct io_kiocb *req = (struct io_kiocb *)address;
	__s64 end;

	if (e->direction == IOLENS_DIR_WRITE && !at_position)
		at_position = request_appends(e) || (req && compat_uring_appends(req, e->result >= 0));
	if (!at_position)
		return;
	request_no_offset(e);
	if (!req || e->result < 0 || (e->file != IOLENS_FILE_REGULAR && e->file != IOLENS_FILE_DISK))
		return;
	end = compat_uring_offset(req);
	if (end >= e->result)
		call_offset(e, end - e->result);
}

static __always_inline int request_uring_complete(__u64 *ctx, bool direct)
{
	struct compat_uring_end end = {};
	struct iolens_request *request;
	struct iolens_call_event *e;
	struct request_key key = {};
	__u64 emitted_name = 0;
	__u32 scratch = REQUEST_SLOT_URING_MORE;
	struct io_kiocb *completed;
	struct file *file = 0;
	bool more = false;
	__u8 what;

	compat_uring_complete(ctx, &end);
	if (!compat_uring_by_data() && !end.req) {
		end.req = end.owner = request_uring_multishot(&end);
		if (!end.req)
			return 0;
		more = true;
	}
	key.owner = end.owner;
	key.which = end.which;
	completed = (struct io_kiocb *)end.req;
	if (!completed || request_uring_splices(BPF_CORE_READ(completed, opcode)))
		request_uring_end_in(end.owner, end.which, end.result);
	request = bpf_map_lookup_elem(&requests, &key);
	if (!request) {
		__u64 refused = 0;

		if (compat_uring_by_data() && end.result < 0)
			refused = request_uring_unmatched(compat_number(&end.ring), end.user_data, end.result);
		return refused ? request_uring_refused(refused, end.result, false) : 0;
	}
	/* without IORING_CQE_F_MORE, or with it for IORING_OP_SEND_ZC: its second completion is of another request */
	if (end.flags & IORING_CQE_F_MORE && (compat_uring_by_data() || request->ring))
		more = true;
	if (request->shared) {
		if (more) {
			if (call_counts(&request->e))
				request_ambiguous();
			return 0;
		}
		__sync_fetch_and_add(&request->shared, -1);
		if (!request->shared)
			bpf_map_delete_elem(&requests, &key);
		return 0;
	}
	e = &request->e;
	if (more) { /* what this completion adds does not apply to the next one */
		struct iolens_request *copy = bpf_map_lookup_elem(&request_scratch_slots, &scratch);

		if (!copy)
			return 0;
		*copy = *request;
		e = &copy->e;
	}
	e->h.ts = bpf_ktime_get_boot_ns();
	e->result = end.result;
	what = uring_ops[(__u32)(e->call - IOLENS_CALL_URING) % IOLENS_URING_OPS];
	if (what & IOLENS_REQUEST_NEW_FD && end.result >= 0 && request->slot) {
		__u32 slot = request->slot;

		e->fd = -1;
		file = compat_uring_slot_file(end.ring, slot == IORING_FILE_INDEX_ALLOC ? (__u32)end.result : slot - 1);
	} else if (what & IOLENS_REQUEST_NEW_FD && end.result >= 0) {
		/* the fd belongs to the submitting process, and can be looked up only there */
		e->fd = end.result;
		if (bpf_get_current_pid_tgid() >> 32 == (own_pidns.level ? e->host_tgid : e->tgid))
			call_file(e, &emitted_name, FILE_SLOT_COMPLETE, direct);
	} else if (e->file == IOLENS_FILE_NONE && end.req) { /* a registered file */
		file = compat_uring_file((struct io_kiocb *)end.req);
	}
	if (file)
		request_file(e, file, FILE_SLOT_COMPLETE, direct);
	/* the message is in the memory of the submitting process; of a multishot request, in one of its buffers */
	if (request->capacity && !request->ring && end.req && end.result >= 0 &&
	    bpf_get_current_pid_tgid() >> 32 == (own_pidns.level ? e->host_tgid : e->tgid))
		request_uring_peer((struct io_kiocb *)end.req, request, IORING_OP_RECVMSG, FILE_SLOT_COMPLETE);
	if (what & IOLENS_REQUEST_MOVES)
		request_uring_offset(e, request->at_position, end.req);
	if (!request->counted && call_counts(e))
		ring_count_seen(1);
	call_send_one(e);
	if (more) {
		request->e.start = e->h.ts;
		if (request->counted)
			ring_count_seen(1);
	} else {
		multishot_remove(request, key.owner);
		bpf_map_delete_elem(&requests, &key);
	}
	return 0;
}

#endif
