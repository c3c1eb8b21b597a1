/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: sockets. */
#ifndef IOLENS_LIB_COMPAT_NET_BPF_H
#define IOLENS_LIB_COMPAT_NET_BPF_H

#include "lib/compat/base.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock___protocol { /* 16 bits since 5.6 (bf9765145b85) */
	__u16 sk_protocol;
};
struct sock_common___v6 {
	struct {
		__u8 bytes[16];
	} skc_v6_daddr, skc_v6_rcv_saddr;
};

#pragma clang attribute pop

static __always_inline __u16 compat_protocol(struct sock *sk)
{
	return BPF_CORE_READ((struct sock___protocol *)sk, sk_protocol);
}

#endif
