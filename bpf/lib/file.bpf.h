/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Open files: identity, kind, and path, which is emitted once. */
#ifndef IOLENS_LIB_FILE_BPF_H
#define IOLENS_LIB_FILE_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/cast.bpf.h"
#include "lib/compat/fs.bpf.h"
#include "lib/ring.bpf.h"

#include "iolens/event/file.h"

#define FILE_DEPTH 64
#define FILE_NAME_MAX 256 /* NAME_MAX, plus the NUL */

struct file_scratch {
	struct iolens_file_fact fact;
	__u8 path[IOLENS_PATH_LEN + 2 * FILE_NAME_MAX];
	/* State of the path walk: in memory, not registers, so that the verifier does not distinguish the steps. */
	__u64 dentry;
	__u64 mount;
	__u64 offset;
	__u64 whole; /* the walk reached the root */
};

/* Per-CPU space to build a fact that does not fit on the stack. A program can be preempted (6.13) and another run on
 * the same CPU, but never the same one: each has its own slot. Programs never in the same object share slot numbers.
 * The map has as many slots as the loaded programs need; a program without one sends no names. */
enum file_slot {
	FILE_SLOT_ENTER,
	FILE_SLOT_EXIT,
	/* bpf/syscall.bpf.c */
	FILE_SLOT_SUBMIT, /* io_uring */
	FILE_SLOT_COMPLETE,
	FILE_SLOT_FORK, /* operations */
	FILE_SLOT_EXEC,
	FILE_SLOT_END,
	/* bpf/vfs.bpf.c */
	FILE_SLOT_SPLICE = FILE_SLOT_SUBMIT,
	FILE_SLOT_SYNC,
	FILE_SLOT_DISCARD,
	FILE_SLOT_FAULT,
	FILE_SLOT_STORE,
	/* bpf/block.bpf.c: the first programs, then the copies */
	FILE_SLOT_ISSUE = FILE_SLOT_EXIT,
	FILE_SLOT_QUEUE_1,
	FILE_SLOT_QUEUE_2,
	FILE_SLOT_ISSUE_1,
	FILE_SLOT_ISSUE_2,
	FILE_SLOTS = FILE_SLOT_STORE + 1
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FILE_SLOTS); /* set before load */
	__type(key, __u32);
	__type(value, struct file_scratch);
} file_scratch_slots SEC(".maps");

/* Incremented by user space twice a minute, when it evicts what was not used recently. Names and threads are sent
 * again when they are used in a new period. */
__u32 period = 1;

/* name_id → period in which it was last sent. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} emitted_files SEC(".maps");

/* Does user space have the name? */
static __always_inline bool file_known(const __u64 *name_id)
{
	__u32 *sent = bpf_map_lookup_elem(&emitted_files, name_id);

	return sent && *sent == period;
}

static __always_inline void file_sent(const __u64 *name_id)
{
	__u32 now = period;

	bpf_map_update_elem(&emitted_files, name_id, &now, BPF_ANY);
}

struct file_facts {
	__u64 name_id;
	struct iolens_file_id id;
	__u32 kind;
	__u32 magic;
};

CAST_TYPE(dentry);
CAST_TYPE(file);
CAST_TYPE(mount);
CAST_TYPE(task_struct);

/* With `direct`, a constant, kernel memory is read by plain loads: lib/compat/cast.bpf.h. */
#define file_read(direct, from, field) ((direct) ? (from)->field : BPF_CORE_READ(from, field))

static __always_inline struct task_struct *file_task(bool direct)
{
	return direct ? bpf_get_current_task_btf() : (struct task_struct *)bpf_get_current_task();
}

/* task → files → fdt → fd[n], at this moment; NULL if the fd is not open. `address` receives the pointer as a
 * number. */
static __always_inline struct file *file_of_fd(struct task_struct *task, __u32 fd, bool direct, __u64 *address)
{
	struct files_struct *files;
	struct fdtable *table;
	struct file **array, *file;

	/* untrusted: the verifier searches all kernel BTF for each pointer loaded through a trusted one */
	if (direct)
		task = cast_to(task_struct, task);
	files = file_read(direct, task, files);
	if (!files)
		return 0;
	table = file_read(direct, files, fdt);
	if (!table || fd >= file_read(direct, table, max_fds))
		return 0;
	array = file_read(direct, table, fd);
	*address = cast_word(array + fd, direct);
	file = (struct file *)*address;
	if (direct && file)
		file = cast_to(file, file);
	return file;
}

