/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls on file descriptors, from entry to return. BTF tracepoints only: sys_enter and sys_exit see every call of
 * every kernel from 5.10, also where kprobes and fentry are not.
 *
 * A thread has at most one call under way, so its state is made at its first call that is asked for, used again for each
 * one after, and removed when the thread exits. It is kept with the task itself where the kernel can do that, which costs
 * 200 ns a call less than a hash map. What an fd is, is asked of the kernel's own table at the call's start, so fork, dup,
 * SCM_RIGHTS, close-on-exec and files opened before tracing need no bookkeeping.
 *
 * Each program is there twice: plain, for every kernel from 5.10, and direct, for those with task storage (5.11,
 * 4cf1bc1f1045) and bpf_rdonly_cast (6.2). User space loads one of each.
 */
#include "lib/compat.bpf.h"
#include "lib/file.bpf.h"
#include "lib/keep.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "lib/watch.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/operation.h"
#include "iolens/event/task.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

/* what they are given is gone when they succeed; x86-64's numbers, see src/resolve/call_table.h */
#define CALL_EXECVE 59
#define CALL_EXECVEAT 322
/* these return in the child, too */
#define CALL_CLONE 56
#define CALL_VFORK 58 /* 57: fork */
#define CALL_CLONE3 435
#define CALL_TEXTS 8192 /* bytes of an argument record's texts; a power of two */

enum call_state_kind {
	CALL_NONE,
	CALL_RUNNING,
	CALL_INTERRUPTED, /* returned ERESTART…: goes on if the same call is entered next */
};

struct call_thread {
	struct iolens_call_event e;
	struct iolens_call_event to; /* of a call that moves from one fd to another: the other side */
	__u64 name_told; /* the last file's name_id: most calls in a row are on one file */
	__u64 values[8]; /* what the call was given: six */
	__u64 pointer; /* the caller's address of what is known only at the end: a sender's address, messages' lengths */
	__u32 state;   /* enum call_state_kind */
	__u32 emitted; /* the `period` in which the name and owner of the thread were emitted; 0: never */
	__u8 two;      /* `to` is used */
	__u8 shape;    /* enum iolens_call_shape */
	__u8 texts;    /* bit n: argument n is a text that could not be read yet */
	__u8 all_texts; /* bit n: argument n is a text */
	__u8 vectors;   /* bit n: argument n is an array of texts */
	__u8 ways;      /* enum iolens_call_way */
	__u8 started;   /* with --start-on-…: it counts */
	__u8 counted;   /* sides of it that are among those seen */
	__u64 buffer;        /* what goes through a socket, where it may be HTTP */
	__u64 buffer_length; /* of its first piece */
};

struct { /* of the plain programs, by the kernel's own tid */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* set before load */
	__type(key, __u32);
	__type(value, struct call_thread);
} threads SEC(".maps");

struct { /* of the direct ones */
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call_thread);
} thread_storage SEC(".maps");

/* Processes to follow, with their later children, by their ids in own_pidns; asked when `follow` is set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u8);
} followed SEC(".maps");

/* Processes that read our rows, by their ids in own_pidns: what they do for a row would make further rows. The value is the
 * inode of the pipe that they read, 0: none is known. A child counts, too, until it executes a program without that pipe:
 * in "iolens fd | while read row; do …" each command has it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u64);
} row_readers SEC(".maps");
__s64 row_readers_alive = 0; /* entries in it; 0: no lookup */

const volatile struct iolens_call_info calls[IOLENS_CALLS] = {};
const volatile __u8 follow = 0;
/* What iolens writes its rows to. */
const volatile __u64 own_ino = 0;
const volatile __u32 own_dev = 0;
const volatile __u8 by_watch = 0;   /* only of watched files */
const volatile __u8 decode_all = 0; /* each call's arguments are told */

/* How many followed processes have an id that ends in these bits: for nearly every other process 0, and so an answer
 * without a map's lookup. */
__u32 near[IOLENS_CALL_NEAR] = {};

/* Followed processes that live. User space sets it, and ends when it is 0. */
__s64 alive = 0;

static const struct call_thread call_nothing = {};

struct call_argument_room {
	struct iolens_arguments a;
	__u8 text[CALL_TEXTS + IOLENS_ARGUMENT_TEXT + 8];
};
struct { /* made only where arguments are told; FILE_SLOT_ENTER and FILE_SLOT_EXIT */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct call_argument_room);
} argument_rooms SEC(".maps");

static __always_inline bool call_near(__u32 tgid)
{
	return near[tgid % IOLENS_CALL_NEAR] != 0;
}

/* The state of a thread; NULL where it has none. `task` and `tid` are the same thread. */
static __always_inline struct call_thread *call_thread_of(struct task_struct *task, __u32 tid, bool direct)
{
	if (direct)
		return bpf_task_storage_get(&thread_storage, task, 0, 0);
	return bpf_map_lookup_elem(&threads, &tid);
}

