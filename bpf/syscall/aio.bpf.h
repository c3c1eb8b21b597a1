/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests of libaio. */
#ifndef IOLENS_SYSCALL_AIO_BPF_H
#define IOLENS_SYSCALL_AIO_BPF_H

#include "lib/compat/aio.bpf.h"
#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "syscall/file.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/requests.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/socket.bpf.h"

#include "iolens/event/call.h"

/* The owner (struct request_key) of the requests of the context that io_setup returned as `which`. */
__noinline __u64 request_aio_owner(__u64 which)
{
	__u64 context = compat_aio_context(file_task(false), which);

	return context ? context : file_mix(request_process(), which);
}

/* A request begins in three steps, beside each other so that their frames do not add up. They are global functions, so that
 * the verifier checks them once, although it unrolls the loop around them. */

/* 1: its record, in the scratch, without a file. False: it has no rows. */
static __always_inline bool request_aio_new(__u64 address, __u64 process, __u64 owner, __u64 width, bool direct)
{
	__u64 id = task_id();
	struct iolens_request *request;
	struct iolens_call_event *e;
	struct request_iocb block;
	__u8 what;

	if (bpf_probe_read_user(&block, sizeof(block), (void *)address) || block.opcode >= IOLENS_AIO_OPS)
		return false;
	what = aio_ops[block.opcode];
	if (!what || (operations && !operation_started(task_host_id(id) >> 32)))
		return false;
	request = request_new(REQUEST_SLOT_AIO, id, IOLENS_CALL_AIO + block.opcode, what);
	if (!request)
		return false;
	request->process = process;
	request->context = owner;
	e = &request->e;
	e->fd = block.fd;
	if (what & IOLENS_REQUEST_MOVES) {
		call_offset(e, block.offset);
		if (what & IOLENS_REQUEST_VECTOR)
			call_count(e, call_pieces(block.buffer, block.bytes, width, direct));
		else
			call_count(e, block.bytes);
	}
	if ((what & IOLENS_REQUEST_WRITES) && (block.rw_flags & RWF_APPEND))
		e->flags |= IOLENS_CALL_APPEND;
	return true;
}
__noinline int request_aio_new_plain(__u64 address, __u64 process, __u64 owner, __u64 width)
{
	return request_aio_new(address, process, owner, width, false);
}
__noinline int request_aio_new_direct(__u64 address, __u64 process, __u64 owner, __u64 width)
{
	return request_aio_new(address, process, owner, width, true);
}

static __always_inline struct iolens_request *request_aio_scratch(void)
{
	__u32 slot = REQUEST_SLOT_AIO;

	return bpf_map_lookup_elem(&request_scratch_slots, &slot);
}

/* 2: its file. */
static __always_inline int request_aio_file(bool direct)
{
	struct iolens_request *request = request_aio_scratch();
	__u64 emitted_name = 0;

	if (request)
		call_file(&request->e, &emitted_name, FILE_SLOT_ENTER, direct);
	return 0;
}
__noinline int request_aio_file_plain(void) { return request_aio_file(false); }
__noinline int request_aio_file_direct(void) { return request_aio_file(true); }

/* 3: it is in flight. */
__noinline int request_aio_store(__u64 address, __u64 owner)
{
	struct request_key key = {.owner = owner, .which = address};
	struct iolens_request *request = request_aio_scratch();

	if (request)
		request_store(&key, request);
	return 0;
}

__noinline int request_aio_forget(__u64 address, __u64 owner)
{
	struct request_key key = {.owner = owner, .which = address};
	struct iolens_request *request = bpf_map_lookup_elem(&requests, &key);

	if (request && request->counted)
		ring_count_seen(-1);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}
