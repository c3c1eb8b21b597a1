/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * I/O that isn't over when the call that asks for it returns: libaio's (io_submit, io_getevents) and io_uring's. Part of
 * syscall.bpf.c.
 *
 * One map, `requests`: an entry is made when a request is submitted and removed when its end is seen. libaio has no
 * tracepoint at a request's end; it is when io_getevents hands the result over.
 *
 * The end of some requests is never seen: a program may take libaio's results from the ring in its own memory, io_uring
 * has no event for IOSQE_CQE_SKIP_SUCCESS (5.17), and a program may exit, exec or destroy the context first. Such a
 * request is sent without an end: when its place is used again, or when it can no longer be in flight. For the latter
 * `request_ends` counts what ends requests, and user space searches the map then and runs iolens_request_drop.
 */

/* Where a request is put together. Programs of different slots can interrupt each other. */
enum request_slot {
	REQUEST_SLOT_AIO,
	REQUEST_SLOT_DROP,
	REQUEST_SLOT_URING, /* the last one: without io_uring there are fewer */
	REQUEST_SLOTS
};

#define REQUEST_FIXED_FILE 1 /* REQ_F_FIXED_FILE */
#define REQUEST_MORE 2       /* IORING_CQE_F_MORE: it has further ends */

struct request_key {
	__u64 owner; /* libaio: process; io_uring: the request, or on old kernels its ring */
	__u64 which; /* libaio: address of the iocb; io_uring: 0, or on old kernels user_data */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct request_key);
	__type(value, struct iolens_request);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REQUEST_SLOTS);
	__type(key, __u32);
	__type(value, struct iolens_request);
} request_rooms SEC(".maps");

/* Processes that have submitted requests and live, by request_process(): when they last called execve, 0 = never. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u64);
	__type(value, __u64);
} request_owners SEC(".maps");

/* When libaio's contexts were destroyed, by request_context(). User space looks within a tenth of a second. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u64);
	__type(value, __u64);
} request_contexts SEC(".maps");

/* Exits, execs and destroyed contexts that may leave requests behind. */
__u64 request_ends = 0;

const volatile __u8 requests_wanted = 0; /* any of the operations below is asked for */

/* What each operation is: enum iolens_request_flag, 0 = not asked for. */
const volatile __u8 aio_ops[IOLENS_AIO_OPS] = {};
const volatile __u8 uring_ops[IOLENS_URING_OPS] = {};

/* The caller's structs, the same on every 64-bit architecture. */
struct request_iocb {
	__u64 data;
	__u32 key;
	__u32 rw_flags;
	__u16 opcode;
	__s16 priority;
	__u32 fd;
	__u64 buffer;
	__u64 bytes;
	__s64 offset;
};
struct request_io_event {
	__u64 data;
	__u64 iocb;
	__s64 result;
	__s64 result2;
};

/* Tells a process from a later one with its id. */
static __always_inline __u64 request_process(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return file_mix(BPF_CORE_READ(task, group_leader, start_boottime), bpf_get_current_pid_tgid() >> 32);
}

static __always_inline __u64 request_context(__u64 process, __u64 context)
{
	return file_mix(process, context);
}

static __always_inline void request_no_entry(void)
{
	struct iolens_counters *n = ring_count_unstored();

	if (n)
		ring_count(n, requests_full);
}

static __always_inline struct iolens_request *request_new(__u32 slot, __u64 id, __u32 call, __u8 what)
{
	struct iolens_request *request = bpf_map_lookup_elem(&request_rooms, &slot);
	struct iolens_call_event *e;

	if (!request)
		return 0;
	__builtin_memset(request, 0, sizeof(*request));
	e = &request->e;
	e->start = bpf_ktime_get_boot_ns();
	e->tgid = id >> 32;
	e->tid = (__u32)id;
	task_put_host_ids(e);
	e->call = call;
	e->direction = what & (IOLENS_REQUEST_READS | IOLENS_REQUEST_WRITES);
	e->fd = -1;
	return request;
}

