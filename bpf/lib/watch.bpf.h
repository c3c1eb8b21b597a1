/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watched files. The check runs for every access on the machine: for an unwatched file it is one lookup in a table of bytes, a
 * second one if names are followed or directories watched, and hardly ever one in a hash map.
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

/* A single element: an array has at least 8 bytes for each. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct iolens_watch_bytes);
} watch_tables SEC(".maps");

/* Number of parent directories to search for a watched one; 0: no directory is watched. */
const volatile __u32 watch_depth = 0;

static __always_inline struct iolens_watch_bytes *watch_bytes(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&watch_tables, &first);
}

static __always_inline __u8 *watch_byte(struct iolens_watch_bytes *bytes, __u32 table, __u32 place)
{
	return &bytes->in[table][place & (IOLENS_WATCH_BUCKETS - 1)];
}

static __always_inline bool watch_is_in(struct iolens_watch_bytes *bytes, __u32 table, __u32 place)
{
	return *watch_byte(bytes, table, place);
}

static __always_inline __u32 watch_place(struct inode *inode, bool direct)
{
	__u32 dev = direct ? inode->i_sb->s_dev : BPF_CORE_READ(inode, i_sb, s_dev);

	return iolens_watch_place(file_read(direct, inode, i_ino), dev);
}

#define WATCH_NAME_PART 16 /* bytes on the stack, of which callers leave little; NAME_MAX is 255 */

/* IOLENS_WATCH_NAME_PLACE() of a name. Bytes of `first` after the name are ignored; a name of less than 8 bytes has no `last`. */
static __always_inline __u32 watch_name_place(__u32 length, __u64 first, __u64 last)
{
	if (length < sizeof(first)) {
		first &= (1ULL << 8 * (length & 7)) - 1;
		last = 0;
	}
	return file_mix(file_mix(length, first), last) >> 48;
}

/* Hash of a dentry's name; 0: the dentry is unhashed, because its file is deleted. (d_name.hash depends on the address of
 * the parent's dentry.) A global function, which the verifier checks once. */
__noinline __u64 watch_name_hash(__u64 dentry)
{
	struct dentry *d = (struct dentry *)dentry;
	__u64 hash, text, words[WATCH_NAME_PART / sizeof(__u64)], first = 0, last = 0;
	__u32 left, length;

	if (!BPF_CORE_READ(d, d_hash.pprev))
		return 0;
	length = left = BPF_CORE_READ(d, d_name.hash_len) >> 32; /* hashlen_len() */
	text = (__u64)BPF_CORE_READ(d, d_name.name);
	bpf_probe_read_kernel(&first, sizeof(first), (void *)text);
	if (length >= sizeof(last))
		bpf_probe_read_kernel(&last, sizeof(last), (void *)(text + length - sizeof(last)));
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
	hash = hash >> 16 | (__u64)watch_name_place(length, first, last) << 48;
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
	struct iolens_watch_bytes *bytes;
	struct iolens_file_id id = {};
	__u32 place;
	int error;

	if (!watch_depth || !(bytes = watch_bytes()))
		return 0;
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
		if (!inode)
			continue;
		place = watch_place(inode, false);
		if (!watch_is_in(bytes, IOLENS_WATCH_TABLE_TREES, place) &&
		    (i || (!watch_is_in(bytes, IOLENS_WATCH_TABLE_DIRECTORIES, place) &&
			   !watch_is_in(bytes, IOLENS_WATCH_TABLE_PARENTS, place))))
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
		/* first, so that nobody misses the entry */
		*watch_byte(bytes, IOLENS_WATCH_TABLE_INODES, iolens_watch_place(id.ino, id.dev)) = 1;
		error = bpf_map_update_elem(&watched_below, &id, directory, BPF_NOEXIST);
		if (error && error != -EEXIST) { /* EEXIST: another CPU was faster */
			watch_count(1);
			return 0;
		}
		if (!error)
			watch_count(0);
		if (!error && named)
			watch_count(2);
		return 1;
	}
	return 0;
}

static __always_inline bool watch_maybe_inode(struct inode *inode, bool direct)
{
	struct iolens_watch_bytes *bytes = watch_bytes();

	return bytes && watch_is_in(bytes, IOLENS_WATCH_TABLE_INODES, watch_place(inode, direct));
}

