/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Operations other than system calls, and when operations start to count: process start and exit, HTTP, --start-on-….
 */
#ifndef IOLENS_SYSCALL_OPERATIONS_BPF_H
#define IOLENS_SYSCALL_OPERATIONS_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "syscall/task.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/file.h"
#include "iolens/event/header.h"
#include "iolens/event/loss.h"
#include "iolens/event/operation.h"

const volatile __u8 operations = 0; /* operations are selected (io-monitor's view) */
const volatile __u8 leave_std = 0;  /* ignore calls on fds 0, 1 and 2 */
const volatile __u8 emit_start = 0;
const volatile __u8 emit_stop = 0;
const volatile __u8 emit_cwd = 0;
const volatile __u8 start_on_open = 0;     /* a process does not count before it opens a matching file … */
const volatile __u64 start_on_elapsed = 0; /* … or before an operation takes longer than this, ns; 0: not set */

/* State machine that searches for the --start-on-open string: one row per number of bytes matched so far, with the
 * next row for each possible byte. The last row: match. */
struct start_row {
	__u8 next[256];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, struct start_row);
} start_words SEC(".maps");
const volatile __u32 start_found = 0; /* index of the last row */

/* Processes that have started to count. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, __u8);
} started SEC(".maps");

struct operation_scratch {
	struct iolens_operation_event e;
	__u8 text[IOLENS_OPERATION_TEXT + 8];
	__u64 counter; /* in memory, where it adds no states for the verifier */
};
struct { /* sized only for operations; indexed by file slot */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct operation_scratch);
} operation_scratches SEC(".maps");

/* FILE_SLOT_EXIT, FILE_SLOT_FORK, FILE_SLOT_EXEC and FILE_SLOT_END have an entry. */
static __always_inline struct operation_scratch *operation_scratch_at(__u32 slot)
{
	slot = slot < FILE_SLOT_FORK ? 0 : slot - FILE_SLOT_FORK + 1;
	return bpf_map_lookup_elem(&operation_scratches, &slot);
}

static __always_inline bool operation_paused(void)
{
	return start_on_open || start_on_elapsed;
}

static __always_inline bool operation_started(__u32 tgid)
{
	return !operation_paused() || bpf_map_lookup_elem(&started, &tgid);
}

static __always_inline void operation_start(__u32 tgid)
{
	__u8 one = 1;

	if (bpf_map_update_elem(&started, &tgid, &one, BPF_ANY))
		call_count_process();
}

#define OPENS_PIECE 64 /* bytes searched per call; a divisor of IOLENS_OPERATION_TEXT */

/* Continues the search through a piece of the string. 1: match, 2: end of the string. Global functions: the verifier
 * checks their loops once; loops of thousands of iterations are too long for it. */
__noinline int operation_opens_piece(__u32 slot, __u32 from)
{
	struct operation_scratch *scratch;
	__u32 at;

	if (!operations) /* verified even if not used, when the map does not exist */
		return 2;
	scratch = operation_scratch_at(slot);
	if (!scratch || from > IOLENS_OPERATION_TEXT - OPENS_PIECE)
		return 2;
	at = scratch->counter;
	for (int i = 0; i < OPENS_PIECE; i++) {
		__u8 byte = scratch->text[from + i];
		struct start_row *row = bpf_map_lookup_elem(&start_words, &at);

		if (!row || !byte)
			return 2;
		at = row->next[byte];
		if (at == start_found)
			return 1;
	}
	scratch->counter = at;
	return 0;
}

/* Does a string in the caller's memory match? */
__noinline int operation_opens(__u64 address, __u32 slot)
{
	struct operation_scratch *scratch;

	if (!operations)
		return 0;
	scratch = operation_scratch_at(slot);
	if (!scratch || bpf_probe_read_user_str(scratch->text, IOLENS_OPERATION_TEXT, (void *)address) <= 0)
		return 0;
	scratch->counter = 0;
	for (int i = 0; i < IOLENS_OPERATION_TEXT / OPENS_PIECE; i++) {
		int found = operation_opens_piece(slot, i * OPENS_PIECE);

		if (found)
			return found == 1;
	}
	return 0;
}

/* Does an operation that ended count, or does it start the process to count? */
static __always_inline bool operation_counts(__u32 tgid, __u64 took, __u64 opened, __u32 slot)
{
	if (operation_started(tgid))
		return true;
	if ((start_on_elapsed && took > start_on_elapsed) ||
	    (start_on_open && opened && operation_opens(opened, slot) == 1)) {
		operation_start(tgid);
		return true;
	}
	return false;
}

