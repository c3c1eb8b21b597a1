/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Watched files: accesses as they enter a filesystem, and the bios that the filesystem submits for them.
 *
 * At the VFS the probes are on the filesystem's own functions (struct file_operations: read_iter, write_iter,
 * splice_read, fsync), which all I/O interfaces go through: read, vectored, libaio, io_uring, sendfile. Their names
 * differ between filesystems, so user space attaches to the addresses that iolens_resolve returns. Each program has two
 * variants with the same body: fentry/fexit and kprobe/kretprobe. If neither is available, bpf/syscall.bpf.c traces
 * system calls instead; bios are always traced.
 *
 * An asynchronous access returns EIOCBQUEUED from read_iter, and ends when ki_complete of its kiocb is called:
 * aio_complete_rw, io_complete_rw. Its state is keyed by kiocb from the start, since it may complete before the
 * function returns.
 */
#include "lib/compat/base.bpf.h"
#include "lib/file.bpf.h"
#include "vfs/access.bpf.h"
#include "vfs/bio.bpf.h"
#include "vfs/enter.bpf.h"
#include "vfs/fault.bpf.h"
#include "vfs/resolve.bpf.h"

#include "iolens/event/vfs.h"
#include "iolens/watch.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

VFS_MOVE(read_iter, IOLENS_VFS_READ, FILE_SLOT_ENTER)
VFS_MOVE(write_iter, IOLENS_VFS_WRITE, FILE_SLOT_EXIT)

SEC("fentry")
int iolens_splice_read(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_splice_begin((struct file *)ctx[0], compat_number(ctx), ctx[1], ctx[3], &key, true);
	return 0;
}
SEC("kprobe")
int iolens_splice_read_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_splice_begin((struct file *)ARGUMENT(0), ARGUMENT(0), ARGUMENT(1), ARGUMENT(3), &key, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
VFS_ENDS(splice_read, ctx[0], VFS_WHOLE, 5)

SEC("fentry")
int iolens_fsync(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_sync_begin((struct file *)ctx[0], compat_number(ctx), &key, true);
	return 0;
}
SEC("kprobe")
int iolens_fsync_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_sync_begin((struct file *)ARGUMENT(0), ARGUMENT(0), &key, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
VFS_ENDS(fsync, compat_number(ctx) | 1, VFS_INT, 4)

SEC("fentry")
int iolens_fallocate(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_discard_begin((struct file *)ctx[0], compat_number(ctx), ctx[1], ctx[2], ctx[3], &key, true);
	return 0;
}
SEC("kprobe")
int iolens_fallocate_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_discard_begin((struct file *)ARGUMENT(0), ARGUMENT(0), ARGUMENT(1), ARGUMENT(2), ARGUMENT(3), &key, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
VFS_ENDS(fallocate, compat_number(ctx) | 2, VFS_INT, 4)

/* Fault on a page of a mapping that is not present: it is read in, and waited for. */
SEC("fentry")
int iolens_fault(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_fault_begin((struct vm_fault *)ctx[0], compat_number(ctx), &key, 0, FILE_SLOT_FAULT, true);
	return 0;
}
SEC("kprobe")
int iolens_fault_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_fault_begin((struct vm_fault *)ARGUMENT(0), ARGUMENT(0), &key, 0, FILE_SLOT_FAULT, false))
		vfs_frame_put(ctx, &key);
	return 0;
}
VFS_ENDS(fault, ctx[0], vfs_fault_result, 1)

/* First write to a clean page that is present. The function's further arguments, and hence the position of its
 * result, differ between kernels; a failed fault on a shared mapping raises a signal. */
SEC("fentry")
int iolens_store(__u64 *ctx)
{
	struct vfs_key key = {};

	vfs_fault_begin((struct vm_fault *)ctx[0], compat_number(ctx), &key, IOLENS_VFS_STORE, FILE_SLOT_STORE, true);
	return 0;
}
SEC("kprobe")
int iolens_store_kprobe(struct pt_regs *ctx)
{
	struct vfs_key key = {};

	if (vfs_fault_begin((struct vm_fault *)ARGUMENT(0), ARGUMENT(0), &key, IOLENS_VFS_STORE, FILE_SLOT_STORE, false))
		vfs_frame_put(ctx, &key);
	return 0;
}

VFS_ENDS(store, compat_number(ctx) | 1, VFS_NOTHING, 0)

VFS_COMPLETE(aio)
VFS_COMPLETE(uring)
VFS_COMPLETE(uring_poll)
VFS_COMPLETE(loop)

PROGRAM("mm_filemap_fault", iolens_fault_seen, on_filemap_fault(ctx))

PROGRAM("writeback_dirty_folio", iolens_store_seen, on_dirty(ctx))

PROGRAM("block_bio_queue", iolens_file_bio_queue, on_bio_queue(ctx))

PROGRAM("block_split", iolens_file_bio_split, on_bio_split(ctx))

PROGRAM("block_rq_complete", iolens_file_rq_complete, on_rq_complete(ctx))

PROGRAM("block_bio_complete", iolens_file_bio_complete, on_bio_complete(ctx))

SEC("raw_tp/sys_enter")
int iolens_resolve(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = 0;
	struct file *file = file_of_fd(file_task(false), ctx->args[0], false, &address);
	struct file_facts f = {};
	struct dentry *dentry, *parent;
	struct block_device *disk;
	struct inode *inode;

	__builtin_memset(&resolved, 0, sizeof(resolved));
	if (!file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	file_look(file, &f, false);
	resolved.id = f.id;
	resolved.name_id = f.name_id;
	dentry = BPF_CORE_READ(file, f_path.dentry);
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent != dentry) {
		file_id_of(BPF_CORE_READ(parent, d_inode), &resolved.name.directory, false);
		resolved.name.hash = watch_name_hash((__u64)dentry);
	}
	resolved.magic = f.magic;
	resolved.mode = BPF_CORE_READ(inode, i_mode);
	resolved.functions[IOLENS_READ_ITER] = (__u64)BPF_CORE_READ(inode, i_fop, read_iter);
	resolved.functions[IOLENS_WRITE_ITER] = (__u64)BPF_CORE_READ(inode, i_fop, write_iter);
	resolved.functions[IOLENS_SPLICE_READ] = (__u64)BPF_CORE_READ(inode, i_fop, splice_read);
	resolved.functions[IOLENS_FSYNC] = (__u64)BPF_CORE_READ(inode, i_fop, fsync);
	if (compat_has_snprintf()) {
		for (int i = 0; i < IOLENS_FUNCTIONS; i++) {
			__u64 function = resolved.functions[i];

			if (function)
				bpf_snprintf(resolved.names[i], sizeof(resolved.names[i]), symbol_format, &function, sizeof(function));
		}
	}
	disk = BPF_CORE_READ(inode, i_sb, s_bdev);
	if (disk)
		resolved.disk = BPF_CORE_READ(disk, bd_dev);
	resolved.found = 1;
	return 0;
}
