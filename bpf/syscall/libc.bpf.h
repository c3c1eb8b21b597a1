/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libc functions that make no system call, or make it later: uprobes at their entries and returns. Loaded only if
 * requested.
 */
#ifndef IOLENS_SYSCALL_LIBC_BPF_H
#define IOLENS_SYSCALL_LIBC_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/regs.bpf.h"
#include "lib/filter.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/header.h"
#include "iolens/event/loss.h"
#include "iolens/event/operation.h"

struct libc_call {
	__u64 start;
	__u64 a0, a1, a2;
	__u64 stack; /* stack pointer at the entry */
	__s32 fd;
	__u32 function;
};

const volatile __u8 libc_wanted = 0;

/* By thread, until the function returns. Nested calls, such as readdir in scandir, are not the program's: while an
 * entry exists, functions deeper in the stack are ignored. An entry abandoned by longjmp is replaced by the next
 * call not below it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, struct libc_call);
} libc_calls SEC(".maps");

/* glibc's struct _IO_FILE and struct __dirstream: fixed by its ABI */
#define LIBC_FILE_FD 112
#define LIBC_DIR_FD 0

static __always_inline __s32 libc_fd_at(__u64 address, __u32 offset)
{
	__s32 fd;

	if (!address || bpf_probe_read_user(&fd, sizeof(fd), (void *)(address + offset)))
		return -1;
	return fd;
}

struct libc_info {
	__u8 op;
	__u8 place;
	__u8 means;
};

enum libc_function {
#define LIBC_FUNCTION(name, operation, place, result) LIBC_##name,
	IOLENS_LIBC_FUNCTIONS(LIBC_FUNCTION)
#undef LIBC_FUNCTION
	LIBC_FUNCTION_COUNT
};

