/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* State of a thread's call, and the followed processes. */
#ifndef IOLENS_SYSCALL_THREAD_BPF_H
#define IOLENS_SYSCALL_THREAD_BPF_H

#include "lib/compat/base.bpf.h"

#include "iolens/compat_call.h"
#include "iolens/event/call.h"

/* their arguments are gone on success; x86-64 numbers, see src/resolve/syscall_table.h */
#define CALL_EXECVE 59
#define CALL_EXECVEAT 322
/* these also return in the child */
#define CALL_CLONE 56
#define CALL_VFORK 58 /* 57: fork */
#define CALL_CLONE3 435
#define CALL_PWRITEV2 328 /* with flags */
#define CALL_UTIMENSAT 280 /* a NULL path means the fd, without AT_EMPTY_PATH */
#define CALL_EINTR -4
#define CALL_NAME_AGAIN (~0U) /* the address of a peer could not be read at the start */
#define CALL_SPACE 16384 /* for what follows the values in an argument record, in bytes; a power of two */

enum call_state_kind {
	CALL_NONE,
	CALL_RUNNING,
	CALL_INTERRUPTED, /* returned ERESTART…: continues if the same call is entered next, or restart_syscall */
	CALL_RETURNING, /* rt_sigreturn, which has no event */
	CALL_SENT,      /* running, but its event was sent before its return */
};

struct call_thread {
	struct iolens_call_event e;
	struct iolens_call_event to; /* the other side of a call that transfers from one fd to another */
	__u64 emitted_name; /* name_id of the last file: consecutive calls are usually on the same file */
	__u64 values[8]; /* arguments of the call; six are used */
	__u64 pointer; /* user address of results: address of the sender, message lengths */
	__u32 capacity;    /* space for the address of the sender; CALL_NAME_AGAIN */
	__u32 reserved;
	__u32 state;   /* enum call_state_kind */
	__u32 emitted; /* the `period` in which the name and owner of the thread were emitted; 0: never */
	__u8 two;      /* `to` is used */
	__u8 shape;    /* enum iolens_call_shape */
	__u8 texts;    /* bit n: argument n is a string that could not be read yet */
	__u8 all_texts; /* bit n: argument n is a string */
	__u8 vectors;   /* bit n: argument n is an array of strings */
	__u8 actions;      /* enum iolens_call_action */
	__u8 started;   /* with --start-on-…: the process counts */
	__u8 counted;   /* number of its sides counted as seen */
	__u8 executed;  /* START and CHDIR of its process follow the event of this call */
	__u8 width;     /* bytes of a pointer or size_t in the caller's memory: 8 or 4 */
	__u8 compat;    /* enum iolens_compat_flag */
	__u8 sigreturn; /* the call is rt_sigreturn */
	__u8 item;      /* enum iolens_item, and its argument */
	__u8 item_place;
	__u32 number;   /* of the call, as the program gave it */
	__u32 words[8]; /* of a 32-bit call: its registers or the words in memory, see struct iolens_compat_call */
	__u64 registers[2]; /* the first two arguments as given */
	__u64 stack;    /* stack pointer of an interrupted call */
	__u64 buffer;        /* user address of data on a socket that may be HTTP */
	__u64 buffer_length; /* length of its first iovec */
	__u64 aio;           /* of libaio's calls: owner of the requests, see struct request_key */
	__u64 busy;          /* its address when it was counted in `busy_threads`; 0: it is not */
};

struct { /* for plain programs, by tid in the initial namespace */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* set before load */
	__type(key, __u32);
	__type(value, struct call_thread);
} threads SEC(".maps");

struct { /* for direct programs */
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call_thread);
} thread_storage SEC(".maps");

/* If only calls on watched files are traced: the number of threads whose state matters at their next entry or return, by an
 * address that a thread keeps, see call_thread_address(). Of any other thread no state has to be looked for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set before load, a power of two */
	__type(key, __u32);
	__type(value, __u64);
} busy_threads SEC(".maps");
const volatile __u32 busy_mask = 0; /* max_entries - 1 */

/* Interrupted calls of threads that are in a signal handler, which makes calls of its own: by tid in the initial
 * namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct call_thread);
} interrupted_calls SEC(".maps");

/* Followed processes and their later children, by ID in own_pidns; used if `follow` is set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u8);
} followed SEC(".maps");

/* Processes that read iolens's output, by ID in own_pidns: tracing what they do for a row would create more rows.
 * The value is the inode of the pipe that they read, 0: unknown. Children are included until they execute a program
 * without that pipe: in "iolens fd | while read row; do …" each command has it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u64);
} row_readers SEC(".maps");
__s64 row_readers_alive = 0; /* number of entries; 0: skip the lookup */

