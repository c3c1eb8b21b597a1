/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: io_uring. */
#ifndef IOLENS_LIB_COMPAT_URING_BPF_H
#define IOLENS_LIB_COMPAT_URING_BPF_H

#include "lib/compat/base.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct io_rw___old {
	struct kiocb kiocb;
	__u64 addr;
	__u32 len;
};
struct io_kiocb___old { /* before 6.0 */
	struct io_rw___old rw;
	__u64 user_data;
	struct io_ring_ctx *ctx;
};
struct io_cqe___fd {
	__u64 user_data;
	int fd;
};
struct io_kiocb___cqe {
	struct io_cqe___fd cqe;
};
struct io_uring_cqe___data {
	__u64 user_data;
};
struct kiocb___flags {
	int ki_flags;
};
struct io_rw___flags {
	int flags;
};
struct io_splice___here {
	__s64 off_out;
	__s64 off_in;
	__u64 len;
	int splice_fd_in; /* 5.19 */
	unsigned int flags;
};
struct io_splice___file { /* before 5.19 */
	struct file *file_in;
};
struct io_sync___range {
	__s64 len;
	__s64 off;
	int mode;
};
struct io_poll___events {
	__u32 events;
};
struct io_accept___multishot { /* 6.0 */
	int iou_flags;
};
struct io_sr_msg___multishot { /* 6.0; of 2 or 4 bytes */
	__u16 flags;
};
struct io_sr_msg___message {
	void *umsg;
};
struct io_sr_msg___address { /* since 6.0 (092aeedb750a); the length is of 2 or 4 bytes */
	void *addr;
	__u16 addr_len;
};
/* Later kernels copy the address at submission. */
struct msghdr___name {
	void *msg_name;
	int msg_namelen;
};
struct io_async_msghdr___copied {
	struct msghdr___name msg;
};
struct io_kiocb___async {
	void *async_data;
};
struct io_kiocb___cmd {
	struct io_cmd_data cmd;
};

/* Direct descriptors: 5.15 (b9445598d8c6). */
struct io_open___slot {
	__u32 file_slot;
};
struct io_accept___slot {
	__u32 file_slot;
};
struct io_socket___slot {
	__u32 file_slot;
};
struct io_close___slot {
	__u32 file_slot;
};
struct io_fixed_file___here {
	unsigned long file_ptr;
};
struct io_rsrc_node___file { /* 6.13 (7029acd8a950) */
	unsigned long file_ptr;
};
struct io_rsrc_data___nodes {
	struct io_rsrc_node___file **nodes;
};
struct io_file_table___nodes {
	struct io_rsrc_data___nodes data;
};
struct io_file_table___files {
	struct io_fixed_file___here *files;
};
struct io_ring_ctx___nodes {
	struct io_file_table___nodes file_table;
};
struct io_ring_ctx___files {
	struct io_file_table___files file_table;
};
struct io_submit_link___head {
	struct io_kiocb *head;
};
struct io_submit_state___link {
	struct io_submit_link___head link;
};
struct io_ring_ctx___link { /* 5.12 */
	struct io_submit_state___link submit_state;
};

/* Prototypes of io_uring's tracepoints: early ones have a leading ring argument. Integer types have different names
 * in the kernel's BTF and ours and can't be compared; so check the fields of the io_uring_complete record. */
struct trace_event_raw_io_uring_complete___req {
	void *req;
};
typedef void (*btf_trace_io_uring_submit_sqe___req)(void *, struct io_kiocb *, bool);
typedef void (*btf_trace_io_uring_complete___cqe)(void *, struct io_ring_ctx *, void *, struct io_uring_cqe *);

#pragma clang attribute pop

/* The request of io_uring_submit_sqe. Since 6.0 (6aeb82fa8b4c) it is the first argument. */
static __always_inline struct io_kiocb *compat_uring_submitted(__u64 *ctx)
{
	return compat_arg(ctx, !bpf_core_type_matches(btf_trace_io_uring_submit_sqe___req), 0);
}

