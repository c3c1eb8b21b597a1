/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Path of an inode when there is no struct file. */
#ifndef IOLENS_LIB_NAME_BPF_H
#define IOLENS_LIB_NAME_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/fs.bpf.h"
#include "lib/file.bpf.h"

#define NAME_MOUNTS 8 /* mounts of a filesystem that are checked */
#define NAME_BEST 4   /* the highest rank of a mount */

/* noinline: clang would hoist the relocated offset above the check that the field exists. */
static __noinline __u64 name_first_mount(__u64 sb) { return compat_first_mount(sb); }
static __noinline __u64 name_next_mount(__u64 sb, __u64 mount) { return compat_next_mount(sb, mount); }

/* Finds a mount of a filesystem, as struct vfsmount; prefers one of the whole tree that is attached somewhere. 0:
 * none. */
static __always_inline __u64 name_mount(struct super_block *sb)
{
	__u64 root = (__u64)BPF_CORE_READ(sb, s_root), mount = name_first_mount((__u64)sb), best = 0;
	__u32 rank, best_rank = 0;

	for (int i = 0; i < NAME_MOUNTS && mount; i++) {
		rank = 1;
		if ((__u64)BPF_CORE_READ((struct mount *)mount, mnt_parent) != mount)
			rank += 1;
		if ((__u64)BPF_CORE_READ((struct mount *)mount, mnt.mnt_root) == root)
			rank += 2;
		if (rank > best_rank) {
			best_rank = rank;
			best = mount;
		}
		if (rank == NAME_BEST)
			break;
		mount = name_next_mount((__u64)sb, mount);
	}
	return best ? best + bpf_core_field_offset(struct mount, mnt) : 0;
}

__noinline int name_emit(__u64 dentry, __u64 inode, __u64 mount, __u64 name_id, __u32 slot)
{
	return file_emit_by(dentry, mount, name_id, file_kind(BPF_CORE_READ((struct inode *)inode, i_mode), 0), slot);
}

/* Returns the name_id of one of the inode's names, and emits it if needed; 0: no dentry is cached. */
static __always_inline __u64 name_of_inode(__u64 inode, const struct iolens_file_id *file, __u32 slot)
{
	__u64 alias = compat_alias((struct inode *)inode), mount, id;
	struct dentry *dentry = (struct dentry *)alias;

	if (!alias)
		return 0;
	id = file_mix(BPF_CORE_READ(dentry, d_hash.pprev) ? 1 : 2, BPF_CORE_READ(dentry, d_parent, d_inode, i_ino));
	mount = name_mount(BPF_CORE_READ((struct inode *)inode, i_sb));
	id = file_names(alias, mount, id);
	id = file_mix(id, (__u64)file->dev << 32 | file->generation);
	id = file_hide(file_mix(id, file->ino));
	if (!file_known(&id))
		name_emit(alias, inode, mount, id, slot);
	return id;
}

#endif
