/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of unix sockets, emitted as names of files. */
#ifndef IOLENS_LIB_UNIX_BPF_H
#define IOLENS_LIB_UNIX_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "lib/ring.bpf.h"

#include "iolens/event/file.h"

/* Address that identifies a unix socket: that of its peer, or its own; NULL if neither is bound. */
static __always_inline struct unix_address *file_unix_address(struct unix_sock *unix)
{
	struct unix_sock *peer = (struct unix_sock *)BPF_CORE_READ(unix, peer);
	struct unix_address *address = peer ? BPF_CORE_READ(peer, addr) : 0;

	return address ? address : BPF_CORE_READ(unix, addr);
}

/* Emits the address of a unix socket as a file name. */
__noinline int file_emit_unix(__u64 unix_address, __u64 name_id, __u32 slot)
{
	struct unix_address *address = (struct unix_address *)unix_address;
	struct iolens_counters *n;
	struct file_scratch *scratch;
	__u32 size;
	int length;
	char *name;

	scratch = bpf_map_lookup_elem(&file_scratch_slots, &slot);
	length = BPF_CORE_READ(address, len) - 2; /* without sun_family */
	if (!scratch || length <= 0)
		return 0;
	__builtin_memset(scratch->path, 0, 120);
	if (length > 108)
		length = 108;
	name = (void *)address + bpf_core_field_offset(struct unix_address, name) + 2;
	bpf_probe_read_kernel(scratch->path, (__u32)length & 127, name);
	scratch->fact.h.ts = bpf_ktime_get_boot_ns();
	scratch->fact.h.kind = IOLENS_KIND_FILE;
	scratch->fact.h.cpu = bpf_get_smp_processor_id();
	scratch->fact.name_id = name_id;
	scratch->fact.kind = IOLENS_FILE_SOCKET;
	scratch->fact.flags = IOLENS_FILE_PSEUDO;
	scratch->fact.reserved = 0;
	scratch->fact.length = length + 1;
	size = (sizeof(scratch->fact) + 109 + 7) & ~7U;
	scratch->fact.h.size = size;
	if (ring_put(scratch, size))
		file_sent(&name_id);
	else if ((n = ring_counters()))
		ring_count(n, fact_lost);
	return 0;
}

#endif
