/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments and results of a call. */
#ifndef IOLENS_SYSCALL_ARGUMENTS_BPF_H
#define IOLENS_SYSCALL_ARGUMENTS_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "syscall/aio.bpf.h"
#include "syscall/file.bpf.h"
#include "syscall/operations.bpf.h"
#include "syscall/range.bpf.h"
#include "syscall/send.bpf.h"
#include "syscall/socket.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/file.h"

/* An offset in the caller's memory, of `width` bytes; NULL: the file position. */
static __always_inline void call_offset_at(struct iolens_call_event *e, __u64 address, __u64 width)
{
	__u64 offset;

	if (address && !call_word(&offset, address, 0, width))
		call_offset(e, width == 8 ? offset : (__u64)(__s32)offset);
}

/* What is mapped at an address. */
struct call_mapped {
	__u64 file;
	__u64 offset; /* in the file, of the address */
	__u64 address;
};

static long call_mapped_at(struct task_struct *task, struct vm_area_struct *vma, void *context)
{
	struct call_mapped *mapped = context;

	(void)task;
	mapped->file = (__u64)BPF_CORE_READ(vma, vm_file);
	mapped->offset = (BPF_CORE_READ(vma, vm_pgoff) << page_shift) + mapped->address - BPF_CORE_READ(vma, vm_start);
	return 0;
}

/* The file that is mapped at the address of the call, with bpf_find_vma (5.17, 7c7e3d31e785): also of a mapping that
 * was made before tracing. It fails if another thread changes mappings right now. */
static __noinline int call_mapped_file(struct iolens_call_event *e, __u64 *emitted_name)
{
	struct call_mapped mapped = {.address = e->address};
	struct file *file;

	if (bpf_find_vma(bpf_get_current_task_btf(), e->address, call_mapped_at, &mapped, 0) || !mapped.file)
		return 0;
	file = cast_to(file, (void *)mapped.file);
	call_offset(e, mapped.offset);
	call_open_file(e, file, mapped.file, emitted_name, FILE_SLOT_ENTER, true);
	return 0;
}

/* Is the fd of an …at call the directory of a path, rather than the file itself (AT_EMPTY_PATH)? A path on a page that
 * is not in memory yet can't be read before the call has done so: `pointer` is set to look again at the return. */
static __always_inline bool call_of_directory(struct call_thread *t, __u64 path)
{
	__u8 first = 0;

	t->pointer = 0;
	if (path && bpf_probe_read_user(&first, sizeof(first), (void *)path)) {
		t->pointer = path;
		return true;
	}
	if (first)
		return true;
	if (!path && t->e.call == CALL_UTIMENSAT)
		return false;
	return !(t->e.asked & AT_EMPTY_PATH);
}