/* A new one; NULL where there is no room. */
static __always_inline struct call_thread *call_thread_new(struct task_struct *task, __u32 tid, bool direct)
{
	if (direct)
		return bpf_task_storage_get(&thread_storage, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	bpf_map_update_elem(&threads, &tid, &call_nothing, BPF_ANY);
	return bpf_map_lookup_elem(&threads, &tid);
}

/* The caller's structs: the same on every 64-bit architecture. */
struct call_iovec {
	__u64 base;
	__u64 length;
};
struct call_msghdr {
	__u64 name;
	__u32 name_length;
	__u64 iov;
	__u64 iov_count;
	__u64 control;
	__u64 control_length;
	__u32 flags;
};
struct call_mmsghdr {
	struct call_msghdr header;
	__u32 length;
};
struct call_sockaddr { /* of IPv4 and IPv6 */
	__u16 family;
	__be16 port;
	__u32 ipv4; /* IPv6: flow information */
	__u8 ipv6[16];
};
#define CALL_PIECES 1024 /* UIO_MAXIOV */

static __always_inline void call_address(struct iolens_call_event *e, struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	e->family = family;
	if (family == AF_INET || family == AF_INET6) {
		__u16 port = BPF_CORE_READ(sk, __sk_common.skc_dport);

		e->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		e->port = __builtin_bswap16(port);
		if (e->local_port)
			e->flags |= IOLENS_CALL_HAS_LOCAL;
		if (family == AF_INET) {
			bpf_probe_read_kernel(e->peer, 4, (void *)sk + bpf_core_field_offset(sk->__sk_common.skc_daddr));
			bpf_probe_read_kernel(e->local, 4,
					      (void *)sk + bpf_core_field_offset(sk->__sk_common.skc_rcv_saddr));
		} else {
			bpf_probe_read_kernel(e->peer, 16,
					      (void *)sk + bpf_core_field_offset(struct sock_common___v6, skc_v6_daddr));
			bpf_probe_read_kernel(e->local, 16, (void *)sk + bpf_core_field_offset(struct sock_common___v6,
											      skc_v6_rcv_saddr));
		}
		if (port)
			e->flags |= IOLENS_CALL_HAS_PEER;
	}
}

/* A socket's end of the call; the struct socket is the file's. */
static __always_inline void call_socket(struct iolens_call_event *e, struct file *file, struct file_facts *f, __u32 slot)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);
	short type = 0;

	bpf_probe_read_kernel(&type, sizeof(type), (void *)socket + bpf_core_field_offset(socket->type));
	if (type == 1)
		e->flags |= IOLENS_CALL_STREAM;
	else if (type == 2)
		e->flags |= IOLENS_CALL_DATAGRAM;
	if (!sk)
		return;
	call_address(e, sk);
	if (e->family == AF_UNIX) {
		struct unix_address *address = file_unix_address((struct unix_sock *)sk);

		if (!address)
			return;
		f->name_id = file_hide(file_mix((__u64)address, f->id.ino));
		e->name_id = f->name_id;
		if (!file_known(&f->name_id))
			file_tell_unix((__u64)address, f->name_id, slot);
	}
}

/* An address that a call names: its bytes and its port. False: of another family. */
static __always_inline bool call_named(struct iolens_call_event *e, const void *address, __u8 *bytes, __u16 *port)
{
	struct call_sockaddr a = {};

	if (!address || e->file != IOLENS_FILE_SOCKET || bpf_probe_read_user(&a, 8, address))
		return false;
	if (a.family == AF_INET) {
		__builtin_memcpy(bytes, &a.ipv4, 4);
	} else if (a.family == AF_INET6) {
		if (bpf_probe_read_user(&a, sizeof(a), address))
			return false;
		__builtin_memcpy(bytes, a.ipv6, 16);
	} else {
		return false;
	}
	e->family = a.family;
	*port = __builtin_bswap16(a.port);
	return true;
}

/* The peer that a call of an unconnected socket names. */
static __always_inline void call_named_peer(struct iolens_call_event *e, const void *address)
{
	if (!(e->flags & IOLENS_CALL_HAS_PEER) && call_named(e, address, e->peer, &e->port))
		e->flags |= IOLENS_CALL_HAS_PEER;
}

/* The address that bind gives a socket. */
static __always_inline void call_named_local(struct iolens_call_event *e, const void *address)
{
	if (call_named(e, address, e->local, &e->local_port))
		e->flags |= IOLENS_CALL_HAS_LOCAL;
}

/* Loops over what the caller has in its memory: with bpf_loop (5.17), whose body is verified once, or unrolled by the
 * verifier, in a global function that it walks once. */
struct call_walk {
	__u64 from;
	__u64 id;
	__u64 sum;
	__u64 process; /* of libaio's requests, as in struct iolens_request */
	__u64 context;
};
typedef long (*call_turn)(__u32, void *);

static __always_inline void call_loop(__u64 count, call_turn turn, struct call_walk *walk, bool direct)
{
	if (direct) {
		bpf_loop(count < CALL_PIECES ? count : CALL_PIECES, turn, walk, 0);
		return;
	}
	for (__u32 i = 0; i < CALL_PIECES && i < count; i++)
		if (turn(i, walk))
			break;
}

static __always_inline long call_piece(__u32 i, void *context)
{
	struct call_walk *walk = context;
	struct call_iovec piece;

	if (bpf_probe_read_user(&piece, sizeof(piece), (struct call_iovec *)walk->from + i))
		return 1;
	walk->sum += piece.length;
	return 0;
}
static long call_piece_turn(__u32 i, void *walk) { return call_piece(i, walk); }

static __always_inline long call_message_part(__u32 i, void *context)
{
	struct call_walk *walk = context;
	__u32 length;

	if (bpf_probe_read_user(&length, sizeof(length), &((struct call_mmsghdr *)walk->from)[i].length))
		return 1;
	walk->sum += length;
	return 0;
}
static long call_message_turn(__u32 i, void *walk) { return call_message_part(i, walk); }

/* Bytes of a vector's pieces. */
__noinline __u64 call_pieces_plain(__u64 from, __u64 count)
{
	struct call_walk walk = {.from = from};

	call_loop(count, call_piece, &walk, false);
	return walk.sum;
}
__noinline __u64 call_pieces_direct(__u64 from, __u64 count)
{
	struct call_walk walk = {.from = from};

	call_loop(count, call_piece_turn, &walk, true);
	return walk.sum;
}
static __always_inline __u64 call_pieces(__u64 from, __u64 count, bool direct)
{
	return direct ? call_pieces_direct(from, count) : call_pieces_plain(from, count);
}

/* Bytes of an array of messages. */
__noinline __u64 call_message_bytes_plain(__u64 from, __u64 count)
{
	struct call_walk walk = {.from = from};

	call_loop(count, call_message_part, &walk, false);
	return walk.sum;
}
__noinline __u64 call_message_bytes_direct(__u64 from, __u64 count)
{
	struct call_walk walk = {.from = from};

	call_loop(count, call_message_turn, &walk, true);
	return walk.sum;
}

/* For the file lens, where it sees system calls: is the file a watched one? Functions of their own: what they have on the
 * stack is not added to what tells the file's name. */
static __always_inline int call_watched_by(struct iolens_call_event *e, struct file *file, bool direct)
{
	struct iolens_file_id id = {};
	struct iolens_watch *watch = watch_inode(file_read(direct, file, f_inode), &id, direct);

	if (!watch || !(watch->flags & IOLENS_WATCH_CALLS))
		return 0;
	e->flags |= IOLENS_CALL_WATCHED;
	return 1;
}
static __noinline int call_watched_plain(struct iolens_call_event *e, struct file *file)
{
	return call_watched_by(e, file, false);
}
static __noinline int call_watched_direct(struct iolens_call_event *e, struct file *file)
{
	return call_watched_by(e, file, true);
}

