/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asynchronous I/O, which completes after its call has returned: libaio (io_submit, io_getevents) and io_uring.
 *
 * An entry of the map `requests` is created at submission and deleted at completion. libaio has no tracepoint at
 * completion: a read or write ends in aio_complete_rw() where fentry or a kprobe sees it; otherwise, and all others, when
 * io_getevents returns the result.
 *
 * Some completions are never seen: a program may read libaio results from the ring in its own memory, io_uring has no
 * event for IOSQE_CQE_SKIP_SUCCESS (5.17), and a program may exit, exec or destroy the context first. Such a request is
 * sent without an end: when its key is reused, or when it can no longer be in flight. For the latter, `request_ends`
 * counts the events that end requests, and user space then scans the map and runs iolens_request_drop.
 */
#ifndef IOLENS_SYSCALL_REQUESTS_BPF_H
#define IOLENS_SYSCALL_REQUESTS_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/task.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/file.h"
#include "iolens/event/loss.h"

/* Per-CPU space to build a request. Programs of different slots can interrupt each other. */
enum request_slot {
	REQUEST_SLOT_AIO,
	REQUEST_SLOT_DROP,
	REQUEST_SLOT_URING, /* this and the next one are not allocated without io_uring */
	REQUEST_SLOT_URING_MORE,
	REQUEST_SLOTS
};

#define REQUEST_FIXED_FILE (1 << 0) /* REQ_F_FIXED_FILE */
#define REQUEST_CQE_SKIP (1 << 6)   /* REQ_F_CQE_SKIP, 5.17 */

struct request_key {
	__u64 owner; /* libaio: the kernel's context, see request_aio_owner(); io_uring: the request, or its ring on old kernels */
	__u64 which; /* libaio: address of the iocb; io_uring: 0, or user_data on old kernels */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct request_key);
	__type(value, struct iolens_request);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REQUEST_SLOTS);
	__type(key, __u32);
	__type(value, struct iolens_request);
} request_scratch_slots SEC(".maps");

/* io_uring, 5.18 and later: requests in flight that may have several completions. The kernel passes the request only with the
 * last one; the others are matched by ring and user_data, if no two such requests have the same. */
struct multishot_key {
	__u64 ring;
	__u64 user_data;
};
struct multishots {
	__u64 requests; /* sum of their addresses: the address, if there is one */
	__u64 number;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct multishot_key);
	__type(value, struct multishots);
} multishot_requests SEC(".maps");

/* Live processes that submitted requests, by request_process() → time of their last execve, 0 = never. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u64);
	__type(value, __u64);
} request_owners SEC(".maps");

/* libaio contexts, by request_aio_owner() → time of their destruction. User space reads them within a tenth of a
 * second. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u64);
	__type(value, __u64);
} request_contexts SEC(".maps");

/* Number of exits, execs and destroyed contexts that may leave requests behind. */
__u64 request_ends = 0;

const volatile __u8 requests_wanted = 0; /* any of the operations below is selected */

/* Properties of each operation: enum iolens_request_flag, 0 = not selected. */
const volatile __u8 aio_ops[IOLENS_AIO_OPS] = {};
const volatile __u8 uring_ops[IOLENS_URING_OPS] = {};

/* The caller's structs, identical on all architectures, and in 32-bit programs. */
struct request_iocb {
	__u64 data;
	__u32 key;
	__u32 rw_flags;
	__u16 opcode;
	__s16 priority;
	__u32 fd;
	__u64 buffer;
	__u64 bytes;
	__s64 offset;
};
struct request_io_event {
	__u64 data;
	__u64 iocb;
	__s64 result;
	__s64 result2;
};

/* Distinguishes a process from a later one with the same ID. */
static __always_inline __u64 request_process(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return file_mix(BPF_CORE_READ(task, group_leader, start_boottime), bpf_get_current_pid_tgid() >> 32);
}

static __always_inline void request_no_entry(void)
{
	struct iolens_counters *n = ring_count_unstored();

	if (n)
		ring_count(n, requests_full);
}

static __always_inline struct iolens_request *request_new(__u32 slot, __u64 id, __u32 call, __u8 what)
{
	struct iolens_request *request = bpf_map_lookup_elem(&request_scratch_slots, &slot);
	struct iolens_call_event *e;

	if (!request)
		return 0;
	__builtin_memset(request, 0, sizeof(*request));
	e = &request->e;
	e->start = bpf_ktime_get_boot_ns();
	e->tgid = id >> 32;
	e->tid = (__u32)id;
	task_put_host_ids(e);
	e->call = call;
	e->direction = what & (IOLENS_REQUEST_READS | IOLENS_REQUEST_WRITES);
	e->fd = -1;
	return request;
}

