/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: libaio. Its types are private to fs/aio.c, and absent without CONFIG_AIO. */
#ifndef IOLENS_LIB_COMPAT_AIO_BPF_H
#define IOLENS_LIB_COMPAT_AIO_BPF_H

#include "lib/compat/base.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kioctx___here {
	unsigned long user_id;
};
struct kioctx_table___here {
	unsigned int nr;
	struct kioctx___here *table[1];
};
struct mm_struct___aio {
	struct kioctx_table___here *ioctx_table;
};
struct io_event___here {
	__u64 obj;
};
struct aio_kiocb___here {
	struct kiocb rw;
	struct kioctx___here *ki_ctx;
	struct io_event___here ki_res;
};

#pragma clang attribute pop

#define COMPAT_AIO_CONTEXTS 64 /* of a process; later ones are not found */

/* The kernel's context of the running process for an ID that io_setup returned; 0: not found. lookup_ioctx() takes its
 * place in the table from the completion ring, but a program can't read that page before the process has used it. */
static __always_inline __u64 compat_aio_context(struct task_struct *task, __u64 id)
{
	struct kioctx_table___here *table;
	struct mm_struct___aio *mm;
	__u64 context, contexts;
	__u32 count;

	if (!bpf_core_field_exists(struct mm_struct___aio, ioctx_table))
		return 0;
	mm = (void *)BPF_CORE_READ(task, mm);
	table = BPF_CORE_READ(mm, ioctx_table);
	if (!table)
		return 0;
	contexts = (__u64)table + bpf_core_field_offset(struct kioctx_table___here, table);
	count = BPF_CORE_READ(table, nr);
	for (__u32 i = 0; i < COMPAT_AIO_CONTEXTS && i < count; i++) {
		if (bpf_probe_read_kernel(&context, sizeof(context), (void *)(contexts + i * sizeof(context))))
			return 0;
		if (context && BPF_CORE_READ((struct kioctx___here *)context, user_id) == id)
			return context;
	}
	return 0;
}

/* The context of a request, and the address of its struct iocb in the caller's memory. */
static __always_inline void compat_aio_request(struct kiocb *iocb, __u64 *context, __u64 *address)
{
	struct aio_kiocb___here *request;

	if (!bpf_core_field_exists(struct aio_kiocb___here, ki_res.obj))
		return;
	request = (void *)iocb - bpf_core_field_offset(struct aio_kiocb___here, rw);
	*context = (__u64)BPF_CORE_READ(request, ki_ctx);
	*address = BPF_CORE_READ(request, ki_res.obj);
}

#endif