/* Counts an operation as filtered. */
static __always_inline void operation_left_out(void)
{
	struct iolens_counters *n = ring_counters();

	if (!n)
		return;
	ring_count(n, seen);
	ring_count(n, filtered);
}

/* Initializes a record for a thread with its task_id() and its IDs in the initial namespace; never NULL in practice. */
static __always_inline struct operation_scratch *operation_new(__u32 slot, __u64 id, __u64 host, __u8 op)
{
	struct operation_scratch *scratch = operation_scratch_at(slot);

	if (!scratch)
		return 0;
	__builtin_memset(&scratch->e, 0, sizeof(scratch->e));
	scratch->e.h.ts = bpf_ktime_get_boot_ns();
	scratch->e.start = scratch->e.h.ts;
	scratch->e.tgid = id >> 32;
	scratch->e.tid = (__u32)id;
	if (own_pidns.level)
		scratch->e.host_tid = (__u32)host;
	scratch->e.op = op;
	scratch->e.fd = -1;
	scratch->e.call = IOLENS_NO_CALL;
	return scratch;
}

/* Sends the record with its string of `length1` bytes. */
static __always_inline void operation_send(struct operation_scratch *scratch)
{
	struct iolens_counters *n = ring_counters();
	__u32 offset = scratch->e.length1, size;

	if (!n)
		return;
	ring_count(n, seen);
	offset &= 2 * IOLENS_OPERATION_TEXT - 1;
	barrier_var(offset);
	if (offset > IOLENS_OPERATION_TEXT)
		return;
	*(__u64 *)&scratch->text[offset] = 0;
	size = (sizeof(scratch->e) + offset + 7) & ~7U;
	scratch->e.h.kind = IOLENS_KIND_OPERATION;
	scratch->e.h.size = size;
	scratch->e.h.cpu = bpf_get_smp_processor_id();
	barrier_var(size);
	if (size > sizeof(*scratch))
		return;
	if (ring_put(scratch, size))
		ring_count(n, delivered);
	else
		ring_count(n, ring_full);
}

/* A process starts: its command line, from the running task's memory, and working directory. A forked child has its
 * parent's. */
static __noinline int operation_process(struct task_struct *task, __u64 id, __u32 ppid, __u32 slot)
{
	struct task_struct *running = (struct task_struct *)bpf_get_current_task();
	struct operation_scratch *scratch;
	__u64 from, to, length, host = id;

	if (own_pidns.level)
		host = (__u64)BPF_CORE_READ(task, tgid) << 32 | (__u32)BPF_CORE_READ(task, pid);
	call_emit_thread(id, host, 0);
	if (emit_start) {
		scratch = operation_new(slot, id, host, IOLENS_OPERATION_START);
		if (!scratch)
			return 0;
		scratch->e.ppid = ppid;
		scratch->e.fd = 0;
		from = BPF_CORE_READ(running, mm, arg_start);
		to = BPF_CORE_READ(running, mm, arg_end);
		length = to > from ? to - from : 0;
		if (length > IOLENS_OPERATION_TEXT - 1)
			length = IOLENS_OPERATION_TEXT - 1;
		if (length && bpf_probe_read_user(scratch->text, length & (IOLENS_OPERATION_TEXT - 1), (void *)from) == 0)
			scratch->e.length1 = length;
		operation_send(scratch);
	}
	if (emit_cwd) {
		__u64 path = (__u64)BPF_CORE_READ(task, fs) + bpf_core_field_offset(struct fs_struct, pwd);
		__u64 name_id = file_hide(file_mix(file_mix(path, bpf_ktime_get_boot_ns()), id));

		/* never emitted before: the directory may have been renamed since */
		file_emit(path, name_id, IOLENS_FILE_DIRECTORY, slot);
		scratch = operation_new(slot, id, host, IOLENS_OPERATION_CHDIR);
		if (!scratch)
			return 0;
		scratch->e.name_id = name_id;
		operation_send(scratch);
	}
	return 0;
}

static __always_inline __u32 operation_parent(struct task_struct *task)
{
	return task_tgid((__u64)BPF_CORE_READ(task, real_parent), BPF_CORE_READ(task, real_parent, tgid));
}