/* What a file is, and its name where that was not told yet. `address` is the same file as a number. */
static __always_inline void call_open_file(struct iolens_call_event *e, struct file *file, __u64 address,
					   __u64 *name_told, __u32 slot, bool direct)
{
	__u64 path = address + bpf_core_field_offset(struct file, f_path);
	struct file_facts f = {};

	if (by_watch && !(direct ? call_watched_direct(e, file) : call_watched_plain(e, file))) {
		e->file = IOLENS_FILE_OTHER;
		return;
	}
	file_look(file, &f, direct);
	e->open_id = file_hide(file_mix(address, f.id.ino));
	e->file = f.kind;
	e->ino = f.id.ino;
	e->dev = f.id.dev;
	e->generation = f.id.generation;
	if (f.kind == IOLENS_FILE_SOCKET) {
		call_socket(e, file, &f, slot);
		return;
	}
	if (f.kind == IOLENS_FILE_PIPE)
		return;
	e->name_id = f.name_id;
	if (f.kind == IOLENS_FILE_REGULAR || f.kind == IOLENS_FILE_DISK) {
		if (!(e->flags & IOLENS_CALL_HAS_OFFSET)) {
			e->offset = file_read(direct, file, f_pos);
			e->flags |= IOLENS_CALL_HAS_OFFSET;
		}
		if (file_read(direct, file, f_flags) & 02000)
			e->flags |= IOLENS_CALL_APPEND;
	}
	if (*name_told == f.name_id)
		return;
	if (file_known(&f.name_id) ||
	    file_tell(path, f.name_id, f.kind, slot) == 1)
		*name_told = f.name_id;
}

/* What the call's fd is. */
static __always_inline int call_file_by(struct iolens_call_event *e, __u64 *name_told, __u32 slot, bool direct)
{
	__u64 address = 0;
	struct file *file = file_of_fd(file_task(direct), e->fd, direct, &address);

	if (file)
		call_open_file(e, file, address, name_told, slot, direct);
	else
		e->flags |= IOLENS_CALL_NO_FILE;
	return 0;
}

static __noinline int call_file_plain(struct iolens_call_event *e, __u64 *name_told, __u32 slot)
{
	return call_file_by(e, name_told, slot, false);
}

static __noinline int call_file_direct(struct iolens_call_event *e, __u64 *name_told, __u32 slot)
{
	return call_file_by(e, name_told, slot, true);
}

static __always_inline void call_file(struct iolens_call_event *e, __u64 *name_told, __u32 slot, bool direct)
{
	if (by_watch && watch_depth)
		watch_fd_by_folder(e->fd);
	if (direct)
		call_file_direct(e, name_told, slot);
	else
		call_file_plain(e, name_told, slot);
}

/* A file that a call of an earlier period is on: user space may have forgotten its name. Another file has the fd, perhaps. */
static __noinline int call_name_again(const struct iolens_call_event *e, __u64 address, __u32 slot)
{
	struct file *file = (struct file *)address;
	struct unix_address *unix;
	struct file_facts f = {};
	struct socket *socket;

	if (!file || !e->name_id || file_known(&e->name_id))
		return 0;
	file_look(file, &f, false);
	if (f.kind == IOLENS_FILE_SOCKET && e->family == AF_UNIX) {
		socket = BPF_CORE_READ(file, private_data);
		unix = file_unix_address((struct unix_sock *)BPF_CORE_READ(socket, sk));
		if (unix && file_hide(file_mix((__u64)unix, f.id.ino)) == e->name_id)
			file_tell_unix((__u64)unix, e->name_id, slot);
	} else if (f.name_id == e->name_id) {
		file_tell(address + bpf_core_field_offset(struct file, f_path), f.name_id, f.kind, slot);
	}
	return 0;
}

/* The files of a call of an earlier period. */
static __noinline int call_names_again(const struct call_thread *t)
{
	__u64 address = 0;

	if (file_of_fd(file_task(false), t->e.fd, false, &address))
		call_name_again(&t->e, address, FILE_SLOT_EXIT);
	if (t->two && file_of_fd(file_task(false), t->to.fd, false, &address))
		call_name_again(&t->to, address, FILE_SLOT_EXIT);
	return 0;
}

/* Sends the name and owner of a thread, of which `id` is the task_id() and `host` the kernel's own; `flags` are those of
 * enum iolens_task_flag. */
static __always_inline void call_tell_thread(__u64 id, __u64 host, __u32 flags)
{
	struct iolens_counters *n;
	struct iolens_task_fact fact = {};

	fact.h.ts = bpf_ktime_get_boot_ns();
	fact.h.kind = IOLENS_KIND_TASK;
	fact.h.size = sizeof(fact);
	fact.h.cpu = bpf_get_smp_processor_id();
	fact.tgid = id >> 32;
	fact.tid = (__u32)id;
	if (own_pidns.level) {
		fact.host_tgid = host >> 32;
		fact.host_tid = (__u32)host;
	}
	fact.uid = (__u32)bpf_get_current_uid_gid();
	fact.flags = flags;
	fact.cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(fact.comm, sizeof(fact.comm));
	if (!ring_put(&fact, sizeof(fact)) && (n = ring_counters()))
		ring_count(n, fact_lost);
}

static __always_inline void call_count_process(void)
{
	struct iolens_counters *n = ring_counters();

	if (n)
		ring_count(n, not_followed);
}

#include "operations.bpf.h"

/* What the call is given: sent at once, since a call may overwrite it, as execve does, or never return. A text on a page
 * that isn't in memory can't be read by a program that must not wait; the call itself brings it in, so that it is tried
 * again, and all is sent again, at its end. */
