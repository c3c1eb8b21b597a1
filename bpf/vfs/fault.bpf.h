/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Page faults on mappings. */
#ifndef IOLENS_VFS_FAULT_BPF_H
#define IOLENS_VFS_FAULT_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/mm.bpf.h"
#include "lib/compat/regs.bpf.h"
#include "lib/ring.bpf.h"
#include "lib/watch.bpf.h"
#include "vfs/access.bpf.h"
#include "vfs/enter.bpf.h"

#include "iolens/event/vfs.h"

/* Faults without fentry and kprobes: only their starts are seen. */
static __always_inline void vfs_fault_seen(struct address_space *mapping, __u64 index, __u16 flags)
{
	struct inode *inode = BPF_CORE_READ(mapping, host);
	struct iolens_vfs_event e = {};

	if (!vfs_asked_for(IOLENS_VFS_FAULT) || !(levels & 1 << IOLENS_LEVEL_VFS) || !inode)
		return;
	if (!watch_inode_or_directory(inode, &e.id))
		return;
	if (!vfs_task(&e)) {
		vfs_count_filtered();
		return;
	}
	e.h.ts = e.start = bpf_ktime_get_boot_ns();
	e.address = index << page_shift;
	e.requested = 1ULL << page_shift;
	e.flags = flags | IOLENS_VFS_NO_END;
	e.op = IOLENS_VFS_FAULT;
	e.level = IOLENS_LEVEL_VFS;
	ring_count_seen(1);
	vfs_send(&e);
}

static __always_inline int on_filemap_fault(__u64 *ctx)
{
	vfs_fault_seen((struct address_space *)ctx[0], ctx[1], 0);
	return 0;
}

/* A page cache page is dirtied: by a store, if the thread entered the kernel by an exception. */
static __always_inline int on_dirty(__u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct address_space *mapping = (struct address_space *)ctx[1];

	if (mapping && compat_in_exception(regs)) /* no mapping: a filesystem's internal page */
		vfs_fault_seen(mapping, compat_folio_index(ctx[0]), IOLENS_VFS_STORE);
	return 0;
}


#endif