/* Decodes the arguments, according to the shape of the call. */
static __always_inline void call_arguments(struct call_thread *t, __u32 shape,
					   bool direct)
{
	struct call_msghdr message = {};
	__u32 name_length = 0, how = FILE_SLOT_ENTER;
	__u64 name = 0;
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
		if (a3 != ~0ULL) /* preadv2, pwritev2: the file position */
			call_offset(&t->e, a3);
		if (t->e.call == CALL_PWRITEV2 && (t->values[5] & RWF_APPEND))
			t->e.flags |= IOLENS_CALL_APPEND;
		break;
	case IOLENS_SHAPE_EXTENT:
		call_offset(&t->e, a1);
		call_count(&t->e, a2);
		break;
	case IOLENS_SHAPE_AT:
		if (call_of_directory(t, a1)) {
			t->e.fd = -1;
			return;
		}
		break;
	case IOLENS_SHAPE_MAP:
		if (a3 & MAP_ANONYMOUS) { /* no file */
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
		if (by_watch)
			range_begin(t);
		else if (direct)
			call_mapped_file(&t->e, &t->emitted_name);
		return;
	case IOLENS_SHAPE_SENDFILE:
		t->to = t->e; /* from the second fd to the first */
		t->e.fd = (__s32)a1;
		call_offset_at(&t->e, a2, t->compat & IOLENS_COMPAT_OFFSET ? 4 : 8);
		call_count(&t->e, a3);
		t->two = 1;
		break;
	case IOLENS_SHAPE_COPY:
		t->to = t->e;
		t->to.fd = (__s32)a2;
		call_offset_at(&t->e, a1, 8);
		call_offset_at(&t->to, a3, 8);
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
	call_file(&t->e, &t->emitted_name, FILE_SLOT_ENTER, direct);
	if (t->e.call == CALL_PWRITEV2 && (t->values[5] & RWF_NOAPPEND) && (t->e.flags & IOLENS_CALL_APPEND)) {
		t->e.flags &= ~IOLENS_CALL_APPEND;
		if (a3 != ~0ULL)
			call_offset(&t->e, a3);
	}
	if (t->two) {
		t->to.direction = IOLENS_DIR_WRITE;
		t->to.requested = t->e.requested;
		t->to.flags |= IOLENS_CALL_HAS_REQUESTED;
		call_file(&t->to, &t->emitted_name, FILE_SLOT_ENTER, direct);
		if (by_watch && !((t->e.flags | t->to.flags) & IOLENS_CALL_WATCHED))
			t->state = CALL_NONE;
		return;
	}
	if (by_watch && !(t->e.flags & IOLENS_CALL_WATCHED)) {
		t->state = CALL_NONE;
		return;
	}
	if (operations && (t->actions & IOLENS_CALL_HTTP) && t->e.file == IOLENS_FILE_SOCKET) {
		t->buffer = a1;
		t->buffer_length = ~0ULL; /* limited by the result */
	}
	switch (shape) {
	case IOLENS_SHAPE_BIND: how |= CALL_NAMED_LOCAL; /* fall through */
	case IOLENS_SHAPE_CONNECT:
		name = a1;
		name_length = a2;
		break;
	case IOLENS_SHAPE_SEND:
		name = a4;
		name_length = t->values[5];
		break;
	case IOLENS_SHAPE_RECEIVE:
		t->pointer = a4;
		if (a4)
			bpf_probe_read_user(&t->capacity, sizeof(t->capacity), (void *)t->values[5]);
		return;
	case IOLENS_SHAPE_MESSAGES: /* the address of the first one */
	case IOLENS_SHAPE_MESSAGE:
		t->pointer = a1;
		if (!call_message(&message, a1, t->width)) {
			t->capacity = CALL_NAME_AGAIN;
			return;
		}
		if (t->e.direction == IOLENS_DIR_WRITE) {
			name = message.name;
			name_length = message.name_length;
		} else {
			t->capacity = message.name_length;
		}
		a1 = message.iov;
		a2 = message.iov_count;
		break;
	case IOLENS_SHAPE_VECTOR:
	case IOLENS_SHAPE_VECTOR_AT: break;
	default: return;
	}
	if (name && call_named(&t->e, name, name_length, how) < 0)
		t->capacity = CALL_NAME_AGAIN;
	if (shape != IOLENS_SHAPE_MESSAGE && shape != IOLENS_SHAPE_VECTOR && shape != IOLENS_SHAPE_VECTOR_AT)
		return;
	if (operations && t->buffer) {
		call_word(&t->buffer, a1, 0, t->width);
		call_word(&t->buffer_length, a1, 1, t->width);
	}
	call_count(&t->e, call_pieces(a1, a2, t->width, direct));
}

/* The address of a peer at the return: the sender's, or one that could not be read at the start. */
static __always_inline void call_named_at_return(struct call_thread *t, __s64 result)
{
	bool again = t->capacity == CALL_NAME_AGAIN, reads = t->e.direction == IOLENS_DIR_READ;
	__u32 length = 0, how = FILE_SLOT_EXIT;
	struct call_msghdr message;
	__u64 name = 0;

	switch (t->shape) {
	case IOLENS_SHAPE_BIND: how |= CALL_NAMED_LOCAL; /* fall through */
	case IOLENS_SHAPE_CONNECT:
		name = t->values[1];
		length = t->values[2];
		break;
	case IOLENS_SHAPE_SEND:
		name = t->values[4];
		length = t->values[5];
		break;
	case IOLENS_SHAPE_RECEIVE:
		name = t->pointer;
		if (name && bpf_probe_read_user(&length, sizeof(length), (void *)t->values[5]))
			return;
		break;
	case IOLENS_SHAPE_MESSAGE:
	case IOLENS_SHAPE_MESSAGES:
		if (!call_message(&message, t->pointer, t->width))
			return;
		name = message.name;
		length = message.name_length;
		break;
	default: return;
	}
	if (reads && length > t->capacity) /* only what fits is written */
		length = t->capacity;
	if (name && (again || (reads && result >= 0)))
		call_named(&t->e, name, length, how);
}

/* Looks again at a path that could not be read at the start. */
static __always_inline void call_path_again(struct call_thread *t, bool direct)
{
	/* execveat: the memory is another program's */
	if (t->shape != IOLENS_SHAPE_AT || !t->pointer || t->e.call == CALL_EXECVEAT ||
	    call_of_directory(t, t->pointer))
		return;
	t->e.fd = (__s32)t->values[0];
	call_file(&t->e, &t->emitted_name, FILE_SLOT_EXIT, direct);
}

/* Decodes what is known only at the return. */
static __always_inline void call_results(struct call_thread *t, __s64 result, bool direct)
{
	__s32 fds[2];

	switch (t->shape) {
	case IOLENS_SHAPE_FD:
		if (t->compat & IOLENS_COMPAT_RESULT)
			bpf_probe_read_user(&t->e.result, sizeof(t->e.result), (void *)(__u64)t->words[3]);
		break;
	case IOLENS_SHAPE_NEW_FD:
		t->e.fd = (__s32)result;
		call_file(&t->e, &t->emitted_name, FILE_SLOT_EXIT, direct);
		break;
	case IOLENS_SHAPE_PAIR:
	case IOLENS_SHAPE_PAIR_FIRST: /* an event for each end */
		if (bpf_probe_read_user(fds, sizeof(fds), (void *)t->pointer))
			break;
		t->to = t->e;
		t->two = 1;
		t->e.fd = fds[0];
		t->to.fd = fds[1];
		call_file(&t->e, &t->emitted_name, FILE_SLOT_EXIT, direct);
		call_file(&t->to, &t->emitted_name, FILE_SLOT_EXIT, direct);
		break;
	case IOLENS_SHAPE_MAP:
		t->e.address = result;
		t->e.flags |= IOLENS_CALL_HAS_ADDRESS;
		break;
	case IOLENS_SHAPE_IO_GET: request_aio_got(t, result, direct); break;
	case IOLENS_SHAPE_IO_DESTROY: request_aio_destroyed(t->aio); break;
	case IOLENS_SHAPE_MESSAGES:
		t->e.messages = result;
		t->e.result = direct ? call_message_bytes_direct(t->pointer, result, t->width) :
				       call_message_bytes_plain(t->pointer, result, t->width);
		break;
	}
}

#endif