/* Does io_uring_complete lack the request? Then identify it by ring and user_data. */
static __always_inline bool compat_uring_by_data(void)
{
	return !bpf_core_field_exists(struct trace_event_raw_io_uring_complete___req, req);
}

/* 5.19 (cef216fc32d7) moved the user_data of a request. */
static __always_inline __u64 compat_uring_user_data(struct io_kiocb *req)
{
	if (bpf_core_field_exists(struct io_kiocb___cqe, cqe.user_data))
		return BPF_CORE_READ((struct io_kiocb___cqe *)req, cqe.user_data);
	return BPF_CORE_READ((struct io_kiocb___old *)req, user_data);
}
static __always_inline __u64 compat_uring_ring(struct io_kiocb *req)
{
	return (__u64)BPF_CORE_READ((struct io_kiocb___old *)req, ctx);
}

static __always_inline void compat_uring_key(struct io_kiocb *req, __u64 *owner, __u64 *which)
{
	if (compat_uring_by_data()) {
		*owner = compat_uring_ring(req);
		*which = compat_uring_user_data(req);
	} else {
		*owner = (__u64)req;
		*which = 0;
	}
}

struct compat_uring_end {
	__u64 owner, which; /* as in compat_uring_key() */
	__u64 req;          /* 0: not available */
	__u64 ring, user_data;
	__s32 result;
	__u32 flags; /* IORING_CQE_F_… */
};

/* 5.18 added the request (502c87d65564), 6.16 replaced the other arguments with a cqe. */
static __always_inline void compat_uring_complete(__u64 *ctx, struct compat_uring_end *end)
{
	end->ring = ctx[0];
	if (compat_uring_by_data()) {
		end->user_data = ctx[1];
		end->owner = end->ring;
		end->which = end->user_data;
		end->result = (__s32)ctx[2];
		end->flags = (__u32)ctx[3];
		return;
	}
	end->req = end->owner = ctx[1];
	if (bpf_core_type_matches(btf_trace_io_uring_complete___cqe)) {
		struct io_uring_cqe *cqe = (struct io_uring_cqe *)ctx[2];

		end->user_data = BPF_CORE_READ((struct io_uring_cqe___data *)cqe, user_data);
		end->result = BPF_CORE_READ(cqe, res);
		end->flags = BPF_CORE_READ(cqe, flags);
	} else {
		end->user_data = ctx[2];
		end->result = (__s32)ctx[3];
		end->flags = (__u32)ctx[4];
	}
}

/* The parameters of a request: 6.0 (f2ccb5aed7bc) moved the per-command structs out of struct io_kiocb, where they
 * were a union. */
static __always_inline void *compat_uring_command(struct io_kiocb *req)
{
	if (bpf_core_field_exists(struct io_kiocb___old, rw))
		return (void *)req + bpf_core_field_offset(struct io_kiocb___old, rw);
	return (void *)req + bpf_core_field_offset(struct io_kiocb___cmd, cmd);
}
static __always_inline struct io_rw *compat_uring_rw(struct io_kiocb *req) { return compat_uring_command(req); }

/* May the kernel post completions of the request without passing it? Those of a multishot request and of a bundle,
 * except the last one (5.18 and later). */
static __always_inline bool compat_uring_multishot(struct io_kiocb *req, __u8 opcode)
{
	void *command = compat_uring_command(req);
	__u16 flags = 0;

	switch (opcode) {
	case IORING_OP_POLL_ADD:
		return !(BPF_CORE_READ((struct io_poll___events *)command, events) & EPOLLONESHOT);
	case IORING_OP_ACCEPT: /* 5.19 does not keep the flags: assume the worst */
		if (!bpf_core_field_exists(struct io_accept___multishot, iou_flags))
			return true;
		return BPF_CORE_READ((struct io_accept___multishot *)command, iou_flags) & IORING_ACCEPT_MULTISHOT;
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
	case IORING_OP_SEND:
		if (bpf_core_field_exists(struct io_sr_msg___multishot, flags))
			bpf_probe_read_kernel(&flags, sizeof(flags),
					      command + bpf_core_field_offset(struct io_sr_msg___multishot, flags));
		return flags & (opcode == IORING_OP_SEND ? IORING_RECVSEND_BUNDLE : IORING_RECV_MULTISHOT);
	case IORING_OP_READ_MULTISHOT:
	case IORING_OP_RECV_ZC:
		return true;
	}
	return false;
}
#define COMPAT_URING_SLOT(command, type)                                                                                 \
	(bpf_core_field_exists(struct type, file_slot) ? BPF_CORE_READ((struct type *)(command), file_slot) : 0)