static __always_inline void operation_stop(__u64 id, __u64 host)
{
	struct operation_scratch *scratch = operation_new(FILE_SLOT_END, id, host, IOLENS_OPERATION_STOP);

	if (!scratch)
		return;
	scratch->e.fd = 0;
	if (own_pidns.level)
		scratch->e.ppid = host >> 32;
	operation_send(scratch);
}

#define HTTP_LOOK 1024 /* bytes searched; a power of two */

/* End of the second line in the first bytes of a scratch's text; 0: not text. A global function, see above. */
__noinline int operation_two_lines(__u32 slot, __u32 length)
{
	struct operation_scratch *scratch;

	if (!operations)
		return 0;
	scratch = operation_scratch_at(slot);
	if (!scratch)
		return 0;
	scratch->counter = 0;
	for (int i = 0; i < HTTP_LOOK; i++) {
		if ((__u32)i >= length)
			return i;
		if (!scratch->text[i])
			return 0;
		/* 1 for a newline, without a branch, which would double the states for older verifiers */
		*(volatile __u64 *)&scratch->counter += ((__u64)(scratch->text[i] ^ '\n') - 1) >> 63;
		if (*(volatile __u64 *)&scratch->counter == 2)
			return i;
	}
	return HTTP_LOOK - 1;
}

/* A word of eight bytes in memory order. */
#define HTTP_WORD(a, b, c, d, e, f, g, h)                                                                                \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 |      \
	 (__u64)(g) << 48 | (__u64)(h) << 56)
#define HTTP_BEGINS(word, pattern, bytes) (((word) ^ (pattern)) << (64 - 8 * (bytes)) == 0)

/* Data sent or received on a socket: emits the first two lines of an HTTP request or response. */
static __noinline int operation_http(struct call_thread *t, __u64 id, __u64 length)
{
	bool sends = t->e.direction == IOLENS_DIR_WRITE, request, response;
	struct operation_scratch *scratch;
	__u32 slot = FILE_SLOT_EXIT;
	__u64 word = 0;
	int end;

	if (length < 16 || bpf_probe_read_user(&word, sizeof(word), (void *)t->buffer))
		return 0;
	response = HTTP_BEGINS(word, HTTP_WORD('H', 'T', 'T', 'P', '/', '1', 0, 0), 6);
	request = HTTP_BEGINS(word, HTTP_WORD('G', 'E', 'T', ' ', 0, 0, 0, 0), 4) ||
		  HTTP_BEGINS(word, HTTP_WORD('P', 'U', 'T', ' ', 0, 0, 0, 0), 4) ||
		  HTTP_BEGINS(word, HTTP_WORD('H', 'E', 'A', 'D', ' ', 0, 0, 0), 5) ||
		  HTTP_BEGINS(word, HTTP_WORD('P', 'O', 'S', 'T', ' ', 0, 0, 0), 5) ||
		  HTTP_BEGINS(word, HTTP_WORD('P', 'A', 'T', 'C', 'H', ' ', 0, 0), 6) ||
		  HTTP_BEGINS(word, HTTP_WORD('D', 'E', 'L', 'E', 'T', 'E', ' ', 0), 7) ||
		  HTTP_BEGINS(word, HTTP_WORD('O', 'P', 'T', 'I', 'O', 'N', 'S', ' '), 8);
	if (!request && !response)
		return 0;
	scratch = operation_new(slot, id, task_host_id(id),
			     request ? (sends ? IOLENS_OPERATION_HTTP_REQ_SEND : IOLENS_OPERATION_HTTP_REQ_RECV) :
				       (sends ? IOLENS_OPERATION_HTTP_RESP_SEND : IOLENS_OPERATION_HTTP_RESP_RECV));
	if (!scratch)
		return 0;
	if (length > HTTP_LOOK - 1)
		length = HTTP_LOOK - 1;
	if (bpf_probe_read_user(scratch->text, length & (HTTP_LOOK - 1), (void *)t->buffer))
		return 0;
	end = operation_two_lines(slot, length);
	if (end <= 0 || end >= HTTP_LOOK)
		return 0;
	scratch->e.h.ts = t->e.h.ts;
	scratch->e.start = t->e.start;
	scratch->e.fd = t->e.fd;
	scratch->e.name_id = t->e.name_id;
	scratch->e.call = t->e.call;
	scratch->e.length1 = end;
	operation_send(scratch);
	return 0;
}

#endif