static __noinline int call_tell_arguments(struct call_thread *t, __u32 texts, __u32 slot)
{
	struct call_argument_room *room;
	struct iolens_counters *n;
	__u32 size, offset = 0;

	room = bpf_map_lookup_elem(&argument_rooms, &slot);
	if (!room)
		return 0;
	room->a.h.ts = bpf_ktime_get_boot_ns();
	room->a.h.kind = IOLENS_KIND_ARGUMENTS;
	room->a.h.cpu = bpf_get_smp_processor_id();
	room->a.tid = own_pidns.level ? t->e.host_tid : t->e.tid;
	room->a.call = t->e.call;
	room->a.texts = 0;
	room->a.reserved = 0;
#pragma unroll
	for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++)
		room->a.values[i] = t->values[i];
	for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++) {
		long length;
		__u64 from;

		if (!(texts >> i & 1))
			continue;
		offset &= CALL_TEXTS - 1;
		barrier_var(offset);
		from = room->a.values[i];
		if ((t->vectors >> i & 1) && bpf_probe_read_user(&from, sizeof(from), (void *)from))
			continue;
		length = bpf_probe_read_user_str(&room->text[offset], IOLENS_ARGUMENT_TEXT, (void *)from);
		if (length < 0 || length > IOLENS_ARGUMENT_TEXT)
			continue;
		if (!length) { /* older kernels count an empty text's NUL as nothing */
			room->text[offset] = 0;
			length = 1;
		}
		room->a.texts |= 1 << i;
		offset += length;
	}
	offset &= 2 * CALL_TEXTS - 1;
	barrier_var(offset);
	if (offset > CALL_TEXTS + IOLENS_ARGUMENT_TEXT)
		return 0;
	t->texts = texts & ~room->a.texts;
	*(__u64 *)&room->text[offset] = 0;
	size = (sizeof(room->a) + offset + 7) & ~7U;
	room->a.h.size = size;
	barrier_var(size);
	if (size > sizeof(*room))
		return 0;
	if (!ring_put(room, size) && (n = ring_counters()))
		ring_count(n, fact_lost);
	return 0;
}

#define CALL_NO_END (IOLENS_CALL_NO_RESULT | IOLENS_CALL_NO_DURATION)

/* Is it one of those that rows are asked for? With watched files only theirs are. */
static __always_inline bool call_counts(const struct iolens_call_event *e)
{
	return !by_watch || (e->flags & IOLENS_CALL_WATCHED);
}

/* It was counted as seen. Its end, if it has one, was at h.ts. */
static __always_inline void call_send_one(struct iolens_call_event *e)
{
	struct iolens_counters *n = ring_counters();
	bool missed;

	if (!n || !call_counts(e))
		return;
	if (e->ino == own_ino && e->dev == own_dev && own_ino) {
		ring_count(n, filtered); /* the rows on their way: to tell of them would make more of them */
		ring_count(n, own);
		return;
	}
	missed = (e->flags & CALL_NO_END) == CALL_NO_END && !(e->flags & IOLENS_CALL_PENDING);
	if (e->h.ts - e->start < keep.min_ns && !missed) {
		ring_count(n, filtered);
		return;
	}
	if (e->flags & IOLENS_CALL_PENDING) {
		/* no operation that was delivered: where the ring is full it has no row */
		ring_count(n, in_flight);
		e->h.kind = IOLENS_KIND_CALL;
		e->h.size = sizeof(*e);
		e->h.cpu = bpf_get_smp_processor_id();
		ring_put(e, sizeof(*e));
		return;
	}
	if (missed)
		ring_count(n, no_end);
	ring_send_often(n, &e->h, IOLENS_KIND_CALL, sizeof(*e));
}

/* io-monitor looks at nothing that a process does with its standard input, output and error. */
static __always_inline bool call_asked_for(struct call_thread *t, struct iolens_call_event *e)
{
	if (!leave_std || t->shape >= IOLENS_SHAPE_NEW_FD || e->fd < 0 || e->fd > 2)
		return true;
	operation_left_out();
	return false;
}

/* The end of a call: one record for each of its sides. */
static __noinline int call_send(struct call_thread *t)
{
	__s64 sides = 0;

	t->state = CALL_NONE;
	if (operations && !t->started) {
		operation_left_out();
		return 0;
	}
	if (operations && (t->ways & IOLENS_CALL_QUIET) && t->e.result >= 0)
		return 0;
	if (by_watch && t->emitted != period && ((t->e.flags | t->to.flags) & IOLENS_CALL_WATCHED)) {
		__u64 id = (__u64)t->e.tgid << 32 | t->e.tid;

		call_tell_thread(id, task_host_id(id), 0);
		t->emitted = period;
	}
	if (call_asked_for(t, &t->e)) {
		sides += call_counts(&t->e);
		call_send_one(&t->e);
	}
	if (t->two) {
		t->to.h.ts = t->e.h.ts;
		t->to.result = t->e.result;
		t->to.flags |= t->e.flags & (CALL_NO_END | IOLENS_CALL_PENDING);
		if (call_asked_for(t, &t->to)) {
			sides += call_counts(&t->to);
			call_send_one(&t->to);
		}
	}
	if (sides != t->counted) /* what is known at the end only: pipe's two ends, and with operations what it was */
		ring_count_seen(sides - (__s64)t->counted);
	return 0;
}

/* Sends a call whose end was not seen. */
static __always_inline void call_send_unended(struct call_thread *t, __u16 flag)
{
	t->e.h.ts = bpf_ktime_get_boot_ns();
	t->e.flags |= CALL_NO_END | flag;
	t->e.result = 0;
	call_send(t);
}

/* A call has begun; what of it has rows is among those seen from now on. Operations are known as such at their ends. */
static __always_inline void call_begun(struct call_thread *t)
{
	if (operations)
		return;
	t->counted = call_counts(&t->e) + (t->two && call_counts(&t->to));
	if (t->counted)
		ring_count_seen(t->counted);
}

/* Is the running thread asked for? One that has its state already is followed for good. */
static __always_inline bool call_wanted_task(__u64 id, bool known)
{
	__u32 tgid = id >> 32;
	__u8 comm[IOLENS_COMM_LEN] = {};

	if (follow && !known && !bpf_map_lookup_elem(&followed, &tgid))
		return false;
	if (row_readers_alive > 0 && bpf_map_lookup_elem(&row_readers, &tgid))
		return false;
	if (keep.by_comm)
		bpf_get_current_comm(comm, sizeof(comm));
	return keep_task(tgid, (__u32)id, comm);
}

static __always_inline void call_count(struct iolens_call_event *e, __u64 bytes)
{
	e->requested = bytes;
	e->flags |= IOLENS_CALL_HAS_REQUESTED;
}