const volatile struct iolens_call_info syscalls[IOLENS_TABLE_CALLS] = {};
const volatile __u8 follow = 0;
/* Output file of iolens. */
const volatile __u64 own_ino = 0;
const volatile __u32 own_dev = 0;
const volatile __u8 by_watch = 0;   /* only calls on watched files */
const volatile __u8 map_facts = 0;  /* send calls that map files whatever they took: others need their file */
const volatile __u8 decode_all = 0; /* emit the arguments of all calls */

/* Counting filter: number of followed processes per low bits of the ID. It is 0 for nearly all other processes,
 * which saves the map lookup. */
__u32 followed_buckets[IOLENS_FOLLOWED_BUCKETS] = {};

/* Number of followed processes alive. Set by user space, which stops when it reaches 0. */
__s64 alive = 0;

static const struct call_thread call_nothing = {};

struct call_argument_scratch {
	struct iolens_arguments a;
	__u8 text[CALL_SPACE + 8];
	/* for bpf/syscall/items.bpf.h */
	__u64 offset; /* of the end, in `text` */
	__u64 from;
	__u64 count;
	__u32 capacity;
	__u32 read;  /* bit n: argument n could be read */
	__u32 array; /* number of the argument that is an array of strings */
	__u8 reads, back;
	__u8 width, compat; /* as in struct call_thread */
};
struct { /* sized only if arguments are emitted; FILE_SLOT_ENTER and FILE_SLOT_EXIT */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct call_argument_scratch);
} argument_scratch_slots SEC(".maps");

static __always_inline bool call_is_exec(const struct call_thread *t)
{
	return t->e.call == CALL_EXECVE || t->e.call == CALL_EXECVEAT;
}

/* The n-th pointer or size_t in the caller's memory, of `width` bytes each. Not 0: it can't be read. */
static __always_inline long call_word(__u64 *word, __u64 address, __u64 n, __u64 width)
{
	*word = 0;
	/* the size without a branch, and in bounds that the verifier sees */
	return bpf_probe_read_user(word, 4 + (width >> 1 & 4), (void *)(address + n * width));
}

static __always_inline bool call_forks(const struct call_thread *t)
{
	return (t->e.call >= CALL_CLONE && t->e.call <= CALL_VFORK) || t->e.call == CALL_CLONE3;
}

static __always_inline bool maybe_followed(__u32 tgid)
{
	return followed_buckets[tgid % IOLENS_FOLLOWED_BUCKETS] != 0;
}

static __always_inline __u64 *call_busy_threads(__u64 address)
{
	__u32 slot = address * 0x9E3779B97F4A7C15ULL >> 32 & busy_mask;

	return bpf_map_lookup_elem(&busy_threads, &slot);
}

static __always_inline bool call_maybe_busy(__u64 address)
{
	__u64 *threads = call_busy_threads(address);

	return !threads || *threads;
}

/* The state of a thread may be used from here on. */
static __always_inline void call_busy(struct call_thread *t, __u64 address)
{
	__u64 *threads;

	if (!by_watch || !address || t->busy || !(threads = call_busy_threads(address)))
		return;
	t->busy = address;
	__sync_fetch_and_add(threads, 1);
}

/* It is not used any more. */
static __always_inline void call_idle(struct call_thread *t)
{
	__u64 *threads;

	if (!by_watch || !t->busy || !(threads = call_busy_threads(t->busy)))
		return;
	t->busy = 0;
	__sync_fetch_and_add(threads, -1);
}

/* State of a thread, or NULL. `task` and `tid` identify the same thread. */
static __always_inline struct call_thread *call_thread_of(struct task_struct *task, __u32 tid, bool direct)
{
	if (direct)
		return bpf_task_storage_get(&thread_storage, task, 0, 0);
	return bpf_map_lookup_elem(&threads, &tid);
}

/* Creates the state of a thread; NULL if there is no space. */
static __always_inline struct call_thread *call_thread_new(struct task_struct *task, __u32 tid, bool direct)
{
	if (direct)
		return bpf_task_storage_get(&thread_storage, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	bpf_map_update_elem(&threads, &tid, &call_nothing, BPF_ANY);
	return bpf_map_lookup_elem(&threads, &tid);
}

#endif