/* Is this inode watched? If so, fills in `id`. */
static __always_inline struct iolens_watch *watch_inode(struct inode *inode, struct iolens_file_id *id, bool direct)
{
	struct iolens_watch *watch;

	if (!watch_maybe_inode(inode, direct))
		return 0;
	file_id_of(inode, id, direct);
	watch = bpf_map_lookup_elem(&watched, id);
	if (!watch && watch_depth)
		watch = bpf_map_lookup_elem(&watched_below, id);
	return watch && watch->flags & ~IOLENS_WATCH_NAMES ? watch : 0;
}

/* Can the name of a dentry be a followed one? */
static __always_inline bool watch_maybe_named(struct iolens_watch_bytes *bytes, struct dentry *dentry, bool direct)
{
	/* not directly with fentry: “access beyond the end of member hash (mend:4)” on 5.10 */
	__u32 length = file_read(CASTS && direct, dentry, d_name.hash_len) >> 32;
	__u64 text = (__u64)file_read(CASTS && direct, dentry, d_name.name), first, last = 0;

	first = cast_word((void *)text, CASTS && direct);
	if (length >= sizeof(last))
		last = cast_word((void *)(text + length - sizeof(last)), CASTS && direct);
	return watch_is_in(bytes, IOLENS_WATCH_TABLE_NAMES, watch_name_place(length, first, last));
}

/* Can a directory above `dentry` be a watched tree? `dev`: its filesystem. A global function, which the verifier checks once. */
__noinline int watch_maybe_in_tree(__u64 dentry, __u32 dev)
{
	struct iolens_watch_bytes *bytes;
	__u64 parent, ino;

	if (watch_depth <= 1 || !(bytes = watch_bytes()))
		return 0;
	for (int i = 0; i < IOLENS_WATCH_DEPTH; i++) {
		struct dentry *d = cast_to(dentry, (void *)dentry);

		asm volatile("" ::: "memory"); /* see file_emit_by() */
		parent = CASTS ? cast_word(&d->d_parent, true) : (__u64)BPF_CORE_READ(d, d_parent);
		if (!parent || parent == dentry)
			return 0;
		dentry = parent;
		d = cast_to(dentry, (void *)dentry);
		ino = CASTS ? d->d_inode->i_ino : BPF_CORE_READ(d, d_inode, i_ino);
		if (watch_is_in(bytes, IOLENS_WATCH_TABLE_TREES, iolens_watch_place(ino, dev)))
			return 1;
	}
	return 0;
}

/* Can this open file be watched, or become so by its directory or name? If not, nothing else has to be done for an access. */
static __always_inline bool watch_maybe(struct file *file, bool direct)
{
	struct iolens_watch_bytes *bytes = watch_bytes();
	struct dentry *dentry, *parent;
	struct inode *directory;
	__u32 place;

	if (!bytes)
		return true;
	if (watch_is_in(bytes, IOLENS_WATCH_TABLE_INODES, watch_place(file_read(direct, file, f_inode), direct)))
		return true;
	if (!watch_depth)
		return false;
	dentry = file_read(direct, file, f_path.dentry);
	parent = file_read(direct, dentry, d_parent);
	directory = file_read(direct, parent, d_inode);
	place = watch_place(directory, direct);
	if (watch_is_in(bytes, IOLENS_WATCH_TABLE_DIRECTORIES, place) ||
	    (watch_is_in(bytes, IOLENS_WATCH_TABLE_PARENTS, place) && watch_maybe_named(bytes, dentry, direct)))
		return true;
	if (watch_depth == 1)
		return false;
	/* of the same filesystem as all directories above it */
	return watch_maybe_in_tree(cast_word((void *)file + bpf_core_field_offset(struct file, f_path.dentry), CASTS && direct),
				   direct ? directory->i_sb->s_dev : BPF_CORE_READ(directory, i_sb, s_dev));
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
	struct iolens_watch *watch;

	if (!watch_maybe(file, direct))
		return 0;
	watch = watch_inode(file_read(direct, file, f_inode), id, direct);
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
