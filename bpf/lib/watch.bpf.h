/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watched files. The check runs for every access on the machine: for an unwatched file it is one lookup in a byte
 * array, and hardly ever one in the hash map.
 *
 * Files named by the user stay in `watched`. Files found below a watched directory are in `watched_below`, an LRU
 * map: an evicted file is found again at its next access. */
#ifndef IOLENS_LIB_WATCH_BPF_H
#define IOLENS_LIB_WATCH_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/fs.bpf.h"
#include "lib/file.bpf.h"

#include "iolens/watch.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct iolens_file_id);
	__type(value, struct iolens_watch);
} watched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct iolens_file_id);
	__type(value, struct iolens_watch);
} watched_below SEC(".maps");

/* 0: entries created in watched_below; the missing ones were evicted. 1: files that did not fit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} watch_found SEC(".maps");

/* By the low bits of an inode number: 1 if such an inode is, or was, watched. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IOLENS_WATCHED_BUCKETS);
	__type(key, __u32);
	__type(value, __u8);
} watched_buckets SEC(".maps");

/* Number of parent directories to search for a watched one; 0: no directory is watched. */
const volatile __u32 watch_depth = 0;

static __always_inline bool maybe_watched(__u64 ino)
{
	__u32 place = ino & (IOLENS_WATCHED_BUCKETS - 1);
	__u8 *bucket = bpf_map_lookup_elem(&watched_buckets, &place);

	return bucket && *bucket;
}

static const __u8 watch_one = 1;

/* Is a file in a watched directory? If so, adds it to watched_below with the directory's settings. */
static __always_inline int watch_look_up(struct dentry *dentry)
{
	struct dentry *parent;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode), *file = inode;
	struct iolens_watch *directory;
	struct iolens_file_id id = {};
	__u32 place;
	__u64 *found;
	int error;

	if (!inode || (BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	for (int i = 0; i < IOLENS_WATCH_DEPTH; i++) {
		if ((__u32)i >= watch_depth)
			return 0;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return 0;
		dentry = parent;
		inode = BPF_CORE_READ(dentry, d_inode);
		if (!inode || !maybe_watched(BPF_CORE_READ(inode, i_ino)))
			continue;
		file_id_of(inode, &id, false);
		directory = bpf_map_lookup_elem(&watched, &id);
		if (!directory || !(directory->flags & IOLENS_WATCH_DIRECTORY) || (i && !(directory->flags & IOLENS_WATCH_TREE)))
			continue;
		file_id_of(file, &id, false);
		if (bpf_map_lookup_elem(&watched, &id)) /* excluded explicitly: it has no flags */
			return 0;
		error = bpf_map_update_elem(&watched_below, &id, directory, BPF_NOEXIST);
		place = error && error != -EEXIST; /* EEXIST: another CPU was faster */
		found = bpf_map_lookup_elem(&watch_found, &place);
		if (found && error != -EEXIST)
			__sync_fetch_and_add(found, 1);
		if (place)
			return 0;
		place = id.ino & (IOLENS_WATCHED_BUCKETS - 1);
		bpf_map_update_elem(&watched_buckets, &place, &watch_one, BPF_ANY); /* an array: the entry exists */
		return 1;
	}
	return 0;
}

/* Likewise, by number: a global function, which the verifier checks once. */
__noinline int watch_by_directory(__u64 dentry) { return watch_look_up((struct dentry *)dentry); }

/* Is this inode watched? If so, fills in `id`. */
static __always_inline struct iolens_watch *watch_inode(struct inode *inode, struct iolens_file_id *id, bool direct)
{
	struct iolens_watch *watch;

	if (!maybe_watched(file_read(direct, inode, i_ino)))
		return 0;
	file_id_of(inode, id, direct);
	watch = bpf_map_lookup_elem(&watched, id);
	if (!watch && watch_depth)
		watch = bpf_map_lookup_elem(&watched_below, id);
	return watch && watch->flags ? watch : 0;
}

/* Is this inode watched, or a directory that contains it? For callers without a struct file. */
static __always_inline struct iolens_watch *watch_inode_or_directory(struct inode *inode, struct iolens_file_id *id)
{
	struct iolens_watch *watch = watch_inode(inode, id, false);
	__u64 alias;

	if (watch || !watch_depth)
		return watch;
	alias = compat_alias(inode);
	if (!alias || !watch_by_directory(alias))
		return 0;
	return watch_inode(inode, id, false);
}

/* Is this open file watched? */
static __always_inline struct iolens_watch *watch_file(struct file *file, struct iolens_file_id *id, bool direct)
{
	struct iolens_watch *watch = watch_inode(file_read(direct, file, f_inode), id, direct);

	if (watch || !watch_depth)
		return watch;
	if (!watch_by_directory((__u64)BPF_CORE_READ(file, f_path.dentry)))
		return 0;
	return watch_inode(file_read(direct, file, f_inode), id, direct);
}

/* Checks whether the running thread's fd is a file in a watched directory. A separate function for callers with
 * little stack left: all functions together have 512 bytes of stack, and older kernels add up all frames. */
__noinline int watch_fd_by_directory(__u32 fd)
{
	__u64 address = 0;
	struct file *file = file_of_fd(file_task(false), fd, false, &address);

	return file ? watch_look_up(BPF_CORE_READ(file, f_path.dentry)) : 0;
}

#endif