__noinline int request_aio_end(__u64 address, __u64 owner)
{
	struct request_key key = {.owner = owner};
	struct request_io_event done;
	struct iolens_request *request;
	struct iolens_call_event *e;

	if (bpf_probe_read_user(&done, sizeof(done), (void *)address))
		return 0;
	key.which = done.iocb;
	request = bpf_map_lookup_elem(&requests, &key);
	if (!request)
		return 0;
	e = &request->e;
	e->h.ts = bpf_ktime_get_boot_ns();
	e->result = done.result;
	if ((e->flags & IOLENS_CALL_APPEND) && e->direction == IOLENS_DIR_WRITE)
		call_appended(e, false);
	call_send_one(e);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

/* Loop bodies for an array of struct iocb *, and for one of struct io_event. */
static __always_inline long request_aio_begin_one(__u32 i, void *context, bool direct)
{
	struct call_walk *walk = context;
	__u64 address;

	if (call_word(&address, walk->from, i, walk->width))
		return 1;
	if (!(direct ? request_aio_new_direct(address, walk->process, walk->owner, walk->width)
		     : request_aio_new_plain(address, walk->process, walk->owner, walk->width)))
		return 0;
	if (direct)
		request_aio_file_direct();
	else
		request_aio_file_plain();
	request_aio_store(address, walk->owner);
	return 0;
}
static __always_inline long request_aio_begin_each(__u32 i, void *walk) { return request_aio_begin_one(i, walk, false); }
static long request_aio_begin_turn(__u32 i, void *walk) { return request_aio_begin_one(i, walk, true); }

static __always_inline long request_aio_refused_one(__u32 i, void *context)
{
	struct call_walk *walk = context;
	__u64 address;

	if (call_word(&address, walk->from, i, walk->width))
		return 1;
	request_aio_forget(address, walk->owner);
	return 0;
}
static long request_aio_refused_turn(__u32 i, void *walk) { return request_aio_refused_one(i, walk); }

static __always_inline long request_aio_got_one(__u32 i, void *context)
{
	struct call_walk *walk = context;

	request_aio_end((__u64)((struct request_io_event *)walk->from + i), walk->owner);
	return 0;
}
static long request_aio_got_turn(__u32 i, void *walk) { return request_aio_got_one(i, walk); }

/* Entry of io_submit: its requests begin. Global functions, see call_loop(). */
__noinline int request_aio_submit_part(__u64 blocks, __u64 count, __u64 width, __u64 process, __u64 owner)
{
	struct call_walk walk = {.from = blocks, .width = width, .process = process, .owner = owner};

	call_loop(count, request_aio_begin_each, &walk, false);
	return 0;
}
__noinline int request_aio_submit_plain(__u64 blocks, __u64 count, __u64 width, __u64 process, __u64 owner)
{
	CALL_EACH_PART(i, count)
		request_aio_submit_part(blocks + i * width, count - i, width, process, owner);
	return 0;
}
__noinline int request_aio_submit_direct(__u64 blocks, __u64 count, __u64 width, __u64 process, __u64 owner)
{
	struct call_walk walk = {.from = blocks, .width = width, .process = process, .owner = owner};

	call_loop(count, request_aio_begin_turn, &walk, true);
	return 0;
}
static __always_inline void request_aio_submit(const struct call_thread *t, bool direct)
{
	__u64 process = request_process();

	if (direct)
		request_aio_submit_direct(t->pointer, t->e.requested, t->width, process, t->aio);
	else
		request_aio_submit_plain(t->pointer, t->e.requested, t->width, process, t->aio);
}

/* Return of io_submit: the requests from the first rejected one on were not submitted. */
__noinline int request_aio_refused_part(__u64 blocks, __u64 count, __u64 width, __u64 owner)
{
	struct call_walk walk = {.from = blocks, .owner = owner, .width = width};

	call_loop(count, request_aio_refused_one, &walk, false);
	return 0;
}
__noinline int request_aio_refused_plain(__u64 blocks, __u64 count, __u64 width, __u64 owner)
{
	CALL_EACH_PART(i, count)
		request_aio_refused_part(blocks + i * width, count - i, width, owner);
	return 0;
}
__noinline int request_aio_refused_direct(__u64 blocks, __u64 count, __u64 width, __u64 owner)
{
	struct call_walk walk = {.from = blocks, .owner = owner, .width = width};

	call_loop(count, request_aio_refused_turn, &walk, true);
	return 0;
}
static __always_inline void request_aio_refused(const struct call_thread *t, __u64 first, bool direct)
{
	__u64 blocks = t->pointer + first * t->width, count = t->e.requested - first;

	if (direct)
		request_aio_refused_direct(blocks, count, t->width, t->aio);
	else
		request_aio_refused_plain(blocks, count, t->width, t->aio);
}

/* Return of io_getevents: these requests have ended. */
__noinline int request_aio_got_part(__u64 events, __u64 count, __u64 owner)
{
	struct call_walk walk = {.from = events, .owner = owner};

	call_loop(count, request_aio_got_one, &walk, false);
	return 0;
}
__noinline int request_aio_got_plain(__u64 events, __u64 count, __u64 owner)
{
	CALL_EACH_PART(i, count)
		request_aio_got_part(events + i * sizeof(struct request_io_event), count - i, owner);
	return 0;
}
__noinline int request_aio_got_direct(__u64 events, __u64 count, __u64 owner)
{
	struct call_walk walk = {.from = events, .owner = owner};

	call_loop(count, request_aio_got_turn, &walk, true);
	return 0;
}
static __always_inline void request_aio_got(const struct call_thread *t, __u64 count, bool direct)
{
	if (direct)
		request_aio_got_direct(t->pointer, count, t->aio);
	else
		request_aio_got_plain(t->pointer, count, t->aio);
}

/* aio_complete_rw(kiocb, result): a read or write has ended, whoever takes its result. It may run in an interrupt. */
static __always_inline int request_aio_complete(struct kiocb *iocb, __s64 result)
{
	struct request_key key = {};
	struct iolens_request *request;
	struct iolens_call_event e;
	__u64 end;

	compat_aio_request(iocb, &key.owner, &key.which);
	request = bpf_map_lookup_elem(&requests, &key);
	if (!request)
		return 0;
	/* a copy: only who deletes the entry sends the request, and another one may then have its place */
	__builtin_memcpy(&e, &request->e, sizeof(e));
	if (bpf_map_delete_elem(&requests, &key))
		return 0;
	e.h.ts = bpf_ktime_get_boot_ns();
	e.result = result;
	end = BPF_CORE_READ(iocb, ki_pos);
	if (result > 0 && end >= (__u64)result && (e.flags & IOLENS_CALL_APPEND) && e.direction == IOLENS_DIR_WRITE) {
		e.offset = end - result;
		e.flags |= IOLENS_CALL_HAS_OFFSET;
	}
	call_send_one(&e);
	return 0;
}

/* Return of io_destroy: no request of the context is in flight any more, and their results can't be read. */
static __always_inline void request_aio_destroyed(__u64 owner)
{
	__u64 now = bpf_ktime_get_boot_ns();

	bpf_map_update_elem(&request_contexts, &owner, &now, BPF_ANY); /* LRU: never full */
	__sync_fetch_and_add(&request_ends, 1);
}

/* The process executes another program: the kernel has waited for all requests of the old one, or cancelled them. */
static __always_inline void request_exec(void)
{
	__u64 process = request_process(), *since = bpf_map_lookup_elem(&request_owners, &process);

	if (!since)
		return;
	*since = bpf_ktime_get_boot_ns();
	__sync_fetch_and_add(&request_ends, 1);
}

/* The process has exited, and its requests have ended. */
static __always_inline void request_exit(void)
{
	__u64 process = request_process();

	if (!bpf_map_delete_elem(&request_owners, &process)) /* usually there is no entry */
		__sync_fetch_and_add(&request_ends, 1);
}

#endif
