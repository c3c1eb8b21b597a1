/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: btrfs. */
#ifndef IOLENS_LIB_COMPAT_BTRFS_BPF_H
#define IOLENS_LIB_COMPAT_BTRFS_BPF_H

#include "lib/compat/base.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct btrfs_bio___private { /* 6.0 */
	void *end_io;
	void *private;
	struct bio bio;
};
struct btrfs_dio_private___inode {
	struct inode *inode;
};
struct compressed_bio___inode {
	struct inode *inode;
};

struct btrfs_inode___vfs {
	struct inode vfs_inode;
};
struct btrfs_bio___inode { /* 6.4 */
	struct btrfs_inode___vfs *inode;
	struct bio bio;
};

#pragma clang attribute pop


/*
 * The inode of a bio of btrfs, whose pages may not belong to the file (direct, compressed): the bio is a member of
 * struct btrfs_bio, which has the inode (6.4).
 */
static __always_inline __u64 compat_btrfs_inode(__u64 bio)
{
	if (bpf_core_field_exists(struct btrfs_bio___inode, inode)) {
		struct btrfs_bio___inode *b = (void *)bio - bpf_core_field_offset(struct btrfs_bio___inode, bio);
		__u64 inode = (__u64)BPF_CORE_READ(b, inode);

		return inode ? inode + bpf_core_field_offset(struct btrfs_inode___vfs, vfs_inode) : 0;
	}
	return 0;
}

/*
 * For a btrfs bio until 6.3: the end_io function that btrfs calls, and the owner, which has the inode.
 *
 * Before 6.0 its struct is next to the bio rather than around it, and missing from 5.10's BTF, which lacks modules: its
 * first members were the same from 4.x to 5.19. The values read are used only if they contain a known function, and an
 * inode only if it is a valid one.
 */
static __always_inline __u64 compat_btrfs_end(__u64 bio, __u64 *owner)
{
	struct {
		__u64 counts, fs_info, map_type, end_io, orig_bio, private;
	} beside = {};

	if (bpf_core_field_exists(struct btrfs_bio___private, private)) {
		struct btrfs_bio___private *b = (void *)bio - bpf_core_field_offset(struct btrfs_bio___private, bio);

		*owner = (__u64)BPF_CORE_READ(b, private);
		return (__u64)BPF_CORE_READ(b, end_io);
	}
	bpf_probe_read_kernel(&beside, sizeof(beside), BPF_CORE_READ((struct bio *)bio, bi_private));
	*owner = beside.private;
	return beside.end_io;
}
/* Until 5.19 the completion of a read is first queued to a workqueue: function and owner from the queued struct. */
static __always_inline __u64 compat_btrfs_queued_end(__u64 *owner)
{
	struct {
		__u64 bio, end_io, private;
	} queued = {};

	bpf_probe_read_kernel(&queued, sizeof(queued), (void *)*owner);
	*owner = queued.private;
	return queued.end_io;
}
/* Reads a pointer to a btrfs inode without BTF; 0: not one. */
static __always_inline __u64 compat_btrfs_untyped_inode(__u64 at)
{
	struct address_space *mapping;
	struct inode *inode = 0;

	bpf_probe_read_kernel(&inode, sizeof(inode), (void *)at);
	mapping = BPF_CORE_READ(inode, i_mapping);
	if (!mapping || BPF_CORE_READ(mapping, host) != inode || BPF_CORE_READ(inode, i_sb, s_magic) != BTRFS_SUPER_MAGIC)
		return 0;
	return (__u64)inode;
}
static __always_inline __u64 compat_btrfs_direct_inode(__u64 owner)
{
	if (bpf_core_type_exists(struct btrfs_dio_private___inode))
		return compat_read_if(struct btrfs_dio_private___inode, owner, inode);
	return compat_btrfs_untyped_inode(owner);
}
static __always_inline __u64 compat_btrfs_compressed_inode(__u64 owner)
{
	if (bpf_core_type_exists(struct compressed_bio___inode))
		return compat_read_if(struct compressed_bio___inode, owner, inode);
	return compat_btrfs_untyped_inode(owner + 16); /* after a refcount and the pages */
}

#endif
