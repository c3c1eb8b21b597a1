/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Accesses in progress, and their events. */
#ifndef IOLENS_VFS_ACCESS_BPF_H
#define IOLENS_VFS_ACCESS_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "lib/filter.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/task.bpf.h"
#include "lib/watch.bpf.h"

#include "iolens/event/file.h"
#include "iolens/event/header.h"
#include "iolens/event/loss.h"
#include "iolens/event/vfs.h"
#include "iolens/watch.h"

/* What tells one access from others under way: its kiocb, or thread and file. */
struct vfs_key {
	__u64 what;
	__u64 thread;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* set before load */
	__type(key, struct vfs_key);
	__type(value, struct iolens_vfs_event);
} accesses SEC(".maps");

/* A kretprobe has no access to the arguments: keys of accesses by thread and stack pointer. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct vfs_key);
	__type(value, struct vfs_key);
} frames SEC(".maps");

/* By bio. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* set before load */
	__type(key, __u64);
	__type(value, struct iolens_vfs_event);
} bios SEC(".maps");

/* Number of entries in `bios`; 0: skip the lookup. */
__s64 bios_open = 0;

const volatile __u32 levels = 3; /* bit (1 << enum iolens_vfs_level): selected */

/* Is the file watched here? Its accesses may be traced as system calls instead. */
static __always_inline bool vfs_watched(struct file *file, struct iolens_file_id *id, bool direct)
{
	struct iolens_watch *watch = watch_file(file, id, direct);

	return watch && !(watch->flags & IOLENS_WATCH_CALLS);
}

static __always_inline bool vfs_asked_for(__u8 op)
{
	return !filter.ops || (filter.ops >> op & 1);
}

static __always_inline void vfs_count_filtered(void)
{
	struct iolens_counters *n = ring_counters();

	if (!n)
		return;
	ring_count(n, seen);
	ring_count(n, filtered);
}

/* The end of an access or bio already counted as seen: sends its event, or counts why not. */
static __always_inline void vfs_send(struct iolens_vfs_event *e)
{
	struct iolens_counters *n = ring_counters();

	if (!n)
		return;
	e->flags &= IOLENS_VFS_EMITTED;
	if (!(e->flags & IOLENS_VFS_NO_END) && e->h.ts - e->start < filter.min_ns) {
		ring_count(n, filtered);
		return;
	}
	if (e->flags & IOLENS_VFS_MISSED)
		ring_count(n, no_end);
	ring_send_often(n, &e->h, IOLENS_KIND_VFS, sizeof(*e));
}

/* Fills in the running task. Returns false if the filters exclude it. */
static __always_inline bool vfs_task(struct iolens_vfs_event *e)
{
	__u64 id = task_id();

	e->tgid = id >> 32;
	e->tid = (__u32)id;
	task_put_host_ids(e);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->cgroup_id = bpf_get_current_cgroup_id();
	return filter_task(e->tgid, e->tid, e->comm);
}

/* Name of an open file, emitted if needed. `file` is a number: file_emit() takes no typed pointer. */
static __always_inline __u64 vfs_name(__u64 file, __u32 slot)
{
	struct file_facts f = {};

	file_look((struct file *)file, &f, false);
	if (!file_known(&f.name_id))
		file_emit(file + bpf_core_field_offset(struct file, f_path), f.name_id, f.kind, slot);
	return f.name_id;
}

/* Emits an access that was not seen to complete. */
static __always_inline void vfs_send_unended(struct iolens_vfs_event *e)
{
	if (!(e->flags & IOLENS_VFS_ENDED)) {
		e->h.ts = bpf_ktime_get_boot_ns();
		e->flags |= IOLENS_VFS_NO_END | IOLENS_VFS_MISSED;
	}
	vfs_send(e);
}

/* Inserts a new access. Emits and replaces an old one that was not seen to complete. Returns 1 for a new entry. */
static __always_inline int vfs_put(void *map, const void *key, const struct iolens_vfs_event *e)
{
	struct iolens_vfs_event *old;
	struct iolens_counters *n;

	ring_count_seen(1);
	if (!bpf_map_update_elem(map, key, e, BPF_NOEXIST))
		return 1;
	old = bpf_map_lookup_elem(map, key);
	if (old)
		vfs_send_unended(old);
	if (bpf_map_update_elem(map, key, e, BPF_EXIST) && (n = ring_counters()))
		ring_count(n, state_full);
	return 0;
}

struct vfs_asked {
	__u64 address;
	__u64 bytes;
	__u16 flags;
	__u8 op;
};

/* An access to a watched file begins. */
static __always_inline void vfs_begin(struct vfs_key *key, __u64 file, const struct vfs_asked *asked,
				      const struct iolens_file_id *id, __u32 slot)
{
	struct iolens_vfs_event e = {};

	if (!vfs_asked_for(asked->op) || !(levels & 1 << IOLENS_LEVEL_VFS))
		return;
	if (!vfs_task(&e)) {
		vfs_count_filtered();
		return;
	}
	e.id = *id;
	e.name_id = vfs_name(file, slot);
	e.address = asked->address;
	e.requested = asked->bytes;
	e.flags = asked->flags;
	e.op = asked->op;
	e.level = IOLENS_LEVEL_VFS;
	e.start = bpf_ktime_get_boot_ns();
	vfs_put(&accesses, key, &e);
}

static __always_inline void vfs_end(struct vfs_key *key, __s64 result)
{
	struct iolens_vfs_event *e = bpf_map_lookup_elem(&accesses, key);

	if (!e)
		return;
	e->h.ts = bpf_ktime_get_boot_ns();
	e->result = result;
	vfs_send(e);
	bpf_map_delete_elem(&accesses, key);
}

#endif
