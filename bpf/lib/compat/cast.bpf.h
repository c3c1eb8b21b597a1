/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: plain loads of kernel memory. */
#ifndef IOLENS_LIB_COMPAT_CAST_BPF_H
#define IOLENS_LIB_COMPAT_CAST_BPF_H

#include "lib/compat/base.bpf.h"

/*
 * bpf_rdonly_cast (6.2, fd264ca02094) gives an address a type: its fields are then read by plain loads. Without it, they are
 * read by a helper call per field, which works on every kernel. Eight helper calls cost 275 ns, the loads 60 ns. A pointer
 * of a tracepoint passes through it, too: for each pointer that is loaded through a trusted one, the verifier searches all kernel
 * BTF.
 *
 * If the kernel lacks it, libbpf searches the BTF of every module for it, even if no loaded program calls it, and that
 * needs CAP_SYS_ADMIN. So there is also an object without it: CASTS says which of the two this is.
 */
#ifdef IOLENS_WITHOUT_CASTS
#define CASTS 0
/* reads `type`, too: both objects must have their variables in the same order, which is that of their first use */
#define bpf_rdonly_cast(address, type) ((void)(type), (void *)(address))
#else
#define CASTS 1
extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym __weak;
#endif

/* BTF ID of a struct in the kernel, looked up by user space. */
#define CAST_TYPE(name) const volatile __u32 kernel_type_##name

CAST_TYPE(timespec64);

#define cast_to(name, address) ((struct name *)bpf_rdonly_cast(address, kernel_type_##name))

/* Reads a word of kernel memory. Direct reads need a type that starts with one: timespec64 does. */
static __always_inline __u64 cast_word(const void *address, bool direct)
{
	__u64 word = 0;

	if (direct)
		return cast_to(timespec64, address)->tv_sec;
	bpf_probe_read_kernel(&word, sizeof(word), address);
	return word;
}

#endif
