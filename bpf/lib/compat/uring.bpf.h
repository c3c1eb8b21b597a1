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
	int fd;
};
struct io_kiocb___cqe {
	struct io_cqe___fd cqe;
};
struct io_kiocb___cmd {
	struct io_cmd_data cmd;
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

static __always_inline void compat_uring_key(struct io_kiocb *req, __u64 *owner, __u64 *which)
{
	if (compat_uring_by_data()) {
		*owner = (__u64)BPF_CORE_READ((struct io_kiocb___old *)req, ctx);
		*which = BPF_CORE_READ((struct io_kiocb___old *)req, user_data);
	} else {
		*owner = (__u64)req;
		*which = 0;
	}
}

struct compat_uring_end {
	__u64 owner, which; /* as in compat_uring_key() */
	__u64 req;          /* 0: not available */
	__s32 result;
	__u32 flags; /* IORING_CQE_F_… */
};

/* 5.18 added the request (502c87d65564), 6.16 replaced the other arguments with a cqe. */
static __always_inline void compat_uring_complete(__u64 *ctx, struct compat_uring_end *end)
{
	if (compat_uring_by_data()) {
		end->owner = ctx[0];
		end->which = ctx[1];
		end->result = (__s32)ctx[2];
		end->flags = (__u32)ctx[3];
		return;
	}
	end->req = end->owner = ctx[1];
	if (bpf_core_type_matches(btf_trace_io_uring_complete___cqe)) {
		struct io_uring_cqe *cqe = (struct io_uring_cqe *)ctx[2];

		end->result = BPF_CORE_READ(cqe, res);
		end->flags = BPF_CORE_READ(cqe, flags);
	} else {
		end->result = (__s32)ctx[3];
		end->flags = (__u32)ctx[4];
	}
}

/* The I/O parameters of a request: 6.0 (f2ccb5aed7bc) moved the per-command structs out of struct io_kiocb. */
static __always_inline struct io_rw *compat_uring_rw(struct io_kiocb *req)
{
	if (bpf_core_field_exists(struct io_kiocb___old, rw))
		return (void *)req + bpf_core_field_offset(struct io_kiocb___old, rw);
	return (void *)req + bpf_core_field_offset(struct io_kiocb___cmd, cmd);
}
static __always_inline __s64 compat_uring_offset(struct io_kiocb *req)
{
	return BPF_CORE_READ(compat_uring_rw(req), kiocb.ki_pos);
}
static __always_inline __u32 compat_uring_length(struct io_kiocb *req)
{
	return BPF_CORE_READ(compat_uring_rw(req), len);
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