static __always_inline void file_id_of(struct inode *inode, struct iolens_file_id *id, bool direct)
{
	id->ino = file_read(direct, inode, i_ino);
	id->generation = file_read(direct, inode, i_generation);
	id->dev = direct ? inode->i_sb->s_dev : BPF_CORE_READ(inode, i_sb, s_dev);
}

static __always_inline bool file_same(const struct iolens_file_id *a, const struct iolens_file_id *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->generation == b->generation;
}

static __always_inline __u32 file_kind(__u16 mode, __u32 magic)
{
	if (magic == PID_FS_MAGIC || magic == ANON_INODE_FS_MAGIC)
		return IOLENS_FILE_ANON;
	if (magic == NSFS_MAGIC)
		return IOLENS_FILE_OTHER;
	switch (mode & S_IFMT) {
	case S_IFREG: return IOLENS_FILE_REGULAR;
	case S_IFDIR: return IOLENS_FILE_DIRECTORY;
	case S_IFCHR: return IOLENS_FILE_CHARACTER;
	case S_IFBLK: return IOLENS_FILE_DISK;
	case S_IFIFO: return magic == PIPEFS_MAGIC ? IOLENS_FILE_PIPE : IOLENS_FILE_FIFO;
	case S_IFSOCK: return IOLENS_FILE_SOCKET;
	default: return IOLENS_FILE_OTHER;
	}
}

static __always_inline __u64 file_mix(__u64 hash, __u64 more)
{
	hash ^= more;
	hash *= 0x9E3779B97F4A7C15ULL;
	return hash ^ hash >> 29;
}

/* The parent of a dentry, and the hash of its name. `d_parent` and `d_name` are neighbors: one helper call reads both. */
static __always_inline void file_parent(__u64 dentry, __u64 *parent, __u64 *hash)
{
	struct dentry *d = cast_to(dentry, (void *)dentry);
	__u64 both[2] = {};

	if (CASTS) {
		*parent = cast_word(&d->d_parent, true);
		*hash = d->d_name.hash_len;
	} else if (bpf_core_field_offset(d->d_name) == bpf_core_field_offset(d->d_parent) + sizeof(*both)) {
		bpf_probe_read_kernel(both, sizeof(both), (void *)(dentry + bpf_core_field_offset(d->d_parent)));
		*parent = both[0];
		*hash = both[1];
	} else {
		*parent = (__u64)BPF_CORE_READ(d, d_parent);
		*hash = BPF_CORE_READ(d, d_name.hash_len);
	}
}

/* Steps from a mount (struct mount) to the one that it is mounted in: `dentry` is then the directory. Returns false at the last
 * one. `mnt_parent` and `mnt_mountpoint` are neighbors: one helper call reads both. */
static __always_inline bool file_mounted_at(__u64 *mount, __u64 *dentry)
{
	struct mount *m = cast_to(mount, (void *)*mount);
	__u64 both[2] = {};

	if (CASTS) {
		both[0] = cast_word(&m->mnt_parent, true);
		both[1] = cast_word(&m->mnt_mountpoint, true);
	} else if (bpf_core_field_offset(m->mnt_mountpoint) == bpf_core_field_offset(m->mnt_parent) + sizeof(*both)) {
		bpf_probe_read_kernel(both, sizeof(both), (void *)(*mount + bpf_core_field_offset(m->mnt_parent)));
	} else {
		both[0] = (__u64)BPF_CORE_READ(m, mnt_parent);
		both[1] = (__u64)BPF_CORE_READ(m, mnt_mountpoint);
	}
	if (!both[0] || both[0] == *mount || !both[1])
		return false;
	*mount = both[0];
	*dentry = both[1];
	return true;
}

#define FILE_ABOVE 16 /* directories above a file that are checked for a new name */

/* Adds the names of a file and of the directories above it to an ID, across mounts (struct vfsmount; 0: not beyond the
 * filesystem's root). A mounted subdirectory also has the names above it in its filesystem. A global function, which the
 * verifier checks once. */
__noinline __u64 file_names(__u64 dentry, __u64 vfsmount, __u64 id)
{
	__u64 mount = vfsmount ? vfsmount - bpf_core_field_offset(struct mount, mnt) : 0, parent, hash;

	for (int i = 0; i <= FILE_ABOVE; i++) {
		file_parent(dentry, &parent, &hash);
		id = file_mix(id, hash);
		if (!parent)
			break;
		if (parent != dentry)
			dentry = parent;
		else if (!mount || !file_mounted_at(&mount, &dentry))
			break;
	}
	return id;
}