static const struct libc_info libc_functions[] = {
#define LIBC_FUNCTION(name, operation, place, result)                                                                    \
	{IOLENS_OPERATION_##operation, IOLENS_LIBC_##place, IOLENS_LIBC_GIVES_##result},
	IOLENS_LIBC_FUNCTIONS(LIBC_FUNCTION)
#undef LIBC_FUNCTION
};

static __noinline int libc_begin(struct pt_regs *ctx, __u32 function)
{
	__u64 id = task_id();
	struct libc_call call = {}, *outer;
	struct iolens_counters *n;
	__u32 key = (__u32)task_host_id(id);

	if (function >= LIBC_FUNCTION_COUNT || (follow && !maybe_followed(id >> 32)) || !call_wanted_task(id, false))
		return 0;
	call.stack = compat_stack(ctx);
	call.function = function;
	outer = bpf_map_lookup_elem(&libc_calls, &key);
	if (outer && call.stack < outer->stack)
		return 0;
	call.a0 = compat_function_argument(ctx, 0);
	call.a1 = compat_function_argument(ctx, 1);
	call.a2 = compat_function_argument(ctx, 2);
	call.fd = -1;
	switch (libc_functions[function].place) {
	case IOLENS_LIBC_STREAM: call.fd = libc_fd_at(call.a0, LIBC_FILE_FD); break;
	case IOLENS_LIBC_STREAM_LAST: call.fd = libc_fd_at(compat_function_argument(ctx, 3), LIBC_FILE_FD); break;
	case IOLENS_LIBC_STREAM_CHECKED: call.fd = libc_fd_at(compat_function_argument(ctx, 4), LIBC_FILE_FD); break;
	case IOLENS_LIBC_DIR: call.fd = libc_fd_at(call.a0, LIBC_DIR_FD); break;
	case IOLENS_LIBC_FD: call.fd = (__s32)call.a0; break;
	default: break;
	}
	call.start = bpf_ktime_get_boot_ns();
	if (bpf_map_update_elem(&libc_calls, &key, &call, BPF_ANY) && (n = ring_count_unstored()))
		ring_count(n, libc_full);
	return 0;
}

/* An event with its strings, built in the ring itself. uprobe programs may be preempted, and the same program may
 * then run on the same CPU: per-CPU space is not safe. */
struct libc_record {
	struct iolens_operation_event e;
	__u8 text[IOLENS_OPERATION_TEXT + 24];
};

#define LIBC_TEXT_WORDS ((IOLENS_OPERATION_TEXT + 24) / 8)
_Static_assert(sizeof(struct libc_record) == sizeof(struct iolens_operation_event) + 8 * LIBC_TEXT_WORDS, "no rest");

/* The ring returns memory with old records of other processes. Volatile: otherwise clang would call memset(). */
static __always_inline void libc_clear_text(struct libc_record *record)
{
	volatile __u64 *words = (volatile __u64 *)record->text;

	for (int i = 0; i < LIBC_TEXT_WORDS; i++)
		words[i] = 0;
}

/* Interprets the return value. Returns false if the function failed. */
static __always_inline bool libc_result(struct iolens_operation_event *e, struct libc_call *call, __u64 result,
					const struct libc_info *info)
{
	switch (info->means) {
	case IOLENS_LIBC_GIVES_STREAM: e->fd = libc_fd_at(result, LIBC_FILE_FD); return result;
	case IOLENS_LIBC_GIVES_DIR: e->fd = libc_fd_at(result, LIBC_DIR_FD); return result;
	case IOLENS_LIBC_GIVES_ITEMS:
		e->bytes = result * (info->place == IOLENS_LIBC_STREAM_CHECKED ? call->a2 : call->a1);
		return info->op != IOLENS_OPERATION_WRITE || result >= call->a2;
	case IOLENS_LIBC_GIVES_BYTES:
		if ((__s32)result >= 0)
			e->bytes = (__u32)result;
		return (__s32)result >= 0;
	case IOLENS_LIBC_GIVES_STATUS: return (__s32)result == 0;
	case IOLENS_LIBC_GIVES_NUMBER: return (__s32)result >= 0;
	default: return true;
	}
}

static __always_inline void libc_send(struct iolens_operation_event *e, struct libc_call *call, const struct libc_info *info)
{
	bool path = info->place == IOLENS_LIBC_PATH || info->place == IOLENS_LIBC_PATH_MODE;
	struct iolens_counters *n = ring_counters();
	struct libc_record *record;
	long length;
	__u32 at;

	if (!n)
		return;
	ring_count(n, seen);
	e->h.kind = IOLENS_KIND_OPERATION;
	e->h.cpu = bpf_get_smp_processor_id();
	if (!path) {
		e->h.size = sizeof(*e);
		if (ring_put(e, sizeof(*e)))
			ring_count(n, delivered);
		else
			ring_count(n, ring_full);
		return;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		ring_count(n, ring_full);
		return;
	}
	e->h.size = sizeof(*record);
	record->e = *e;
	libc_clear_text(record);
	length = bpf_probe_read_user_str(record->text, IOLENS_OPERATION_TEXT, (void *)call->a0);
	if (length > 0 && length <= IOLENS_OPERATION_TEXT)
		record->e.length1 = length - 1;
	at = record->e.length1 & (IOLENS_OPERATION_TEXT - 1);
	barrier_var(at);
	if (info->place == IOLENS_LIBC_PATH_MODE) {
		length = bpf_probe_read_user_str(&record->text[at], 16, (void *)call->a1);
		if (length > 0 && length <= 16)
			record->e.length2 = length - 1;
	}
	bpf_ringbuf_submit(record, ring_flags());
	ring_count(n, delivered);
}

static __noinline int libc_end(struct pt_regs *ctx, __u32 function)
{
	__u64 id = task_id(), host = task_host_id(id), now = bpf_ktime_get_boot_ns();
	struct iolens_operation_event e = {};
	const struct libc_info *info;
	struct libc_call *call;
	__u32 key = (__u32)host;

	if (function >= LIBC_FUNCTION_COUNT)
		return 0;
	info = &libc_functions[function];
	call = bpf_map_lookup_elem(&libc_calls, &key);
	if (!call || call->function != function || compat_stack(ctx) < call->stack)
		return 0;
	/* --start-on-open matches at the system call, which comes before */
	if ((leave_std && call->fd >= 0 && call->fd <= 2) || !operation_counts(host >> 32, now - call->start, 0, 0) ||
	    now - call->start < filter.min_ns) {
		operation_left_out();
	} else {
		e.h.ts = now;
		e.start = call->start;
		e.tgid = id >> 32;
		e.tid = (__u32)id;
		if (own_pidns.level)
			e.host_tid = (__u32)host;
		e.op = info->op;
		e.layer = IOLENS_LAYER_LIBC;
		e.fd = call->fd;
		e.call = IOLENS_NO_CALL;
		if (!libc_result(&e, call, compat_function_result(ctx), info))
			e.error = IOLENS_ERROR_UNKNOWN;
		libc_send(&e, call, info);
	}
	bpf_map_delete_elem(&libc_calls, &key);
	return 0;
}

#endif