/* Slot, from 1, of the ring's file table that the request opens or closes. 0: it opens or closes an fd;
 * IORING_FILE_INDEX_ALLOC: the slot is its result. */
static __always_inline __u32 compat_uring_slot(struct io_kiocb *req, __u8 opcode)
{
	void *command = compat_uring_command(req);

	switch (opcode) {
	case IORING_OP_OPENAT:
	case IORING_OP_OPENAT2:
		return COMPAT_URING_SLOT(command, io_open___slot);
	case IORING_OP_ACCEPT:
		return COMPAT_URING_SLOT(command, io_accept___slot);
	case IORING_OP_SOCKET:
		return COMPAT_URING_SLOT(command, io_socket___slot);
	case IORING_OP_CLOSE:
		return COMPAT_URING_SLOT(command, io_close___slot);
	}
	return 0;
}

/* The file in a slot, from 0, of the ring's file table, as of now; 0: none. */
static __always_inline struct file *compat_uring_slot_file(__u64 ring, __u32 slot)
{
	unsigned long file = 0;

	if (bpf_core_field_exists(struct io_ring_ctx___nodes, file_table.data.nodes)) {
		struct io_rsrc_node___file **nodes = BPF_CORE_READ((struct io_ring_ctx___nodes *)ring, file_table.data.nodes);
		struct io_rsrc_node___file *node = 0;

		if (nodes && !bpf_probe_read_kernel(&node, sizeof(node), nodes + slot) && node)
			file = BPF_CORE_READ(node, file_ptr);
	} else if (bpf_core_field_exists(struct io_ring_ctx___files, file_table.files) &&
		   bpf_core_field_exists(struct io_fixed_file___here, file_ptr)) {
		struct io_fixed_file___here *files = BPF_CORE_READ((struct io_ring_ctx___files *)ring, file_table.files);

		if (files)
			bpf_probe_read_kernel(&file, sizeof(file), (unsigned long *)files + slot);
	}
	return (struct file *)(file & ~7UL); /* the low bits are flags */
}

/* Is a request that is being submitted linked behind another one? Then it starts later. */
static __always_inline bool compat_uring_linked(__u64 ring)
{
	if (bpf_core_field_exists(struct io_ring_ctx___link, submit_state.link.head))
		return BPF_CORE_READ((struct io_ring_ctx___link *)ring, submit_state.link.head);
	return true;
}
static __always_inline __s64 compat_uring_offset(struct io_kiocb *req)
{
	return BPF_CORE_READ(compat_uring_rw(req), kiocb.ki_pos);
}
/* The sides of a splice or tee. */
struct compat_uring_splice {
	__s64 in, out; /* offsets; -1: the position of the file, or not a file */
	__u64 length;
	__s32 fd; /* of the side that is read; -1: unknown */
	struct file *file; /* likewise, where the kernel looks it up before the submission is seen; or 0 */
	bool fixed; /* `fd` is a slot of the ring's file table */
};
static __always_inline void compat_uring_splice(struct io_kiocb *req, struct compat_uring_splice *splice)
{
	struct io_splice___here *command = compat_uring_command(req);

	splice->in = BPF_CORE_READ(command, off_in);
	splice->out = BPF_CORE_READ(command, off_out);
	splice->length = BPF_CORE_READ(command, len);
	splice->fixed = BPF_CORE_READ(command, flags) & SPLICE_F_FD_IN_FIXED;
	splice->fd = bpf_core_field_exists(struct io_splice___here, splice_fd_in) ?
			     BPF_CORE_READ(command, splice_fd_in) : -1;
	splice->file = (void *)compat_read_if(struct io_splice___file, command, file_in);
}