static __always_inline void call_offset(struct iolens_call_event *e, __u64 offset)
{
	e->offset = offset;
	e->flags |= IOLENS_CALL_HAS_OFFSET;
}

#include "requests.bpf.h"

/* An offset that the caller keeps in its memory; NULL: the file's position. */
static __always_inline void call_offset_at(struct iolens_call_event *e, __u64 address)
{
	__u64 offset;

	if (address && !bpf_probe_read_user(&offset, sizeof(offset), (void *)address))
		call_offset(e, offset);
}

/* What is asked for, by the call's shape. */
static __always_inline void call_arguments(struct call_thread *t, __u32 shape,
					   bool direct)
{
	struct call_msghdr message;
	__u64 a1 = t->values[1], a2 = t->values[2], a3 = t->values[3], a4 = t->values[4];

	t->e.fd = (__s32)t->values[0];
	switch (shape) {
	case IOLENS_SHAPE_MOVE_AT:
		call_offset(&t->e, a3);
		call_count(&t->e, a2);
		break;
	case IOLENS_SHAPE_MOVE:
	case IOLENS_SHAPE_SEND:
	case IOLENS_SHAPE_RECEIVE:
		call_count(&t->e, a2);
		break;
	case IOLENS_SHAPE_VECTOR_AT:
		if (a3 != ~0ULL) /* preadv2, pwritev2: the file's position */
			call_offset(&t->e, a3);
		break;
	case IOLENS_SHAPE_MAP:
		if (a3 & 0x20) { /* MAP_ANONYMOUS: no file */
			t->e.fd = -1;
			if (!decode_all)
				t->state = CALL_NONE;
			return;
		}
		t->e.fd = (__s32)a4;
		call_offset(&t->e, t->values[5]);
		call_count(&t->e, a1);
		break;
	case IOLENS_SHAPE_ALLOCATE:
		call_offset(&t->e, a2);
		call_count(&t->e, a3);
		break;
	case IOLENS_SHAPE_CLONE3: /* struct clone_args begins with the flags */
		t->e.fd = -1;
		if (!bpf_probe_read_user(&t->e.asked, sizeof(t->e.asked), (void *)t->values[0]))
			t->e.flags |= IOLENS_CALL_HAS_ASKED;
		return;
	case IOLENS_SHAPE_RANGE:
		t->e.fd = -1;
		t->e.address = t->values[0];
		t->e.flags |= IOLENS_CALL_HAS_ADDRESS;
		call_count(&t->e, a1);
		return;
	case IOLENS_SHAPE_SENDFILE:
		t->to = t->e; /* from the second fd to the first */
		t->e.fd = (__s32)a1;
		call_offset_at(&t->e, a2);
		call_count(&t->e, a3);
		t->two = 1;
		break;
	case IOLENS_SHAPE_COPY:
		t->to = t->e;
		t->to.fd = (__s32)a2;
		call_offset_at(&t->e, a1);
		call_offset_at(&t->to, a3);
		call_count(&t->e, a4);
		t->two = 1;
		break;
	case IOLENS_SHAPE_TEE:
		t->to = t->e;
		t->to.fd = (__s32)a1;
		call_count(&t->e, a2);
		t->two = 1;
		break;
	}
	call_file(&t->e, &t->name_told, FILE_SLOT_ENTER, direct);
	if (t->two) {
		t->to.direction = IOLENS_DIR_WRITE;
		t->to.requested = t->e.requested;
		t->to.flags |= IOLENS_CALL_HAS_REQUESTED;
		call_file(&t->to, &t->name_told, FILE_SLOT_ENTER, direct);
		if (by_watch && !((t->e.flags | t->to.flags) & IOLENS_CALL_WATCHED))
			t->state = CALL_NONE;
		return;
	}
	if (by_watch && !(t->e.flags & IOLENS_CALL_WATCHED)) {
		t->state = CALL_NONE;
		return;
	}
	if (operations && (t->ways & IOLENS_CALL_HTTP) && t->e.file == IOLENS_FILE_SOCKET) {
		t->buffer = a1;
		t->buffer_length = ~0ULL; /* the result says how much */
	}
	switch (shape) {
	case IOLENS_SHAPE_CONNECT: call_named_peer(&t->e, (void *)a1); return;
	case IOLENS_SHAPE_BIND: call_named_local(&t->e, (void *)a1); return;
	case IOLENS_SHAPE_SEND: call_named_peer(&t->e, (void *)a4); return;
	case IOLENS_SHAPE_RECEIVE: t->pointer = a4; return;
	case IOLENS_SHAPE_MESSAGES: t->pointer = a1; return;
	case IOLENS_SHAPE_MESSAGE:
		if (bpf_probe_read_user(&message, sizeof(message), (void *)a1))
			return;
		if (t->e.direction == IOLENS_DIR_WRITE)
			call_named_peer(&t->e, (void *)message.name);
		else
			t->pointer = message.name;
		a1 = message.iov;
		a2 = message.iov_count;
		break;
	case IOLENS_SHAPE_VECTOR:
	case IOLENS_SHAPE_VECTOR_AT: break;
	default: return;
	}
	if (operations && t->buffer) {
		struct call_iovec first = {};

		bpf_probe_read_user(&first, sizeof(first), (void *)a1);
		t->buffer = first.base;
		t->buffer_length = first.length;
	}
	call_count(&t->e, call_pieces(a1, a2, direct));
}

/* What only the end tells. */
static __always_inline void call_results(struct call_thread *t, __u64 id, __s64 result, bool direct)
{
	__s32 fds[2];

	switch (t->shape) {
	case IOLENS_SHAPE_NEW_FD:
		t->e.fd = (__s32)result;
		call_file(&t->e, &t->name_told, FILE_SLOT_EXIT, direct);
		break;
	case IOLENS_SHAPE_PAIR:
	case IOLENS_SHAPE_PAIR_FIRST: /* a row for each end */
		if (bpf_probe_read_user(fds, sizeof(fds), (void *)t->pointer))
			break;
		t->to = t->e;
		t->two = 1;
		t->e.fd = fds[0];
		t->to.fd = fds[1];
		call_file(&t->e, &t->name_told, FILE_SLOT_EXIT, direct);
		call_file(&t->to, &t->name_told, FILE_SLOT_EXIT, direct);
		break;
	case IOLENS_SHAPE_MAP:
		t->e.address = result;
		t->e.flags |= IOLENS_CALL_HAS_ADDRESS;
		break;
	case IOLENS_SHAPE_IO_GET: request_aio_got(t->pointer, result, id, direct); break;
	case IOLENS_SHAPE_IO_DESTROY: request_aio_destroyed(t->values[0]); break;
	case IOLENS_SHAPE_RECEIVE:
	case IOLENS_SHAPE_MESSAGE: call_named_peer(&t->e, (void *)t->pointer); break;
	case IOLENS_SHAPE_MESSAGES:
		t->e.result = direct ? call_message_bytes_direct(t->pointer, result) :
				       call_message_bytes_plain(t->pointer, result);
		break;
	}
}