/* The running thread's key in files_told. */
static __always_inline __u64 request_task_key(__u64 id) { return file_mix(bpf_get_current_task(), (__u32)id); }

/* Does user space know the thread by request_tell_task()? */
static __always_inline bool request_task_known(__u64 id)
{
	__u64 task = request_task_key(id);

	return file_known(&task);
}

/* Tells the thread once; the kernel's own threads, and one that only submits, make no call that would tell it. */
__noinline int request_tell_task(__u64 id)
{
	__u64 task = request_task_key(id);

	if (file_known(&task))
		return 0;
	call_tell_thread(id, task_host_id(id), 0);
	file_sent(&task);
	return 1;
}

/* Sends a request whose end was missed. */
static __always_inline void request_send_unended(struct iolens_call_event *e)
{
	e->h.ts = bpf_ktime_get_boot_ns();
	e->flags |= CALL_NO_END;
	call_send_one(e);
}

/* Its place is used again. A global function, which the verifier walks once. */
__noinline int request_replaced(__u64 owner, __u64 which)
{
	struct request_key key = {.owner = owner, .which = which};
	struct iolens_request *old = bpf_map_lookup_elem(&requests, &key);

	if (old)
		request_send_unended(&old->e);
	return 0;
}

/* Makes sure that the end of the running process is noticed. False: there is no room for it. */
static __always_inline bool request_own(__u64 process)
{
	__u64 never = 0;
	int error;

	if (bpf_map_lookup_elem(&request_owners, &process))
		return true;
	error = bpf_map_update_elem(&request_owners, &process, &never, BPF_NOEXIST);
	return !error || error == -EEXIST;
}

static __always_inline void request_keep(struct request_key *key, struct iolens_request *request)
{
	struct iolens_call_event *e = &request->e;

	/* a registered file is known at the end only */
	if (by_watch && e->file != IOLENS_FILE_NONE && !(e->flags & IOLENS_CALL_WATCHED))
		return;
	if (by_watch)
		request_tell_task((__u64)e->tgid << 32 | e->tid);
	if (!request_own(request->process)) {
		request_no_entry();
		return;
	}
	request->counted = call_counts(e);
	if (bpf_map_update_elem(&requests, key, request, BPF_NOEXIST)) {
		request_replaced(compat_number(&key->owner), compat_number(&key->which));
		if (bpf_map_update_elem(&requests, key, request, BPF_EXIST)) {
			request_no_entry();
			return;
		}
	}
	if (request->counted)
		ring_count_seen(1);
}

static __always_inline void request_aio_begin(__u64 address, __u64 id, __u64 process, __u64 context, bool direct)
{
	struct request_key key = {.owner = task_host_id(id) >> 32, .which = address};
	struct iolens_request *request;
	struct iolens_call_event *e;
	struct request_iocb block;
	__u64 name_told = 0;
	__u8 what;

	if (bpf_probe_read_user(&block, sizeof(block), (void *)address) || block.opcode >= IOLENS_AIO_OPS)
		return;
	what = aio_ops[block.opcode];
	if (!what || (operations && !operation_started(task_host_id(id) >> 32)))
		return;
	request = request_new(REQUEST_SLOT_AIO, id, IOLENS_CALL_AIO + block.opcode, what);
	if (!request)
		return;
	request->process = process;
	request->context = context;
	e = &request->e;
	e->fd = block.fd;
	if (what & IOLENS_REQUEST_MOVES) {
		call_offset(e, block.offset);
		if (what & IOLENS_REQUEST_VECTOR)
			call_count(e, call_pieces(block.buffer, block.bytes, direct));
		else
			call_count(e, block.bytes);
	}
	call_file(e, &name_told, FILE_SLOT_ENTER, direct);
	request_keep(&key, request);
}

