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

/* Followed names. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load */
	__type(key, struct iolens_watch_name);
	__type(value, struct iolens_watch);
} watched_names SEC(".maps");

/* 0: entries created in watched_below; the missing ones were evicted. 1: files that did not fit. 2: files that replaced
 * another one under a followed name. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
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

#define WATCH_NAME_PART 16 /* bytes on the stack, of which callers leave little; NAME_MAX is 255 */

/* Hash of a dentry's name; 0: the dentry is unhashed, because its file is deleted. (d_name.hash depends on the address of
 * the parent's dentry.) A global function, which the verifier checks once. */
__noinline __u64 watch_name_hash(__u64 dentry)
{
	struct dentry *d = (struct dentry *)dentry;
	__u64 hash, text, words[WATCH_NAME_PART / sizeof(__u64)];
	__u32 left;

	if (!BPF_CORE_READ(d, d_hash.pprev))
		return 0;
	left = BPF_CORE_READ(d, d_name.hash_len) >> 32; /* hashlen_len() */
	text = (__u64)BPF_CORE_READ(d, d_name.name);
	hash = file_mix(left, 1);
	for (int part = 0; part < 256 / WATCH_NAME_PART; part++) {
		__u64 size = left < WATCH_NAME_PART ? left : WATCH_NAME_PART;

		barrier_var(size); /* kernels before 6.2 need the check right before the use */
		if (!size || size > WATCH_NAME_PART)
			break;
		__builtin_memset(words, 0, sizeof(words));
		bpf_probe_read_kernel(words, size, (void *)text);
#pragma unroll
		for (int i = 0; i < WATCH_NAME_PART / (int)sizeof(__u64); i++)
			hash = file_mix(hash, words[i]);
		text += WATCH_NAME_PART;
		left -= size;
	}
	return hash ? hash : 1;
}

static __always_inline void watch_count(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&watch_found, &what);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Is a file in a watched directory, or has it a followed name? If so, adds it to watched_below with the settings of the
 * directory or the name. A global function, which the verifier checks once. */
__noinline int watch_by_directory(__u64 file_dentry)
{
	struct dentry *dentry = (struct dentry *)file_dentry;
	struct iolens_watch_name name = {};
	struct iolens_watch *named;
	struct dentry *parent;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode), *file = inode;
	struct iolens_watch *directory;
	struct iolens_file_id id = {};
	__u32 place;
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
		if (!directory)
			continue;
		named = 0;
		if (!i && directory->flags & IOLENS_WATCH_NAMES) {
			name.directory = id;
			name.hash = watch_name_hash(file_dentry);
			named = bpf_map_lookup_elem(&watched_names, &name);
		}
		if (named)
			directory = named;
		else if (!(directory->flags & IOLENS_WATCH_DIRECTORY) || (i && !(directory->flags & IOLENS_WATCH_TREE)))
			continue;
		file_id_of(file, &id, false);
		if (bpf_map_lookup_elem(&watched, &id)) /* excluded explicitly: it has no flags */
			return 0;
		error = bpf_map_update_elem(&watched_below, &id, directory, BPF_NOEXIST);
		if (error && error != -EEXIST) { /* EEXIST: another CPU was faster */
			watch_count(1);
			return 0;
		}
		if (!error)
			watch_count(0);
		if (!error && named)
			watch_count(2);
		place = id.ino & (IOLENS_WATCHED_BUCKETS - 1);
		bpf_map_update_elem(&watched_buckets, &place, &watch_one, BPF_ANY); /* an array: the entry exists */
		return 1;
	}
	return 0;
}

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
	return watch && watch->flags & ~IOLENS_WATCH_NAMES ? watch : 0;
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

/* The dentry of the running thread's fd; 0: it is closed. A function beside watch_by_directory(), not around it, for callers
 * with little stack left: all functions together have 512 bytes of stack, and older kernels add up all frames. */
__noinline __u64 watch_dentry_of_fd(__u32 fd)
{
	__u64 address = 0;
	struct file *file = file_of_fd(file_task(false), fd, false, &address);

	return file ? (__u64)BPF_CORE_READ(file, f_path.dentry) : 0;
}

#endif
