/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Functions of libc that never reach the kernel, or reach it later: uprobes at their beginnings and ends. Part of
 * syscall.bpf.c, whose filters they share; loaded only when they are asked for.
 */

struct libc_call {
	__u64 start;
	__u64 a0, a1, a2;
	__u64 stack; /* the stack's end when it began */
	__s32 fd;
	__u32 function;
};

/* By thread. A function that another one of them calls, as scandir does with readdir, is not the program's: while one runs,
 * those deeper in the stack are not looked at. One that longjmp has left without an end gives way to the next that isn't. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
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

struct libc_info {
	__u8 op;
	__u8 place;
	__u8 means;
};

enum libc_function {
#define LIBC_FUNCTION(name, operation, place, result) LIBC_##name,
	IOLENS_LIBC_FUNCTIONS(LIBC_FUNCTION)
#undef LIBC_FUNCTION
	LIBC_FUNCTION_COUNT
};

static const struct libc_info libc_functions[] = {
#define LIBC_FUNCTION(name, operation, place, result)                                                                    \
	{IOLENS_OPERATION_##operation, IOLENS_LIBC_##place, IOLENS_LIBC_GIVES_##result},
	IOLENS_LIBC_FUNCTIONS(LIBC_FUNCTION)
#undef LIBC_FUNCTION
};

static __noinline int libc_begin(struct pt_regs *ctx, __u32 function)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct libc_call call = {}, *outer;
	__u32 key = (__u32)id;

	if (function >= LIBC_FUNCTION_COUNT || (follow && !call_near(id >> 32)) || !call_wanted_task(id, false))
		return 0;
	call.stack = compat_stack(ctx);
	call.function = function;
	outer = bpf_map_lookup_elem(&libc_calls, &key);
	if (outer && call.stack < outer->stack)
		return 0;
	call.a0 = compat_function_argument(ctx, 0);
	call.a1 = compat_function_argument(ctx, 1);
	call.a2 = compat_function_argument(ctx, 2);
	call.fd = -1;
	switch (libc_functions[function].place) {
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
	return 0;
}

static __noinline int libc_end(struct pt_regs *ctx, __u32 function)
{
	__u64 id = bpf_get_current_pid_tgid(), result = compat_function_result(ctx);
	__u32 key = (__u32)id;
	struct libc_call *call = bpf_map_lookup_elem(&libc_calls, &key);
	struct operation_room *room;
	__u32 slot = FILE_SLOT_LIBC;
	bool path, failed = false;
	__u8 op, place, means;
	long length;

	if (function >= LIBC_FUNCTION_COUNT)
		return 0;
	op = libc_functions[function].op;
	place = libc_functions[function].place;
	means = libc_functions[function].means;
	path = place == IOLENS_LIBC_PATH || place == IOLENS_LIBC_PATH_MODE;
	if (!call || call->function != function || compat_stack(ctx) < call->stack)
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

/* A program for each function, which every kernel has a way for. */
#define LIBC_FUNCTION(name, operation, place, result)                                                                    \
	SEC("uprobe")                                                                                                    \
	int iolens_libc_##name(struct pt_regs *ctx) { return libc_begin(ctx, LIBC_##name); }                             \
	SEC("uretprobe")                                                                                                 \
	int iolens_libc_end_##name(struct pt_regs *ctx) { return libc_end(ctx, LIBC_##name); }
IOLENS_LIBC_FUNCTIONS(LIBC_FUNCTION)
#undef LIBC_FUNCTION

/* One for all, of which the cookie is the number: from 6.6 (89ae89f53d20) they are attached together, and detached in the
 * time of one. */
SEC("uprobe")
int iolens_libc_all(struct pt_regs *ctx)
{
	return libc_begin(ctx, bpf_get_attach_cookie(ctx));
}

SEC("uretprobe")
int iolens_libc_end_all(struct pt_regs *ctx)
{
	return libc_end(ctx, bpf_get_attach_cookie(ctx));
}
