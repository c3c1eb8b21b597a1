/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A thread's call, and the processes that are followed. */
#ifndef IOLENS_SYSCALL_THREAD_BPF_H
#define IOLENS_SYSCALL_THREAD_BPF_H

#include "lib/compat/base.bpf.h"

#include "iolens/event/call.h"


/* what they are given is gone when they succeed; x86-64's numbers, see src/resolve/syscall_table.h */
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
	__u64 emitted_name; /* the last file's name_id: most calls in a row are on one file */
	__u64 values[8]; /* what the call was given: six */
	__u64 pointer; /* the caller's address of what is known only at the end: a sender's address, messages' lengths */
	__u32 state;   /* enum call_state_kind */
	__u32 emitted; /* the `period` in which the name and owner of the thread were emitted; 0: never */
	__u8 two;      /* `to` is used */
	__u8 shape;    /* enum iolens_call_shape */
	__u8 texts;    /* bit n: argument n is a text that could not be read yet */
	__u8 all_texts; /* bit n: argument n is a text */
	__u8 vectors;   /* bit n: argument n is an array of texts */
	__u8 actions;      /* enum iolens_call_action */
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

const volatile struct iolens_call_info syscalls[IOLENS_CALLS] = {};
const volatile __u8 follow = 0;
/* What iolens writes its rows to. */
const volatile __u64 own_ino = 0;
const volatile __u32 own_dev = 0;
const volatile __u8 by_watch = 0;   /* only of watched files */
const volatile __u8 decode_all = 0; /* each call's arguments are told */

/* How many followed processes have an id that ends in these bits: for nearly every other process 0, and so an answer
 * without a map's lookup. */
__u32 followed_buckets[IOLENS_FOLLOWED_BUCKETS] = {};

/* Followed processes that live. User space sets it, and ends when it is 0. */
__s64 alive = 0;

static const struct call_thread call_nothing = {};

struct call_argument_scratch {
	struct iolens_arguments a;
	__u8 text[CALL_TEXTS + IOLENS_ARGUMENT_TEXT + 8];
};
struct { /* made only where arguments are told; FILE_SLOT_ENTER and FILE_SLOT_EXIT */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct call_argument_scratch);
} argument_scratch_slots SEC(".maps");

static __always_inline bool maybe_followed(__u32 tgid)
{
	return followed_buckets[tgid % IOLENS_FOLLOWED_BUCKETS] != 0;
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

#endif
