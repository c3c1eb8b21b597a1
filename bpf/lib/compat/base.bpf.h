/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: basics for the other files in this directory. */
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
/* bpf_task_pt_regs: 5.15 (dd6e10fbd9fb) */
enum bpf_func_id___regs {
	BPF_FUNC_task_pt_regs___here = 1,
};

#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/* Reads a field at an address as a number; 0 if neither the kernel nor a loaded module has such a field. */
#define compat_read_if(type, address, field) \
	(bpf_core_field_exists(type, field) ? (__u64)BPF_CORE_READ((type *)(address), field) : 0)

/* The pointer at `where` as a number: global functions take no pointers, and the verifier ignores casts. */
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
 * The n-th argument, not counting the leading request_queue. The barriers keep clang from merging the two loads into
 * one at a computed offset, which the verifier rejects (“dereference of modified ctx ptr”).
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