/* What fallocate does, and where. */
struct compat_uring_fallocate {
	__u64 offset, length;
	__u32 mode;
};
static __always_inline void compat_uring_fallocate(struct io_kiocb *req, struct compat_uring_fallocate *range)
{
	struct io_sync___range *command = compat_uring_command(req);

	range->offset = BPF_CORE_READ(command, off);
	range->length = BPF_CORE_READ(command, len);
	range->mode = BPF_CORE_READ(command, mode);
}

/* Does the write go to the end of the file, wherever that is? RWF_APPEND or O_APPEND: IOCB_APPEND, which is the former. From
 * 5.19 on, ki_flags are set when the request starts, and before that are those of another request. */
static __always_inline bool compat_uring_appends(struct io_kiocb *req, bool started)
{
	struct io_rw *rw = compat_uring_rw(req);
	int flags = 0;

	if (bpf_core_field_exists(struct io_rw___flags, flags))
		flags = BPF_CORE_READ((struct io_rw___flags *)rw, flags);
	else
		started = true;
	if (started)
		flags |= BPF_CORE_READ((struct kiocb___flags *)&rw->kiocb, ki_flags);
	return flags & RWF_APPEND;
}
static __always_inline __u32 compat_uring_length(struct io_kiocb *req)
{
	return BPF_CORE_READ(compat_uring_rw(req), len);
}
/* The caller's struct msghdr of a sendmsg or recvmsg. */
static __always_inline __u64 compat_uring_message(struct io_kiocb *req)
{
	return (__u64)BPF_CORE_READ((struct io_sr_msg___message *)compat_uring_command(req), umsg);
}

/* The address of a send; 0: none, or unknown. `of_kernel`: it is in the kernel's memory, not in the caller's. */
static __always_inline __u64 compat_uring_address(struct io_kiocb *req, __u32 *length, bool *of_kernel)
{
	void *command = compat_uring_command(req);
	struct io_async_msghdr___copied *copied;
	__u16 bytes = 0;

	if (!bpf_core_field_exists(struct io_sr_msg___address, addr) ||
	    !bpf_core_field_exists(struct io_sr_msg___address, addr_len)) {
		if (!bpf_core_field_exists(struct io_kiocb___async, async_data) ||
		    !bpf_core_field_exists(struct io_async_msghdr___copied, msg.msg_name))
			return 0;
		copied = BPF_CORE_READ((struct io_kiocb___async *)req, async_data);
		if (!copied)
			return 0;
		*of_kernel = true;
		*length = BPF_CORE_READ(copied, msg.msg_namelen);
		return (__u64)BPF_CORE_READ(copied, msg.msg_name);
	}
	bpf_probe_read_kernel(&bytes, sizeof(bytes), command + bpf_core_field_offset(struct io_sr_msg___address, addr_len));
	*length = bytes;
	return (__u64)BPF_CORE_READ((struct io_sr_msg___address *)command, addr);
}
static __always_inline __u32 compat_uring_flags(struct io_kiocb *req)
{
	__u64 flags = 0; /* 32 bits until 6.8; the low ones suffice */

	bpf_probe_read_kernel(&flags, 4, (void *)req + bpf_core_field_offset(struct io_kiocb, flags));
	return (__u32)flags;
}
/* The fd in the SQE of a request; -1 if the kernel does not keep it (before 6.0). */
static __always_inline __s32 compat_uring_fd(struct io_kiocb *req)
{
	if (bpf_core_field_exists(struct io_kiocb___cqe, cqe.fd))
		return BPF_CORE_READ((struct io_kiocb___cqe *)req, cqe.fd);
	return -1;
}
static __always_inline struct file *compat_uring_file(struct io_kiocb *req)
{
	return BPF_CORE_READ(req, file);
}

#endif