/* The arguments are in `regs` at a BTF tracepoint, in `given` at perf's. */
static __always_inline int call_enter(__u64 nr, struct pt_regs *regs, const __u64 *given, bool direct)
{
	__u64 id;
	struct iolens_call_info info;
	struct task_struct *task;
	struct call_thread *t;
	__u32 tid;
	struct iolens_counters *n;
	bool again, other_abi;

	other_abi = compat_is_x32(nr);
	if (other_abi)
		nr = compat_x32_number(nr);
	if (nr >= IOLENS_CALLS)
		return 0;
	info.shape = calls[nr].shape;
	if (!info.shape)
		return 0;
	info.id = calls[nr].id;
	info.direction = calls[nr].direction;
	info.flags = calls[nr].flags;
	info.texts = calls[nr].texts;
	info.vectors = calls[nr].vectors;
	info.ways = calls[nr].ways;
	id = task_id();
	tid = (__u32)task_host_id(id);
	if (follow && !call_near(id >> 32))
		return 0;
	task = file_task(direct);
	t = call_thread_of(task, tid, direct);
	if (!call_wanted_task(id, t != 0))
		return 0;
	if (other_abi || compat_is_32bit(task, direct)) {
		if (info.shape != IOLENS_SHAPE_SIGRETURN && (n = ring_count_unstored()))
			ring_count(n, not_decoded);
		return 0;
	}
	if (!t) {
		if (info.shape == IOLENS_SHAPE_SIGRETURN)
			return 0;
		t = call_thread_new(task, tid, direct);
		if (!t) {
			ring_count_unstored();
			return 0;
		}
	}
	again = t->state == CALL_INTERRUPTED && t->e.call == info.id;
	if (t->state == CALL_INTERRUPTED && !again)
		call_send(t);
	else if (t->state == CALL_RUNNING) /* it returned all the same: the kernel skipped the program */
		call_send_unended(t, 0);
	if (info.shape == IOLENS_SHAPE_SIGRETURN)
		return 0;
	if (t->emitted != period) {
		t->name_told = 0;
		if (!by_watch) {
			call_tell_thread(id, task_host_id(id), 0);
			t->emitted = period;
		}
	}
	t->state = CALL_RUNNING;
	if (again)
		return 0;

#pragma unroll
	for (int i = 0; i < IOLENS_CALL_ARGUMENTS; i++)
		t->values[i] = given ? given[i] : compat_call_argument(regs, i);
	__builtin_memset(&t->e, 0, sizeof(t->e));
	t->two = 0;
	t->counted = 0;
	t->shape = info.shape;
	t->pointer = 0;
	t->e.start = bpf_ktime_get_boot_ns();
	t->e.tgid = id >> 32;
	t->e.tid = (__u32)id;
	task_put_host_ids(&t->e);
	t->e.call = info.id;
	t->e.direction = info.direction;
	t->e.fd = -1;
	if (operations) {
		t->started = operation_started(task_host_id(id) >> 32);
		t->ways = info.ways;
		t->buffer = 0;
	}
	if (decode_all || (operations && (info.ways & IOLENS_CALL_TELL))) {
		t->all_texts = info.texts;
		t->vectors = info.vectors;
		t->texts = info.texts;
		if (!operations || t->started)
			call_tell_arguments(t, info.texts, FILE_SLOT_ENTER);
	}
	if (info.flags) {
		t->e.asked = t->values[(info.flags - 1) & 7];
		t->e.flags |= IOLENS_CALL_HAS_ASKED;
	}
	if (info.shape < IOLENS_SHAPE_NEW_FD)
		call_arguments(t, info.shape, direct);
	else if (info.shape == IOLENS_SHAPE_PAIR)
		t->pointer = t->values[3];
	else if (info.shape == IOLENS_SHAPE_PAIR_FIRST)
		t->pointer = t->values[0];
	else if (info.shape == IOLENS_SHAPE_IO_GET)
		t->pointer = t->values[3];
	else if (info.shape == IOLENS_SHAPE_IO_SUBMIT) {
		t->pointer = t->values[2];
		call_count(&t->e, t->values[1]); /* requests */
		request_aio_submit(t->values[0], t->pointer, t->e.requested, id, direct);
	}
	if (t->state == CALL_RUNNING)
		call_begun(t);
	return 0;
}

static __always_inline int call_enter_btf(__u64 *ctx, bool direct)
{
	return call_enter(ctx[1], (struct pt_regs *)ctx[0], 0, direct);
}

PROGRAM("sys_enter", iolens_call_enter, call_enter_btf(ctx, false))

PROGRAM("sys_enter", iolens_call_enter_direct, call_enter_btf(ctx, true))

/*
 * Kernels that run tracepoints with preemption on (7.0) skip a BTF tracepoint's program for every task that
 * comes to a processor before one that was preempted inside it goes on: some milliseconds of calls. perf's tracepoints
 * disable preemption, and cost some 80 ns a call more. The same programs for them.
 */
static __always_inline int call_enter_perf(struct compat_sys_enter *ctx, bool direct)
{
	return call_enter(ctx->id, 0, ctx->args, direct);
}

SEC("tp/raw_syscalls/sys_enter")
int iolens_perf_enter(struct compat_sys_enter *ctx)
{
	return call_enter_perf(ctx, false);
}

SEC("tp/raw_syscalls/sys_enter")
int iolens_perf_enter_direct(struct compat_sys_enter *ctx)
{
	return call_enter_perf(ctx, true);
}

/* A call returns whose start was not seen: it began before tracing, the kernel skipped a program, or seccomp denied it, whose
 * calls pass no sys_enter. What was left out at its start looks the same: mmap without a file, and files not watched. */
