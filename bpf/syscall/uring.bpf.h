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
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/file.h"

/* File of a request: the kernel provides the struct file instead of an fd. */
static __always_inline void request_file(struct iolens_call_event *e, struct file *file, __u32 slot, bool direct)
{
	__u64 address = (__u64)file, emitted_name = 0;

	if (by_watch && watch_depth)
		watch_by_directory((__u64)BPF_CORE_READ(file, f_path.dentry));
	if (direct)
		file = bpf_rdonly_cast(file, kernel_type_file);
	call_open_file(e, file, address, &emitted_name, slot, direct);
}

static __always_inline int request_uring_submit(struct io_kiocb *req, bool direct)
{
	__u64 id = task_id(), emitted_name = 0;
	__u8 opcode = BPF_CORE_READ(req, opcode), what;
	struct request_key key = {};
	struct iolens_request *request;
	struct iolens_call_event *e;
	struct file *file;
	bool fixed;

	if (opcode >= IOLENS_URING_OPS)
		return 0;
	what = uring_ops[opcode];
	if (!what || (follow && !maybe_followed(id >> 32)) || !call_wanted_task(id, false))
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

		if (offset != -1) /* the file's position */
			call_offset(e, offset);
		if (!(what & IOLENS_REQUEST_VECTOR))
			call_count(e, compat_uring_length(req));
	}
	fixed = compat_uring_flags(req) & REQUEST_FIXED_FILE;
	if (!fixed && !(what & IOLENS_REQUEST_NAMES)) /* their fd is a directory */
		e->fd = compat_uring_fd(req);
	file = compat_uring_file(req);
	if (file)
		request_file(e, file, FILE_SLOT_SUBMIT, direct);
	else if (e->fd >= 0)
		call_file(e, &emitted_name, FILE_SLOT_SUBMIT, direct);
	compat_uring_key(req, &key.owner, &key.which);
	request_store(&key, request);
	return 0;
}

static __always_inline int request_uring_complete(__u64 *ctx, bool direct)
{
	struct compat_uring_end end = {};
	struct iolens_request *request;
	struct iolens_call_event *e;
	struct request_key key = {};
	__u64 emitted_name = 0;
	__u8 what;

	compat_uring_complete(ctx, &end);
	key.owner = end.owner;
	key.which = end.which;
	request = bpf_map_lookup_elem(&requests, &key);
	if (!request)
		return 0;
	e = &request->e;
	e->h.ts = bpf_ktime_get_boot_ns();
	e->result = end.result;
	what = uring_ops[(__u32)(e->call - IOLENS_CALL_URING) % IOLENS_URING_OPS];
	if (what & IOLENS_REQUEST_NEW_FD && end.result >= 0) {
		/* the fd belongs to the submitting process, and can be looked up only there */
		e->fd = end.result;
		if (bpf_get_current_pid_tgid() >> 32 == (own_pidns.level ? e->host_tgid : e->tgid))
			call_file(e, &emitted_name, FILE_SLOT_COMPLETE, direct);
	} else if (e->file == IOLENS_FILE_NONE && end.req) { /* a registered file */
		struct file *file = compat_uring_file((struct io_kiocb *)end.req);

		if (file)
			request_file(e, file, FILE_SLOT_COMPLETE, direct);
	}
	if (!request->counted && call_counts(e))
		ring_count_seen(1);
	call_send_one(e);
	if (end.flags & IORING_CQE_F_MORE) {
		e->start = e->h.ts;
		if (request->counted)
			ring_count_seen(1);
	} else {
		bpf_map_delete_elem(&requests, &key);
	}
	return 0;
}

#endif
