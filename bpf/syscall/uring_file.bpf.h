/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of io_uring's requests. */
#ifndef IOLENS_SYSCALL_URING_FILE_BPF_H
#define IOLENS_SYSCALL_URING_FILE_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "lib/watch.bpf.h"
#include "syscall/file.bpf.h"
#include "syscall/requests.bpf.h"

#include "iolens/event/call.h"

/* File of a request: the kernel provides the struct file instead of an fd. */
static __always_inline void request_file(struct iolens_call_event *e, struct file *file, __u32 slot, bool direct)
{
	__u64 address = (__u64)file, emitted_name = 0;

	if (by_watch && watch_depth)
		watch_by_directory((__u64)BPF_CORE_READ(file, f_path.dentry));
	if (direct)
		file = cast_to(file, file);
	call_open_file(e, file, address, &emitted_name, slot, direct);
}

/* The file of the request in the scratch: `address` of it, if the kernel provides it, or that of its fd. Global functions,
 * which the verifier checks once. */
static __always_inline int request_uring_file(__u64 address, bool direct)
{
	__u32 slot = REQUEST_SLOT_URING;
	struct iolens_request *request = bpf_map_lookup_elem(&request_scratch_slots, &slot);
	__u64 emitted_name = 0;

	if (!request)
		return 0;
	if (address)
		request_file(&request->e, (struct file *)address, FILE_SLOT_SUBMIT, direct);
	else if (request->e.fd >= 0)
		call_file(&request->e, &emitted_name, FILE_SLOT_SUBMIT, direct);
	return 0;
}
__noinline int request_uring_file_plain(__u64 address) { return request_uring_file(address, false); }
__noinline int request_uring_file_direct(__u64 address) { return request_uring_file(address, true); }

#endif
