/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: what the other files here are made with. */
#ifndef IOLENS_LIB_COMPAT_BASE_BPF_H
#define IOLENS_LIB_COMPAT_BASE_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "lib/kernel.bpf.h"

/* bpf_snprintf: 5.13 (7b15523a989b). */
enum bpf_func_id___snprintf {
	BPF_FUNC_snprintf___here = 1,
};

#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/* A field of what is at an address, as a number; 0 where this kernel, or what of it is loaded, has no such field. */
#define compat_read_if(type, address, field) \
	(bpf_core_field_exists(type, field) ? (__u64)BPF_CORE_READ((type *)(address), field) : 0)

/* The pointer at `where` as a number: global functions take no pointers, and a cast is none to the verifier. */
static __always_inline __u64 compat_number(const void *where)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), where);
	return number;
}

/* A program of a BTF tracepoint; `body` is an expression of `ctx`. */
#define PROGRAM(tracepoint, name, body)                                                                                  \
	SEC("tp_btf/" tracepoint)                                                                                        \
	int name(__u64 *ctx) { return body; }

/*
 * The n-th argument, counted without the leading request_queue. The barriers keep the compiler from making one load
 * at a computed offset of the two, which the verifier refuses (“dereference of modified ctx ptr”).
 */
#define compat_arg(ctx, has_q, n)                      \
	({                                             \
		__u64 arg_;                            \
		if (has_q) {                           \
			arg_ = (ctx)[(n) + 1];         \
			barrier_var(arg_);             \
		} else {                               \
			arg_ = (ctx)[(n)];             \
			barrier_var(arg_);             \
		}                                      \
		(void *)arg_;                          \
	})
static __always_inline bool compat_has_snprintf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___snprintf, BPF_FUNC_snprintf___here);
}

#endif
