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

#define UNIX_SPACE 120 /* for the path of an address, and a NUL; a multiple of 8 */

/* Sends the address in scratch->path, of `length` bytes without sun_family, as the name of a file. */
static __always_inline void file_send_unix(struct file_scratch *scratch, __u32 length, __u64 name_id)
{
	struct iolens_counters *n;
	__u32 size;

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
}

/* Emits the address of a unix socket as a file name. */
__noinline int file_emit_unix(__u64 unix_address, __u64 name_id, __u32 slot)
{
	struct unix_address *address = (struct unix_address *)unix_address;
	struct file_scratch *scratch;
	int length;
	char *name;

	scratch = bpf_map_lookup_elem(&file_scratch_slots, &slot);
	length = BPF_CORE_READ(address, len) - 2; /* without sun_family */
	if (!scratch || length <= 0)
		return 0;
	__builtin_memset(scratch->path, 0, UNIX_SPACE);
	if (length > UNIX_PATH_MAX)
		length = UNIX_PATH_MAX;
	name = (void *)address + bpf_core_field_offset(struct unix_address, name) + 2;
	bpf_probe_read_kernel(scratch->path, (__u32)length & 127, name);
	file_send_unix(scratch, length, name_id);
	return 0;
}

#define FILE_OF_KERNEL (1 << 9) /* beside a file_slot: the address is in the kernel's memory */

static __always_inline long file_read_given(void *to, __u32 size, __u64 from, bool of_kernel)
{
	return of_kernel ? bpf_probe_read_kernel(to, size, (void *)from) : bpf_probe_read_user(to, size, (void *)from);
}

/* Emits an address in the caller's memory, `length` bytes without sun_family, as a file name: its ID is then
 * fact.name_id of the slot's scratch. Equal addresses have equal IDs. `how`: the file_slot, and the flag above. Returns
 * 1, 0 if it has no name, -1 if it can't be read. */
__noinline int file_emit_unix_given(__u64 address, __u32 length, __u32 how)
{
	bool of_kernel = how & FILE_OF_KERNEL;
	__u32 slot = how & (FILE_OF_KERNEL - 1);
	struct file_scratch *scratch = bpf_map_lookup_elem(&file_scratch_slots, &slot);
	__u64 name_id;
	long read;

	if (!scratch || !length)
		return 0;
	if (length > UNIX_PATH_MAX)
		length = UNIX_PATH_MAX;
	__builtin_memset(scratch->path, 0, UNIX_SPACE);
	if (file_read_given(scratch->path, 1, address, of_kernel))
		return -1;
	length &= 127;
	barrier_var(length);
	if (length > UNIX_PATH_MAX)
		return 0;
	if (scratch->path[0]) { /* a path: what is behind a NUL does not count */
		read = of_kernel ? bpf_probe_read_kernel_str(scratch->path, length + 1, (void *)address) :
				   bpf_probe_read_user_str(scratch->path, length + 1, (void *)address);
		if (read <= 1)
			return -1;
		length = read - 1;
		name_id = 0;
	} else { /* abstract: all bytes count */
		if (file_read_given(scratch->path, length, address, of_kernel))
			return -1;
		name_id = length;
	}
	for (int i = 0; i < UNIX_SPACE / 8; i++)
		name_id = file_mix(name_id, ((__u64 *)scratch->path)[i]);
	name_id = file_hide(name_id);
	if (!file_known(&name_id))
		file_send_unix(scratch, length, name_id);
	scratch->fact.name_id = name_id;
	return 1;
}

#endif
