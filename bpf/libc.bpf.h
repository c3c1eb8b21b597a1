/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Functions of libc that never reach the kernel, or reach it later: uprobes at their beginnings and ends. Part of
 * syscall.bpf.c, whose filters they share; loaded only when they are asked for.
 */

struct libc_call {
	__u64 start;
	__u64 a0, a1, a2;
	__s32 fd;
	__u32 reserved;
};

struct { /* by thread and function: one may run inside another */
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* longjmp leaves functions without an end */
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct libc_call);
} libc_calls SEC(".maps");

/* glibc's struct _IO_FILE and struct __dirstream: as old as its ABI */
#define LIBC_FILE_FD 112
#define LIBC_DIR_FD 0

static __always_inline __s32 libc_fd_at(__u64 address, __u32 offset)
{
	__s32 fd;

	if (!address || bpf_probe_read_user(&fd, sizeof(fd), (void *)(address + offset)))
		return -1;
	return fd;
}

static __always_inline int libc_begin(struct pt_regs *ctx, __u32 function, enum iolens_libc_place place)
{
	__u64 id = bpf_get_current_pid_tgid(), key = id << 32 | function;
	struct libc_call call = {};
	bool held;

	if ((follow && !call_near(id >> 32)) || !call_wanted_task(id, false))
		return 0;
	held = compat_hold();
	call.a0 = compat_function_argument(ctx, 0);
	call.a1 = compat_function_argument(ctx, 1);
	call.a2 = compat_function_argument(ctx, 2);
	call.fd = -1;
	switch (place) {
	case IOLENS_LIBC_STREAM: call.fd = libc_fd_at(call.a0, LIBC_FILE_FD); break;
	case IOLENS_LIBC_STREAM_LAST: call.fd = libc_fd_at(compat_function_argument(ctx, 3), LIBC_FILE_FD); break;
	case IOLENS_LIBC_STREAM_CHECKED: call.fd = libc_fd_at(compat_function_argument(ctx, 4), LIBC_FILE_FD); break;
	case IOLENS_LIBC_DIR: call.fd = libc_fd_at(call.a0, LIBC_DIR_FD); break;
	case IOLENS_LIBC_FD: call.fd = (__s32)call.a0; break;
	default: break;
	}
	call.start = bpf_ktime_get_boot_ns();
	if (bpf_map_update_elem(&libc_calls, &key, &call, BPF_ANY))
		call_orphan();
	compat_let_go(held);
	return 0;
}

static __always_inline int libc_end_held(struct pt_regs *ctx, __u32 function, __u8 op, enum iolens_libc_place place,
					 enum iolens_libc_result means)
{
	__u64 id = bpf_get_current_pid_tgid(), key = id << 32 | function, result = compat_function_result(ctx);
	struct libc_call *call = bpf_map_lookup_elem(&libc_calls, &key);
	bool path = place == IOLENS_LIBC_PATH || place == IOLENS_LIBC_PATH_MODE, failed = false;
	struct operation_room *room;
	__u32 slot = FILE_SLOT_LIBC;
	long length;

	if (!call)
		return 0;
	if (leave_std && call->fd >= 0 && call->fd <= 2) {
		operation_left_out();
		goto out;
	}
	if (!operation_counts(id >> 32, bpf_ktime_get_boot_ns() - call->start,
			      op == IOLENS_OPERATION_OPEN ? call->a0 : 0, slot)) {
		operation_left_out();
		goto out;
	}
	room = operation_new(slot, id, op);
	if (!room)
		goto out;
	room->e.start = call->start;
	room->e.layer = IOLENS_LAYER_LIBC;
	room->e.fd = call->fd;
	if (room->e.h.ts - call->start < keep.min_ns) {
		operation_left_out();
		goto out;
	}
	switch (means) {
	case IOLENS_LIBC_GIVES_STREAM:
		failed = !result;
		room->e.fd = libc_fd_at(result, LIBC_FILE_FD);
		break;
	case IOLENS_LIBC_GIVES_DIR:
		failed = !result;
		room->e.fd = libc_fd_at(result, LIBC_DIR_FD);
		break;
	case IOLENS_LIBC_GIVES_ITEMS:
		room->e.bytes = result * (place == IOLENS_LIBC_STREAM_CHECKED ? call->a2 : call->a1);
		failed = op == IOLENS_OPERATION_WRITE && result < call->a2;
		break;
	case IOLENS_LIBC_GIVES_BYTES:
		failed = (__s32)result < 0;
		room->e.bytes = failed ? 0 : (__u32)result;
		break;
	case IOLENS_LIBC_GIVES_STATUS: failed = (__s32)result != 0; break;
	case IOLENS_LIBC_GIVES_NUMBER: failed = (__s32)result < 0; break;
	case IOLENS_LIBC_GIVES_NOTHING: break;
	}
	if (failed)
		room->e.error = IOLENS_ERROR_UNKNOWN;
	if (path) {
		length = bpf_probe_read_user_str(room->text, IOLENS_OPERATION_TEXT, (void *)call->a0);
		if (length > 0 && length <= IOLENS_OPERATION_TEXT)
			room->e.length1 = length - 1;
	}
	if (place == IOLENS_LIBC_PATH_MODE) {
		__u32 at = room->e.length1 & (IOLENS_OPERATION_TEXT - 1);

		barrier_var(at);
		length = bpf_probe_read_user_str(&room->text[at], 16, (void *)call->a1);
		if (length > 0 && length <= 16)
			room->e.length2 = length - 1;
	}
	operation_send(room);
out:
	bpf_map_delete_elem(&libc_calls, &key);
	return 0;
}

static __always_inline int libc_end(struct pt_regs *ctx, __u32 function, __u8 op, enum iolens_libc_place place,
				    enum iolens_libc_result means)
{
	bool held = compat_hold();

	libc_end_held(ctx, function, op, place, means);
	compat_let_go(held);
	return 0;
}

enum libc_function {
#define LIBC_FUNCTION(name, operation, place, result) LIBC_##name,
	IOLENS_LIBC_FUNCTIONS(LIBC_FUNCTION)
#undef LIBC_FUNCTION
};

#define LIBC_FUNCTION(name, operation, place, result)                                                                    \
	SEC("uprobe")                                                                                                    \
	int iolens_libc_##name(struct pt_regs *ctx)                                                                      \
	{                                                                                                                \
		return libc_begin(ctx, LIBC_##name, IOLENS_LIBC_##place);                                                \
	}                                                                                                                \
	SEC("uretprobe")                                                                                                 \
	int iolens_libc_end_##name(struct pt_regs *ctx)                                                                  \
	{                                                                                                                \
		return libc_end(ctx, LIBC_##name, IOLENS_OPERATION_##operation, IOLENS_LIBC_##place,                     \
				IOLENS_LIBC_GIVES_##result);                                                             \
	}
IOLENS_LIBC_FUNCTIONS(LIBC_FUNCTION)
#undef LIBC_FUNCTION
