/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: inodes, mounts and direct I/O. */
#ifndef IOLENS_LIB_COMPAT_FS_BPF_H
#define IOLENS_LIB_COMPAT_FS_BPF_H

#include "lib/compat/base.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct dentry___d_u {
	union {
		struct hlist_node d_alias;
	} d_u;
};
struct dentry___d_alias {
	struct hlist_node d_alias;
};
struct bdev_inode___whole {
	struct block_device bdev;
	struct inode vfs_inode;
};
struct mount___instance {
	struct list_head mnt_instance;
};
struct mount___next {
	struct mount *mnt_next_for_sb;
};
struct super_block___list {
	struct list_head s_mounts;
};
struct super_block___first {
	struct mount *s_mounts;
};
struct buffer_head___end {
	void *b_end_io;
};

struct inode___private {
	void *i_private;
};
struct proc_ns_operations___name {
	const char *name;
};
struct ns_common___ops {
	struct proc_ns_operations___name *ops;
};

struct files_struct___count {
	struct {
		int counter;
	} count;
};
struct file___count {
	struct {
		long long counter;
	} f_count;
};
struct file___ref {
	struct {
		struct {
			long long counter;
		} refcnt;
	} f_ref;
};

struct iomap_dio___result {
	struct kiocb *iocb;
	long long i_size;
	long long size;
	int error;
};
struct iomap_dio_simple___bio {
	struct kiocb *iocb;
	struct bio bio;
};

#pragma clang attribute pop

/* "net", "mnt" …: the type of the namespace that an inode of nsfs stands for. */
static __always_inline const char *compat_namespace(struct inode *inode)
{
	struct ns_common___ops *common = BPF_CORE_READ((struct inode___private *)inode, i_private);

	return BPF_CORE_READ(common, ops, name);
}

/* Is a file open only once, in a table of fds that no other thread uses? file.f_count counts its references; 6.13 made
 * it f_ref, which starts at 0 (90ee6ed776c0). */
static __always_inline bool compat_only_user(struct task_struct *task, struct file *file)
{
	struct files_struct___count *files = (struct files_struct___count *)BPF_CORE_READ(task, files);
	__u64 more;

	if (BPF_CORE_READ(files, count.counter) != 1)
		return false;
	if (bpf_core_field_exists(struct file___count, f_count))
		more = BPF_CORE_READ((struct file___count *)file, f_count.counter) - 1;
	else
		more = BPF_CORE_READ((struct file___ref *)file, f_ref.refcnt.counter);
	return more == 0;
}

/* A dentry of an inode: inode.i_dentry lists struct dentry by d_u.d_alias; 7.1 made that union anonymous. */
static __always_inline __u64 compat_alias(struct inode *inode)
{
	__u64 first = (__u64)BPF_CORE_READ(inode, i_dentry.first);

	if (!first)
		return 0;
	if (bpf_core_field_exists(((struct dentry___d_u *)0)->d_u.d_alias))
		return first - bpf_core_field_offset(((struct dentry___d_u *)0)->d_u.d_alias);
	return first - bpf_core_field_offset(struct dentry___d_alias, d_alias);
}

/* The block device of an inode of the bdev filesystem. */
static __always_inline struct block_device *compat_bdev(__u64 inode)
{
	return (void *)inode - bpf_core_field_offset(struct bdev_inode___whole, vfs_inode) +
	       bpf_core_field_offset(struct bdev_inode___whole, bdev);
}

/* b_end_io of a buffer head; 7.3 removed it: completion is only at the bio. */
static __always_inline __u64 compat_buffer_end(__u64 buffer)
{
	return compat_read_if(struct buffer_head___end, buffer, b_end_io);
}

/*
 * The mounts of a filesystem, as struct mount in numbers; 0: no more. super_block.s_mounts is a list of
 * mount.mnt_instance; 6.18 made it a singly linked list.
 */
/* The mount after a list entry or head; 0: end of the list. */
static __always_inline __u64 compat_listed_mount(__u64 sb, __u64 entry)
{
	__u64 next = (__u64)BPF_CORE_READ((struct list_head *)entry, next);

	if (!next || next == sb + bpf_core_field_offset(struct super_block___list, s_mounts))
		return 0;
	return next - bpf_core_field_offset(struct mount___instance, mnt_instance);
}
static __always_inline __u64 compat_first_mount(__u64 sb)
{
	if (!bpf_core_field_exists(struct mount___instance, mnt_instance))
		return (__u64)BPF_CORE_READ((struct super_block___first *)sb, s_mounts);
	return compat_listed_mount(sb, sb + bpf_core_field_offset(struct super_block___list, s_mounts));
}
static __always_inline __u64 compat_next_mount(__u64 sb, __u64 mount)
{
	if (!bpf_core_field_exists(struct mount___instance, mnt_instance))
		return (__u64)BPF_CORE_READ((struct mount___next *)mount, mnt_next_for_sb);
	return compat_listed_mount(sb, mount + bpf_core_field_offset(struct mount___instance, mnt_instance));
}

/* The kiocb of the direct I/O that owns a bio, and the result of iomap_dio_complete() if this bio is the last. */
static __always_inline __u64 compat_direct_result(void *owner, bool read, __s64 *result)
{
	struct iomap_dio___result *dio = owner;
	struct kiocb *iocb = BPF_CORE_READ(dio, iocb);
	__s64 rest = BPF_CORE_READ(dio, i_size) - BPF_CORE_READ(iocb, ki_pos);
	__s32 error = BPF_CORE_READ(dio, error);

	*result = BPF_CORE_READ(dio, size);
	if (read && *result > rest)
		*result = rest;
	if (error)
		*result = error;
	return (__u64)iocb;
}

/* The file of a direct read of one block: its bio is a member of struct iomap_dio_simple (7.2). */
static __always_inline __u64 compat_simple_dio_inode(__u64 bio)
{
	if (bpf_core_field_exists(struct iomap_dio_simple___bio, iocb)) {
		struct iomap_dio_simple___bio *dio = (void *)bio - bpf_core_field_offset(struct iomap_dio_simple___bio, bio);

		return (__u64)BPF_CORE_READ(dio, iocb, ki_filp, f_inode);
	}
	return 0;
}

#endif