/* The running thread's key in emitted_files. */
static __always_inline __u64 request_task_key(__u64 id) { return file_mix(bpf_get_current_task(), (__u32)id); }

/* Has request_emit_task() sent the thread in this period? */
static __always_inline bool request_task_known(__u64 id)
{
	__u64 task = request_task_key(id);

	return file_known(&task);
}

/* Emits the thread once: kernel threads, and threads that only submit, make no call that would emit them. */
__noinline int request_emit_task(__u64 id)
{
	__u64 task = request_task_key(id);

	if (file_known(&task))
		return 0;
	call_emit_thread(id, task_host_id(id), 0);
	file_sent(&task);
	return 1;
}

/* A write to the end of the file, wherever that is when it starts: the given offset does not matter. */
static __always_inline bool request_appends(const struct iolens_call_event *e)
{
	return e->direction == IOLENS_DIR_WRITE && (e->flags & IOLENS_CALL_APPEND);
}

static __always_inline void request_no_offset(struct iolens_call_event *e)
{
	e->offset = 0;
	e->flags &= ~IOLENS_CALL_HAS_OFFSET;
}

/* Sends a request whose completion was not seen. */
static __always_inline void request_send_unended(struct iolens_call_event *e)
{
	e->h.ts = bpf_ktime_get_boot_ns();
	e->flags |= CALL_NO_END;
	call_send_one(e);
}

/* Returns false if the map is full. */
static __always_inline bool multishot_add(__u64 ring, __u64 user_data, __u64 request)
{
	struct multishot_key key = {.ring = ring, .user_data = user_data};
	struct multishots one = {.requests = request, .number = 1};
	struct multishots *known = bpf_map_lookup_elem(&multishot_requests, &key);

	if (!known)
		return !bpf_map_update_elem(&multishot_requests, &key, &one, BPF_NOEXIST);
	__sync_fetch_and_add(&known->requests, request);
	__sync_fetch_and_add(&known->number, 1);
	return true;
}

static __always_inline void multishot_remove(const struct iolens_request *request, __u64 address)
{
	struct multishot_key key = {.ring = request->ring, .user_data = request->user_data};
	struct multishots *known;

	if (!key.ring)
		return;
	known = bpf_map_lookup_elem(&multishot_requests, &key);
	if (!known)
		return;
	__sync_fetch_and_add(&known->requests, -address);
	__sync_fetch_and_add(&known->number, -1);
	if (!known->number)
		bpf_map_delete_elem(&multishot_requests, &key);
}

/* A completion that may be of one of several requests. */
static __always_inline void request_ambiguous(void)
{
	struct iolens_counters *n = ring_count_unstored();

	if (n)
		ring_count(n, ambiguous);
}

/* Sends a request whose key is reused. A global function, which the verifier checks once. */
__noinline int request_replaced(__u64 owner, __u64 which)
{
	struct request_key key = {.owner = owner, .which = which};
	struct iolens_request *old = bpf_map_lookup_elem(&requests, &key);

	if (!old)
		return 0;
	multishot_remove(old, owner);
	request_send_unended(&old->e);
	return 0;
}

/* Registers the running process, so that its exit ends its requests. Returns false if the map is full. */
static __always_inline bool request_own(__u64 process)
{
	__u64 never = 0;
	int error;

	if (bpf_map_lookup_elem(&request_owners, &process))
		return true;
	error = bpf_map_update_elem(&request_owners, &process, &never, BPF_NOEXIST);
	return !error || error == -EEXIST;
}

/* Returns false if the request is not stored: not on a watched file, or lost and counted. */
static __always_inline bool request_store(struct request_key *key, struct iolens_request *request)
{
	struct iolens_call_event *e = &request->e;

	/* a registered file is known only at completion */
	if (by_watch && e->file != IOLENS_FILE_NONE && !(e->flags & IOLENS_CALL_WATCHED))
		return false;
	if (by_watch)
		request_emit_task((__u64)e->tgid << 32 | e->tid);
	if (!request_own(request->process)) {
		request_no_entry();
		return false;
	}
	request->counted = call_counts(e);
	if (bpf_map_update_elem(&requests, key, request, BPF_NOEXIST)) {
		request_replaced(compat_number(&key->owner), compat_number(&key->which));
		if (bpf_map_update_elem(&requests, key, request, BPF_EXIST)) {
			request_no_entry();
			return false;
		}
	}
	if (request->counted)
		ring_count_seen(1);
	return true;
}

#endif