/* Random, set before load. */
const volatile __u64 id_key[2] = {};

/* Hides an ID derived from a kernel address before it leaves the kernel. file_mix() alone is reversible. */
static __always_inline __u64 file_hide(__u64 id)
{
	id ^= id_key[0];
	id ^= id >> 33;
	id *= 0xFF51AFD7ED558CCDULL;
	id ^= id >> 33;
	id ^= id_key[1];
	id *= 0xC4CEB9FE1A85EC53ULL;
	return id ^ id >> 33;
}

/* Identity and kind. The name_id identifies the current path: a different name of the file or of a directory above it, another
 * directory or mount has a different ID, and so does a deleted name. Uses numbers: the verifier forbids arithmetic on pointers. */
static __always_inline void file_look(struct file *file, struct file_facts *f, bool direct)
{
	struct inode *inode = file_read(direct, file, f_inode);
	struct dentry *dentry = file_read(direct, file, f_path.dentry);
	struct super_block *sb = file_read(direct, inode, i_sb);
	struct dentry *parent = file_read(direct, dentry, d_parent);
	struct inode *directory = file_read(direct, parent, d_inode);
	__u64 mount = cast_word((void *)file + bpf_core_field_offset(struct file, f_path.mnt), direct);

	file_id_of(inode, &f->id, direct);
	f->magic = file_read(direct, sb, s_magic);
	f->kind = file_kind(file_read(direct, inode, i_mode), f->magic);
	f->name_id = file_mix(mount, file_read(direct, dentry, d_hash.pprev) ? 1 : 2);
	f->name_id = file_mix(f->name_id, directory ? file_read(direct, directory, i_ino) : 0);
	f->name_id = file_names(cast_word((void *)file + bpf_core_field_offset(struct file, f_path.dentry), direct), mount,
				f->name_id);
	f->name_id = file_mix(f->name_id, (__u64)f->id.dev << 32 | f->id.generation);
	f->name_id = file_mix(f->name_id, f->id.ino);
	/* these share one inode, and their names have no hash: "[eventfd]" and "[timerfd]" differ only in f_op */
	if (f->kind == IOLENS_FILE_ANON)
		f->name_id = file_mix(f->name_id,
				      cast_word((void *)file + bpf_core_field_offset(struct file, f_op), direct));
	f->name_id = file_hide(f->name_id);
}

/* One step of the walk from a file up to the root: one name or one mount. Returns 1 at the end of the walk. A global
 * function, which the verifier checks once rather than per iteration: its arguments must be numbers. */
__noinline int file_step(__u32 slot)
{
	struct file_scratch *scratch = bpf_map_lookup_elem(&file_scratch_slots, &slot);
	struct dentry *dentry, *parent;
	struct mount *mount, *above;
	__u64 offset;
	long length;

	if (!scratch)
		return 1;
	dentry = (struct dentry *)scratch->dentry;
	mount = (struct mount *)scratch->mount;
	parent = BPF_CORE_READ(dentry, d_parent);
	offset = scratch->offset;
	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount || !above) {
			scratch->whole = 1;
			return 1;
		}
		scratch->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
		scratch->mount = (__u64)above;
		return 0;
	}
	if (dentry == parent && !(scratch->fact.flags & IOLENS_FILE_PSEUDO)) /* not reachable from this mount's root */
		return 1;
	/* a mask, then a bound: older verifiers need both, on the same register */
	offset &= 8191;
	barrier_var(offset);
	if (offset > IOLENS_PATH_LEN)
		return 1;
	length = bpf_probe_read_kernel_str(&scratch->path[offset], FILE_NAME_MAX, BPF_CORE_READ(dentry, d_name.name));
	if (length <= 0 || length > FILE_NAME_MAX)
		return 1;
	scratch->offset = offset + length;
	if (scratch->fact.flags & IOLENS_FILE_PSEUDO) {
		scratch->whole = 1;
		return 1;
	}
	scratch->dentry = (__u64)parent;
	return 0;
}

/* Names that the kernel computes (d_dname), and no dentry has: of pidfds since 6.9, which pidfs has, and of namespaces.
 * Returns the length, 0: has none. */
