/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of a call. */
#ifndef IOLENS_SYSCALL_FILE_BPF_H
#define IOLENS_SYSCALL_FILE_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/fs.bpf.h"
#include "lib/file.bpf.h"
#include "lib/unix.bpf.h"
#include "lib/watch.bpf.h"
#include "syscall/socket.bpf.h"
#include "syscall/thread.bpf.h"

#include "iolens/event/call.h"
#include "iolens/event/file.h"
#include "iolens/watch.h"

/* For the file lens when it traces system calls: is the file watched? Separate functions, so that their stack is not
 * added to that of file_emit(). */
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

static __always_inline __u64 call_file_size(struct file *file, bool direct)
{
	struct inode *inode = file_read(direct, file, f_inode);

	return file_read(direct, inode, i_size);
}

/*
 * The offset of an append that has succeeded: the kernel takes the size of the file when it has locked it, and
 * reports it nowhere. `e->offset` is the size at the start of the call. The end of the data is the file position, or
 * the size for calls that leave the position alone (pwrite). If its start is the size at the start of the call, no
 * other write came between. Otherwise the position is the end of this write only if nobody else can have moved it: the
 * file is open once, in a process with one thread. If that can't be told, there is no offset.
 */
static __noinline int call_appended(struct iolens_call_event *e, __u32 by_position)
{
	__u64 address = 0, end;
	struct task_struct *task = file_task(false);
	struct file *file = file_of_fd(task, e->fd, false, &address);

	if (!file || e->result <= 0 || file_hide(file_mix(address, BPF_CORE_READ(file, f_inode, i_ino))) != e->open_id)
		return 0;
	end = by_position ? BPF_CORE_READ(file, f_pos) : call_file_size(file, false);
	if (end - e->result != e->offset && !(by_position && compat_only_user(task, file)))
		return 0;
	e->offset = end - e->result;
	e->flags |= IOLENS_CALL_HAS_OFFSET;
	return 0;
}

/* Identity and kind of a file; emits its name if needed. `address` is the same file as a number. */
static __always_inline void call_open_file(struct iolens_call_event *e, struct file *file, __u64 address,
					   __u64 *emitted_name, __u32 slot, bool direct)
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
		if (file_read(direct, file, f_flags) & O_APPEND)
			e->flags |= IOLENS_CALL_APPEND;
		if ((e->flags & IOLENS_CALL_APPEND) && e->direction == IOLENS_DIR_WRITE) {
			/* the size for now; call_appended() replaces it by the offset */
			e->offset = call_file_size(file, direct);
			e->flags &= ~IOLENS_CALL_HAS_OFFSET;
		} else if (!(e->flags & IOLENS_CALL_HAS_OFFSET)) {
			e->offset = file_read(direct, file, f_pos);
			e->flags |= IOLENS_CALL_HAS_OFFSET;
		}
	}
	if (*emitted_name == f.name_id)
		return;
	if (file_known(&f.name_id) ||
	    file_emit(path, f.name_id, f.kind, slot) == 1)
		*emitted_name = f.name_id;
}

/* Looks up the fd of the call. */
static __always_inline int call_file_by(struct iolens_call_event *e, __u64 *emitted_name, __u32 slot, bool direct)
{
	__u64 address = 0;
	struct file *file = file_of_fd(file_task(direct), e->fd, direct, &address);

	if (file)
		call_open_file(e, file, address, emitted_name, slot, direct);
	else
		e->flags |= IOLENS_CALL_NO_FILE;
	return 0;
}

__noinline int call_file_plain(struct iolens_call_event *e, __u64 *emitted_name, __u32 slot)
{
	return e && emitted_name ? call_file_by(e, emitted_name, slot, false) : 0;
}

__noinline int call_file_direct(struct iolens_call_event *e, __u64 *emitted_name, __u32 slot)
{
	return e && emitted_name ? call_file_by(e, emitted_name, slot, true) : 0;
}

static __always_inline void call_file(struct iolens_call_event *e, __u64 *emitted_name, __u32 slot, bool direct)
{
	if (by_watch && watch_depth) {
		__u64 dentry = watch_dentry_of_fd(e->fd);

		if (dentry)
			watch_by_directory(dentry);
	}
	if (direct)
		call_file_direct(e, emitted_name, slot);
	else
		call_file_plain(e, emitted_name, slot);
}

/* Emits the name of a file of a call from an earlier period, which user space may have evicted. The fd may be
 * another file by now. */
static __noinline int call_name_again(const struct iolens_call_event *e, __u64 address, __u32 slot)
{
	struct file *file = (struct file *)address;
	__u64 name_id = e->name_id; /* on the stack: before 6.2, a key can't be in an argument of a global function */
	struct unix_address *unix;
	struct file_facts f = {};
	struct socket *socket;

	if (!file || !name_id || file_known(&name_id))
		return 0;
	file_look(file, &f, false);
	if (f.kind == IOLENS_FILE_SOCKET && e->family == AF_UNIX) {
		socket = BPF_CORE_READ(file, private_data);
		unix = file_unix_address((struct unix_sock *)BPF_CORE_READ(socket, sk));
		if (unix && file_hide(file_mix((__u64)unix, f.id.ino)) == name_id)
			file_emit_unix((__u64)unix, name_id, slot);
	} else if (f.name_id == name_id) {
		file_emit(address + bpf_core_field_offset(struct file, f_path), f.name_id, f.kind, slot);
	}
	return 0;
}

/* Emits the names of the files of a call from an earlier period. */
__noinline int call_names_again(const struct call_thread *t)
{
	__u64 address = 0;

	if (!t)
		return 0;
	if (file_of_fd(file_task(false), t->e.fd, false, &address))
		call_name_again(&t->e, address, FILE_SLOT_EXIT);
	if (t->two && file_of_fd(file_task(false), t->to.fd, false, &address))
		call_name_again(&t->to, address, FILE_SLOT_EXIT);
	return 0;
}

#endif