/* Global functions, so that the verifier walks them once where it unrolls the loop around them. */
__noinline int request_aio_begin_plain(__u64 address, __u64 id, __u64 process, __u64 context)
{
	request_aio_begin(address, id, process, context, false);
	return 0;
}
__noinline int request_aio_forget(__u64 address, __u64 id)
{
	struct request_key key = {.owner = task_host_id(id) >> 32, .which = address};
	struct iolens_request *request = bpf_map_lookup_elem(&requests, &key);

	if (request && request->counted)
		ring_count_seen(-1);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}
__noinline int request_aio_end(__u64 address, __u64 id)
{
	struct request_key key = {.owner = task_host_id(id) >> 32};
	struct request_io_event done;
	struct iolens_request *request;
	struct iolens_call_event *e;

	if (bpf_probe_read_user(&done, sizeof(done), (void *)address))
		return 0;
	key.which = done.iocb;
	request = bpf_map_lookup_elem(&requests, &key);
	if (!request)
		return 0;
	e = &request->e;
	e->h.ts = bpf_ktime_get_boot_ns();
	e->result = done.result;
	call_send_one(e);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

/* Turns of the loops over an array of struct iocb * and over one of struct io_event. */
static __always_inline long request_aio_begin_one(__u32 i, void *context, bool direct)
{
	struct call_walk *walk = context;
	__u64 address;

	if (bpf_probe_read_user(&address, sizeof(address), (__u64 *)walk->from + i))
		return 1;
	if (direct)
		request_aio_begin(address, walk->id, walk->process, walk->context, true);
	else
		request_aio_begin_plain(address, walk->id, walk->process, walk->context);
	return 0;
}
static __always_inline long request_aio_begin_each(__u32 i, void *walk) { return request_aio_begin_one(i, walk, false); }
static long request_aio_begin_turn(__u32 i, void *walk) { return request_aio_begin_one(i, walk, true); }

static __always_inline long request_aio_refused_one(__u32 i, void *context)
{
	struct call_walk *walk = context;
	__u64 address;

	if (bpf_probe_read_user(&address, sizeof(address), (__u64 *)walk->from + i))
		return 1;
	request_aio_forget(address, walk->id);
	return 0;
}
static long request_aio_refused_turn(__u32 i, void *walk) { return request_aio_refused_one(i, walk); }

static __always_inline long request_aio_got_one(__u32 i, void *context)
{
	struct call_walk *walk = context;

	request_aio_end((__u64)((struct request_io_event *)walk->from + i), walk->id);
	return 0;
}
static long request_aio_got_turn(__u32 i, void *walk) { return request_aio_got_one(i, walk); }

/* io_submit is entered: what it asks for begins. Global functions, see call_loop. */
__noinline int request_aio_submit_plain(__u64 blocks, __u64 count, __u64 id, __u64 process, __u64 context)
{
	struct call_walk walk = {.from = blocks, .id = id, .process = process, .context = context};

	call_loop(count, request_aio_begin_each, &walk, false);
	return 0;
}
__noinline int request_aio_submit_direct(__u64 blocks, __u64 count, __u64 id, __u64 process, __u64 context)
{
	struct call_walk walk = {.from = blocks, .id = id, .process = process, .context = context};

	call_loop(count, request_aio_begin_turn, &walk, true);
	return 0;
}
static __always_inline void request_aio_submit(__u64 which, __u64 blocks, __u64 count, __u64 id, bool direct)
{
	__u64 process = request_process(), context = request_context(process, which);

	if (direct)
		request_aio_submit_direct(blocks, count, id, process, context);
	else
		request_aio_submit_plain(blocks, count, id, process, context);
}

/* io_submit has ended: the requests from the one it refused on didn't begin. */
__noinline int request_aio_refused_plain(__u64 blocks, __u64 count, __u64 id)
{
	struct call_walk walk = {.from = blocks, .id = id};

	call_loop(count, request_aio_refused_one, &walk, false);
	return 0;
}
__noinline int request_aio_refused_direct(__u64 blocks, __u64 count, __u64 id)
{
	struct call_walk walk = {.from = blocks, .id = id};

	call_loop(count, request_aio_refused_turn, &walk, true);
	return 0;
}
static __always_inline void request_aio_refused(__u64 blocks, __u64 first, __u64 count, __u64 id, bool direct)
{
	blocks += first * sizeof(__u64);
	if (direct)
		request_aio_refused_direct(blocks, count - first, id);
	else
		request_aio_refused_plain(blocks, count - first, id);
}

/* io_getevents has ended: so have these. */
__noinline int request_aio_got_plain(__u64 events, __u64 count, __u64 id)
{
	struct call_walk walk = {.from = events, .id = id};

	call_loop(count, request_aio_got_one, &walk, false);
	return 0;
}
__noinline int request_aio_got_direct(__u64 events, __u64 count, __u64 id)
{
	struct call_walk walk = {.from = events, .id = id};

	call_loop(count, request_aio_got_turn, &walk, true);
	return 0;
}
static __always_inline void request_aio_got(__u64 events, __u64 count, __u64 id, bool direct)
{
	if (direct)
		request_aio_got_direct(events, count, id);
	else
		request_aio_got_plain(events, count, id);
}

/* io_destroy has ended: none of the context's requests is in flight any more, and nobody can ask how they ended. */
static __always_inline void request_aio_destroyed(__u64 which)
{
	__u64 context = request_context(request_process(), which), now = bpf_ktime_get_boot_ns();

	bpf_map_update_elem(&request_contexts, &context, &now, BPF_ANY); /* LRU: there is room */
	__sync_fetch_and_add(&request_ends, 1);
}

/* The running process has another program: the kernel has waited for all of the old one's requests, or cancelled them. */
static __always_inline void request_exec(void)
{
	__u64 process = request_process(), *since = bpf_map_lookup_elem(&request_owners, &process);

	if (!since)
		return;
	*since = bpf_ktime_get_boot_ns();
	__sync_fetch_and_add(&request_ends, 1);
}

/* The running process has ended, and so have its requests. */
static __always_inline void request_exit(void)
{
	__u64 process = request_process();

	if (!bpf_map_delete_elem(&request_owners, &process)) /* nearly all have none */
		__sync_fetch_and_add(&request_ends, 1);
}

/* Not attached: user space runs it (BPF_PROG_TEST_RUN, 5.10) for a request that can't be in flight, with the key and the
 * start, and a flag for the record. It is in the ring then, and counted. The tracepoint has as many arguments. */
SEC("raw_tp/signal_generate")
int iolens_request_drop(struct bpf_raw_tracepoint_args *ctx)
{
	struct request_key key = {.owner = ctx->args[0], .which = ctx->args[1]};
	struct iolens_request *request = bpf_map_lookup_elem(&requests, &key), *copy;
	__u32 slot = REQUEST_SLOT_DROP;

	copy = bpf_map_lookup_elem(&request_rooms, &slot);
	if (!request || !copy || request->e.start != ctx->args[2])
		return 0;
	*copy = *request;
	if (bpf_map_delete_elem(&requests, &key))
		return 0;
	if (!copy->counted && call_counts(&copy->e))
		ring_count_seen(1);
	copy->e.flags |= (__u16)ctx->args[3];
	request_send_unended(&copy->e);
	return 0;
}

/* The file of a request, which the kernel gives us and no fd. */
static __always_inline void request_file(struct iolens_call_event *e, struct file *file, __u32 slot, bool direct)
{
	__u64 address = (__u64)file, name_told = 0;

	if (by_watch && watch_depth)
		watch_by_folder((__u64)BPF_CORE_READ(file, f_path.dentry));
	if (direct)
		file = bpf_rdonly_cast(file, kernel_type_file);
	call_open_file(e, file, address, &name_told, slot, direct);
}

static __always_inline int request_uring_submit(struct io_kiocb *req, bool direct)
{
	__u64 id = task_id(), name_told = 0;
	__u8 opcode = BPF_CORE_READ(req, opcode), what;
	struct request_key key = {};
	struct iolens_request *request;
	struct iolens_call_event *e;
	struct file *file;
	bool fixed;

	if (opcode >= IOLENS_URING_OPS)
		return 0;
	what = uring_ops[opcode];
	if (!what || (follow && !call_near(id >> 32)) || !call_wanted_task(id, false))
		return 0;
	request = request_new(REQUEST_SLOT_URING, id, IOLENS_CALL_URING + opcode, what);
	if (!request)
		return 0;
	request->process = request_process();
	e = &request->e;
	if (operations && !operation_started(task_host_id(id) >> 32))
		return 0;
	if (!by_watch)
		request_tell_task(id);
	if (what & IOLENS_REQUEST_MOVES) {
		__s64 offset = compat_uring_offset(req);

		if (offset != -1) /* the file's position */
			call_offset(e, offset);
		if (!(what & IOLENS_REQUEST_VECTOR))
			call_count(e, compat_uring_length(req));
	}
	fixed = compat_uring_flags(req) & REQUEST_FIXED_FILE;
	if (!fixed && !(what & IOLENS_REQUEST_NAMES)) /* an fd there is a folder's */
		e->fd = compat_uring_fd(req);
	file = compat_uring_file(req);
	if (file)
		request_file(e, file, FILE_SLOT_SUBMIT, direct);
	else if (e->fd >= 0)
		call_file(e, &name_told, FILE_SLOT_SUBMIT, direct);
	compat_uring_key(req, &key.owner, &key.which);
	request_keep(&key, request);
	return 0;
}

PROGRAM("io_uring_submit_sqe", iolens_uring_submit_sqe, request_uring_submit(compat_uring_submitted(ctx), false))

PROGRAM("io_uring_submit_req", iolens_uring_submit_req, request_uring_submit((struct io_kiocb *)ctx[0], false))

PROGRAM("io_uring_submit_req", iolens_uring_submit_req_direct, request_uring_submit((struct io_kiocb *)ctx[0], true))

static __always_inline int request_uring_complete(__u64 *ctx, bool direct)
{
	struct compat_uring_end end = {};
	struct iolens_request *request;
	struct iolens_call_event *e;
	struct request_key key = {};
	__u64 name_told = 0;
	__u8 what;

	compat_uring_complete(ctx, &end);
	key.owner = end.owner;
	key.which = end.which;
	request = bpf_map_lookup_elem(&requests, &key);
	if (!request)
		return 0;
	e = &request->e;
	e->h.ts = bpf_ktime_get_boot_ns();
	e->result = end.result;
	what = uring_ops[(__u32)(e->call - IOLENS_CALL_URING) % IOLENS_URING_OPS];
	if (what & IOLENS_REQUEST_NEW_FD && end.result >= 0) {
		/* the fd is the submitting process's: only there can it be looked up */
		e->fd = end.result;
		if (bpf_get_current_pid_tgid() >> 32 == (own_pidns.level ? e->host_tgid : e->tgid))
			call_file(e, &name_told, FILE_SLOT_COMPLETE, direct);
	} else if (e->file == IOLENS_FILE_NONE && end.req) { /* a registered file */
		struct file *file = compat_uring_file((struct io_kiocb *)end.req);

		if (file)
			request_file(e, file, FILE_SLOT_COMPLETE, direct);
	}
	if (!request->counted && call_counts(e))
		ring_count_seen(1);
	call_send_one(e);
	if (end.flags & REQUEST_MORE) {
		e->start = e->h.ts;
		if (request->counted)
			ring_count_seen(1);
	} else {
		bpf_map_delete_elem(&requests, &key);
	}
	return 0;
}

PROGRAM("io_uring_complete", iolens_uring_complete, request_uring_complete(ctx, false))

PROGRAM("io_uring_complete", iolens_uring_complete_direct, request_uring_complete(ctx, true))