static __always_inline void call_unseen(__u64 nr, __s64 result, bool known)
{
	struct iolens_counters *n;
	__u16 call;
	__u8 shape;

	if (by_watch || nr >= IOLENS_CALLS)
		return;
	shape = calls[nr].shape;
	call = calls[nr].id;
	if (!result && ((call >= CALL_CLONE && call <= CALL_VFORK) || call == CALL_CLONE3)) /* the child's first return */
		return;
	if (!shape || shape == IOLENS_SHAPE_SIGRETURN || shape == IOLENS_SHAPE_MAP || !call_wanted_task(task_id(), known))
		return;
	n = ring_counters();
	if (n)
		ring_count(n, orphan);
}

/* Is this the number of the thread's call? arm64 forgets it in an execve that succeeds (forget_syscall()). */
static __always_inline bool call_is(const struct call_thread *t, __u64 nr)
{
	if (t->e.call == CALL_EXECVE || t->e.call == CALL_EXECVEAT)
		return true;
	return nr < IOLENS_CALLS && calls[nr].shape && calls[nr].id == t->e.call;
}

static __always_inline int call_exit(struct pt_regs *regs, __u64 nr, __s64 result, bool direct)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct call_thread *t;

	if (!own_pidns.level && follow && !call_near(id >> 32))
		return 0;
	t = call_thread_of(file_task(direct), (__u32)id, direct);
	if (regs)
		nr = compat_call_number(regs);
	if (t && t->state == CALL_RUNNING && !call_is(t, nr)) /* the kernel skipped the program at that call's end */
		call_send_unended(t, 0);
	if (!t || t->state == CALL_NONE)
		call_unseen(nr, result, t);
	if (!t || t->state != CALL_RUNNING)
		return 0;
	if (own_pidns.level) /* known since the call's start */
		id = (__u64)t->e.tgid << 32 | t->e.tid;
	t->e.h.ts = bpf_ktime_get_boot_ns();
	/* ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK: the kernel's own. Either the same call is
	 * entered again, or a signal's handler runs and the program is told EINTR. */
	if (result >= -516 && result <= -512 && result != -515) {
		t->e.result = -4; /* EINTR */
		t->state = CALL_INTERRUPTED;
		return 0;
	}
	t->e.result = result;
	if (operations && operation_paused() && !t->started) {
		t->started = operation_counts(task_host_id(id) >> 32, t->ways & IOLENS_CALL_QUIET ? 0 : t->e.h.ts - t->e.start,
					      t->ways & IOLENS_CALL_OPENS ? t->values[t->all_texts == 1 ? 0 : 1] : 0,
					      FILE_SLOT_EXIT);
		if (t->started && (t->ways & IOLENS_CALL_TELL)) /* nothing was told before */
			call_tell_arguments(t, t->all_texts, FILE_SLOT_EXIT);
	} else if ((decode_all || (operations && (t->ways & IOLENS_CALL_TELL))) && t->texts &&
		   t->e.call != CALL_EXECVE && t->e.call != CALL_EXECVEAT) {
		call_tell_arguments(t, t->all_texts, FILE_SLOT_EXIT);
	}
	if (t->shape == IOLENS_SHAPE_IO_SUBMIT && result < (__s64)t->e.requested)
		request_aio_refused(t->pointer, result < 0 ? 0 : result, t->e.requested, id, direct);
	if (result >= 0)
		call_results(t, id, result, direct);
	if (operations && result > 0 && t->buffer && t->started)
		operation_http(t, id, (__u64)result < t->buffer_length ? result : t->buffer_length);
	if (t->emitted && t->emitted != period)
		call_names_again(t);
	call_send(t);
	return 0;
}

PROGRAM("sys_exit", iolens_call_exit, call_exit((struct pt_regs *)ctx[0], 0, ctx[1], false))

PROGRAM("sys_exit", iolens_call_exit_direct, call_exit((struct pt_regs *)ctx[0], 0, ctx[1], true))

SEC("tp/raw_syscalls/sys_exit")
int iolens_perf_exit(struct compat_sys_exit *ctx)
{
	return call_exit(0, ctx->id, ctx->result, false);
}

SEC("tp/raw_syscalls/sys_exit")
int iolens_perf_exit_direct(struct compat_sys_exit *ctx)
{
	return call_exit(0, ctx->id, ctx->result, true);
}

static __always_inline int call_rename(__u64 *ctx, bool direct)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct call_thread *t = call_thread_of(task, file_read(direct, task, pid), direct);

	if (t)
		t->emitted = 0;
	return 0;
}

PROGRAM("task_rename", iolens_call_rename, call_rename(ctx, false))

PROGRAM("task_rename", iolens_call_rename_direct, call_rename(ctx, true))

static __always_inline int call_fork(__u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0], *child = (struct task_struct *)ctx[1];
	__u32 host_from = BPF_CORE_READ(parent, tgid), host_to = BPF_CORE_READ(child, tgid), from, to;
	__u64 *reads, pipe;
	__u8 one = 1;

	if (host_from == host_to)
		return 0;
	from = task_tgid(bpf_get_current_task(), host_from);
	if (follow && (!call_near(from) || !bpf_map_lookup_elem(&followed, &from)))
		return 0;
	to = task_tgid(compat_number(&ctx[1]), host_to);
	/* one that reads from no pipe is a socket's client: what it starts is none by that */
	if (row_readers_alive > 0 && (reads = bpf_map_lookup_elem(&row_readers, &from)) && *reads) {
		pipe = *reads;
		if (bpf_map_update_elem(&row_readers, &to, &pipe, BPF_NOEXIST) == 0)
			__sync_fetch_and_add(&row_readers_alive, 1);
		return 0;
	}
	if (follow) {
		int error = bpf_map_update_elem(&followed, &to, &one, BPF_NOEXIST);

		if (!error) {
			__sync_fetch_and_add(&near[to % IOLENS_CALL_NEAR], 1);
			__sync_fetch_and_add(&alive, 1);
		} else if (error != -EEXIST) { /* one whose end was skipped is followed on */
			call_count_process();
		}
	}
	if (!operations)
		return 0;
	if (operation_paused() && operation_started(host_from))
		operation_start(host_to);
	if ((tell_start || tell_cwd) && operation_started(host_to) && call_wanted_task(task_id(), true))
		operation_process(child, (__u64)to << 32 | to, from, FILE_SLOT_FORK);
	return 0;
}