__noinline int file_computed_name(__u64 dentry_address, __u32 slot)
{
	struct file_scratch *scratch = bpf_map_lookup_elem(&file_scratch_slots, &slot);
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	__u64 magic = BPF_CORE_READ(inode, i_sb, s_magic);
	__u32 number;
	__u64 at;
	long length;
	__u8 *end;

	if (!scratch || (magic != PID_FS_MAGIC && magic != NSFS_MAGIC))
		return 0;
	if (magic == PID_FS_MAGIC) {
		__builtin_memcpy(scratch->path, "[pidfd]", 8);
		return 8;
	}
	length = bpf_probe_read_kernel_str(scratch->path, 32, compat_namespace(inode));
	if (length <= 1 || length > 32)
		return 0;
	at = length - 1;
	barrier_var(at);
	at &= 31;
	end = scratch->path + at;
	barrier_var(end); /* constant offsets from here: kernels before 6.2 don't know the bounds of others */
	number = BPF_CORE_READ(inode, i_ino);
	end[0] = ':';
	end[1] = '[';
	/* always ten digits: the first number is PROC_DYNAMIC_FIRST, 0xF0000000, and those below it are near */
#pragma unroll
	for (int i = 0; i < 10; i++) {
		end[11 - i] = '0' + number % 10;
		number /= 10;
	}
	end[12] = ']';
	end[13] = 0;
	scratch->fact.flags |= IOLENS_FILE_LITERAL;
	return at + 14;
}

/*
 * Emits the path of a file: its components from the file up to the root, across mounts. The arguments are numbers for
 * the same reason. Returns 1 if it was sent.
 */
static __always_inline int file_emit_by(__u64 dentry_address, __u64 mount_address, __u64 name_id, __u32 kind, __u32 slot)
{
	struct dentry *dentry = (struct dentry *)dentry_address, *parent;
	struct vfsmount *vfsmount = (struct vfsmount *)mount_address;
	struct file_scratch *scratch;
	struct iolens_counters *n;
	__u64 offset;
	__u32 size;

	scratch = bpf_map_lookup_elem(&file_scratch_slots, &slot);
	if (!scratch)
		return 0;
	scratch->fact.h.ts = bpf_ktime_get_boot_ns();
	scratch->fact.h.kind = IOLENS_KIND_FILE;
	scratch->fact.h.cpu = bpf_get_smp_processor_id();
	scratch->fact.name_id = name_id;
	scratch->fact.kind = kind;
	scratch->fact.flags = 0;
	scratch->fact.reserved = 0;

	parent = BPF_CORE_READ(dentry, d_parent);
	if (!BPF_CORE_READ(dentry, d_hash.pprev) && dentry != parent)
		scratch->fact.flags |= IOLENS_FILE_DELETED;
	if (dentry == parent && dentry != BPF_CORE_READ(vfsmount, mnt_root))
		scratch->fact.flags |= IOLENS_FILE_PSEUDO;

	scratch->dentry = (__u64)dentry;
	scratch->mount = (__u64)vfsmount - bpf_core_field_offset(struct mount, mnt);
	scratch->offset = 0;
	scratch->whole = 0;
	if (scratch->fact.flags & IOLENS_FILE_PSEUDO) {
		int length = file_computed_name(dentry_address, slot);

		if (length > 0) {
			scratch->offset = length;
			scratch->whole = 1;
		}
	}
	for (int i = 0; i < FILE_DEPTH && !scratch->whole; i++) {
		/* Otherwise clang enters the loop in its middle, and kernels before 6.2 take the jump back to that
		 * point for an infinite loop (“back-edge”). */
		asm volatile("" ::: "memory");
		if (file_step(slot))
			break;
	}
	if (!scratch->whole)
		scratch->fact.flags |= IOLENS_FILE_CUT;
	offset = scratch->offset & 8191;
	barrier_var(offset);
	if (offset > IOLENS_PATH_LEN + FILE_NAME_MAX)
		return 0;
	scratch->fact.length = offset;
	*(__u64 *)&scratch->path[offset] = 0;
	size = (sizeof(scratch->fact) + offset + 7) & ~7U;
	scratch->fact.h.size = size;
	barrier_var(size);
	if (size > sizeof(*scratch))
		return 0;
	if (!ring_put(scratch, size)) {
		if ((n = ring_counters()))
			ring_count(n, fact_lost);
		return 0;
	}
	file_sent(&name_id);
	return 1;
}

__noinline int file_emit(__u64 path_address, __u64 name_id, __u32 kind, __u32 slot)
{
	struct path *path = (struct path *)path_address;

	return file_emit_by((__u64)BPF_CORE_READ(path, dentry), (__u64)BPF_CORE_READ(path, mnt), name_id, kind, slot);
}

#endif