PROGRAM("sched_process_fork", iolens_call_fork, call_fork(ctx))

#define CALL_LOW_FDS 64

/* Is a pipe among the first fds of the running process? A global function, which the verifier walks once. */
__noinline int call_holds_pipe(__u64 ino)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 address;

	for (__u32 fd = 0; fd < CALL_LOW_FDS; fd++) {
		struct file *file;

		asm volatile("" ::: "memory"); /* see file_tell_by() */
		file = file_of_fd(task, fd, false, &address);
		if (file && BPF_CORE_READ(file, f_inode, i_ino) == ino &&
		    BPF_CORE_READ(file, f_inode, i_sb, s_magic) == FILE_MAGIC_PIPE)
			return 1;
	}
	return 0;
}

/* A process whose parent read our rows executes a program: does that one read them? */
static __always_inline void call_exec_reader(__u32 tgid)
{
	__u64 *reads = bpf_map_lookup_elem(&row_readers, &tgid);

	if (!reads || (*reads && call_holds_pipe(*reads)))
		return;
	if (bpf_map_delete_elem(&row_readers, &tgid) == 0)
		__sync_fetch_and_add(&row_readers_alive, -1);
}

#include "libc.bpf.h"

static __always_inline int call_exec(__u64 *ctx, bool direct)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	__u64 id = task_id(), host = task_host_id(id);
	__u32 tid = (__u32)host, old = (__u32)ctx[1];
	struct call_thread *t;

	if (row_readers_alive > 0)
		call_exec_reader(id >> 32);
	/* a thread that isn't its process's first takes over the first one's id, and its execve goes on under that */
	if (!direct && old != tid) {
		t = bpf_map_lookup_elem(&threads, &old);
		if (t && bpf_map_update_elem(&threads, &tid, t, BPF_ANY) != 0)
			call_send_unended(t, 0);
		bpf_map_delete_elem(&threads, &old);
	}
	t = call_thread_of(file_task(direct), tid, direct);
	if (t)
		t->emitted = 0;
	if (libc_wanted) /* A signal handler executed a program: the interrupted function never ends, and the stack is new. */
		bpf_map_delete_elem(&libc_calls, &old);
	if (requests_wanted)
		request_exec();
	if (operations && (!follow || call_near(id >> 32)) && call_wanted_task(id, false)) {
		__u32 tgid = host >> 32;

		if (operation_paused()) /* another program: it has to begin by itself */
			bpf_map_delete_elem(&started, &tgid);
		else if (tell_start || tell_cwd)
			operation_process(task, id,
					  task_tgid((__u64)BPF_CORE_READ(task, real_parent),
						    BPF_CORE_READ(task, real_parent, tgid)),
					  FILE_SLOT_EXEC);
	}
	return 0;
}

PROGRAM("sched_process_exec", iolens_call_exec, call_exec(ctx, false))

PROGRAM("sched_process_exec", iolens_call_exec_direct, call_exec(ctx, true))

/* Tracing has ended: is the thread's call not over? */
static __always_inline void call_pending(struct call_thread *t)
{
	if (t->state == CALL_NONE || (operations && (!t->started || (t->ways & IOLENS_CALL_QUIET))))
		return;
	call_send_unended(t, IOLENS_CALL_PENDING);
}

/* Not attached to anything that happens: user space reads it, and so runs it for each thread. */
SEC("iter/task")
int iolens_pending_direct(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct call_thread *t = task ? bpf_task_storage_get(&thread_storage, task, 0, 0) : 0;

	if (t)
		call_pending(t);
	return 0;
}

/* The same for the plain programs, run (BPF_PROG_TEST_RUN) for each entry. */
SEC("raw_tp/sys_enter")
int iolens_pending(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tid = ctx->args[0];
	struct call_thread *t = bpf_map_lookup_elem(&threads, &tid);

	if (t)
		call_pending(t);
	return 0;
}

static __always_inline int call_end(__u64 *ctx, bool direct)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	__u32 tid = file_read(direct, task, pid), tgid = file_read(direct, task, tgid);
	__u64 host = (__u64)tgid << 32 | tid, id = own_pidns.level ? task_id() : host;
	struct call_thread *t = call_thread_of(task, tid, direct);
	bool last = compat_last_thread(task), known = t && t->emitted;

	if (t) {
		if (t->state == CALL_RUNNING) { /* exit and exit_group don't return */
			t->e.h.ts = bpf_ktime_get_boot_ns();
			t->e.flags |= IOLENS_CALL_NO_RESULT;
		}
		if (t->state != CALL_NONE)
			call_send(t);
		if (!direct) /* a task's storage goes with the task */
			bpf_map_delete_elem(&threads, &tid);
	}
	if (libc_wanted)
		bpf_map_delete_elem(&libc_calls, &tid); /* most have none */
	if (requests_wanted && last)
		request_exit();
	if (operations && last) {
		if (tell_stop && operation_started(tgid) && (!follow || call_near(id >> 32)) && call_wanted_task(id, false))
			operation_stop(id, host);
		if (operation_paused())
			bpf_map_delete_elem(&started, &tgid);
	}
	if (known || (requests_wanted && request_task_known(id))) /* behind all its rows */
		call_tell_thread(id, host, IOLENS_TASK_ENDED | (last ? IOLENS_TASK_PROCESS_ENDED : 0));
	if (row_readers_alive > 0 && last) {
		__u32 own = task_tgid(bpf_get_current_task(), tgid);

		if (bpf_map_delete_elem(&row_readers, &own) == 0)
			__sync_fetch_and_add(&row_readers_alive, -1);
	}
	if (follow && last) {
		tgid = task_tgid(bpf_get_current_task(), tgid);
		if (bpf_map_delete_elem(&followed, &tgid))
			return 0;
		__sync_fetch_and_add(&near[tgid % IOLENS_CALL_NEAR], -1);
		__sync_fetch_and_add(&alive, -1);
	}
	return 0;
}

PROGRAM("sched_process_exit", iolens_call_end, call_end(ctx, false))

PROGRAM("sched_process_exit", iolens_call_end_direct, call_end(ctx, true))
