/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every difference between kernels, one function each. See README.md. */
#ifndef IOLENS_LIB_COMPAT_BPF_H
#define IOLENS_LIB_COMPAT_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "iolens/event/block.h"

#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

#define MAGIC_BTRFS 0x9123683E /* linux/magic.h */

/* A field of what is at an address, as a number; 0 where this kernel, or what of it is loaded, has no such field. */
#define compat_read_if(type, address, field) \
	(bpf_core_field_exists(type, field) ? (__u64)BPF_CORE_READ((type *)(address), field) : 0)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct request___rq_disk {
	struct gendisk *rq_disk;
};
struct request___flush_list {
	struct {
		struct list_head list;
	} flush;
};
struct bio___bi_disk {
	struct gendisk *bi_disk;
};
struct signal_struct___live {
	struct {
		int counter;
	} live;
};
struct task_struct___signal {
	struct signal_struct___live *signal;
};
struct pid_namespace;
struct upid___numbers {
	int nr;
	struct pid_namespace *ns;
};
struct pid___numbers { /* `numbers` has an entry for each level, from 0; 6.5 made it a flexible array (b69f0aeb0689) */
	unsigned int level;
	struct upid___numbers numbers[1];
};
struct task_struct___pid {
	struct pid___numbers *thread_pid;
};
struct signal_struct___pids {
	struct pid___numbers *pids[4]; /* by enum pid_type */
};
struct task_struct___pids {
	struct signal_struct___pids *signal;
};
struct sock_common___v6 {
	struct {
		__u8 bytes[16];
	} skc_v6_daddr, skc_v6_rcv_saddr;
};
struct io_rw___old {
	struct kiocb kiocb;
	__u64 addr;
	__u32 len;
};
struct io_kiocb___old { /* before 6.0 */
	struct io_rw___old rw;
	__u64 user_data;
	struct io_ring_ctx *ctx;
};
struct io_cqe___fd {
	int fd;
};
struct io_kiocb___cqe {
	struct io_cqe___fd cqe;
};
struct io_kiocb___cmd {
	struct io_cmd_data cmd;
};

/* What a bio's data are of. */
struct page___compound_head {
	unsigned long compound_head;
};
struct page___compound_info {
	unsigned long compound_info;
};
struct page___flags {
	unsigned long flags;
};
struct memdesc_flags___f { /* 6.18 */
	unsigned long f;
};
struct page___memdesc {
	struct memdesc_flags___f flags;
};
enum pageflags___uptodate {
	PG_uptodate___uptodate,
};
struct folio___mapping {
	struct address_space *mapping;
};
struct folio___index {
	unsigned long index;
};
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
enum req_flag_bits___swap {
	__REQ_SWAP___swap,
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
struct dm_crypt_io___base {
	struct bio *base_bio;
};
struct btrfs_inode___vfs {
	struct inode vfs_inode;
};
struct btrfs_bio___inode { /* 6.4 */
	struct btrfs_inode___vfs *inode;
	struct bio bio;
};

/* Prototypes of io_uring's tracepoints: the first ones had the ring in front. Numbers have other names in the kernel's
 * BTF than in ours and can't be compared; what io_uring_complete is given shows in its record. */
struct trace_event_raw_io_uring_complete___req {
	void *req;
};
typedef void (*btf_trace_io_uring_submit_sqe___req)(void *, struct io_kiocb *, bool);
typedef void (*btf_trace_io_uring_complete___cqe)(void *, struct io_ring_ctx *, void *, struct io_uring_cqe *);

struct task_struct___state {
	long state;
};
struct task_struct___new {
	unsigned int __state;
};
struct task_struct___set_child_tid {
	int *set_child_tid;
};

/* Prototypes that tracepoints had with a request_queue in front. */
typedef void (*btf_trace_block_rq_issue___q)(void *, struct request_queue *, struct request *);
typedef void (*btf_trace_block_rq_requeue___q)(void *, struct request_queue *, struct request *);
typedef void (*btf_trace_block_bio_queue___q)(void *, struct request_queue *, struct bio *);
typedef void (*btf_trace_block_split___q)(void *, struct request_queue *, struct bio *, unsigned int);

enum req_opf___old {
	REQ_OP_ZONE_OPEN___old,
	REQ_OP_ZONE_CLOSE___old,
	REQ_OP_ZONE_FINISH___old,
	REQ_OP_ZONE_APPEND___old,
	REQ_OP_ZONE_RESET___old,
	REQ_OP_ZONE_RESET_ALL___old,
	REQ_OP_WRITE_SAME___old,
};

#pragma clang attribute pop

/* The pointer at `where` as a number: global functions take no pointers, and a cast is none to the verifier. */
static __always_inline __u64 compat_number(const void *where)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), where);
	return number;
}

/* Of errno.h, which these programs can't include. What a map's operation returns goes into an int first: before 6.4
 * (d7ba4cc900bf) it is one, and the upper half of the register is not its sign. */
#define EEXIST 17

/* A program of a BTF tracepoint; `body` is an expression of `ctx`. */
#define PROGRAM(tracepoint, name, body)                                                                                  \
	SEC("tp_btf/" tracepoint)                                                                                        \
	int name(__u64 *ctx) { return body; }

/*
 * The n-th argument, counted without the leading request_queue. The barriers keep the compiler from making one load
 * at a computed offset of the two, which the verifier refuses (“dereference of modified ctx ptr”).
 */
#define compat_arg(ctx, has_q, n)                      \
	({                                             \
		__u64 arg_;                            \
		if (has_q) {                           \
			arg_ = (ctx)[(n) + 1];         \
			barrier_var(arg_);             \
		} else {                               \
			arg_ = (ctx)[(n)];             \
			barrier_var(arg_);             \
		}                                      \
		(void *)arg_;                          \
	})

/* 5.11 “block: remove the request_queue argument from rq based tracepoints” (a54895fa057c), backported to 5.10.137;
 * and 5.12 “block: remove the request_queue argument to the block_bio tracepoints” (e8a676d61c07). */
static __always_inline struct request *compat_rq_issue(__u64 *ctx)
{
	return compat_arg(ctx, bpf_core_type_matches(btf_trace_block_rq_issue___q), 0);
}
static __always_inline struct request *compat_rq_requeue(__u64 *ctx)
{
	return compat_arg(ctx, bpf_core_type_matches(btf_trace_block_rq_requeue___q), 0);
}
static __always_inline struct bio *compat_bio_queue(__u64 *ctx)
{
	return compat_arg(ctx, bpf_core_type_matches(btf_trace_block_bio_queue___q), 0);
}
static __always_inline struct bio *compat_bio_split(__u64 *ctx)
{
	return compat_arg(ctx, bpf_core_type_matches(btf_trace_block_split___q), 0);
}

/* bpf_snprintf: 5.13 (7b15523a989b). */
enum bpf_func_id___snprintf {
	BPF_FUNC_snprintf___here = 1,
};
static __always_inline bool compat_has_snprintf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___snprintf, BPF_FUNC_snprintf___here);
}

/* The whole disk of a request; NULL for a queue without one (an NVMe admin queue). 5.14 gave request_queue a disk
 * (d152c682f03c), 5.17 took rq_disk away (f3fa33acca9f). */
static __always_inline struct gendisk *compat_rq_disk(struct request *rq)
{
	if (bpf_core_field_exists(struct request_queue, disk))
		return rq->q->disk;
	return ((struct request___rq_disk *)rq)->rq_disk;
}

/* The whole disk of a bio. 5.12 “block: store a block_device pointer in struct bio” (309dca309fc3). */
static __always_inline struct gendisk *compat_bio_disk(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return bio->bi_bdev->bd_disk;
	return ((struct bio___bi_disk *)bio)->bi_disk;
}

/* A whole disk's number, the kernel's dev_t. */
static __always_inline __u32 compat_disk_dev(struct gendisk *disk)
{
	return (__u32)disk->major << 20 | (__u32)disk->first_minor;
}

/*
 * What is rarely asked of a bio is read by a helper. For each load of a pointer from a tracepoint's own pointer, the verifier
 * of 6.2 and later searches the kernel's whole BTF, and once for each way to the load.
 */

/* Who has claimed the device that a bio is for; 0: nobody, or it isn't known (before 5.12). */
static __always_inline __u64 compat_bio_holder(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return (__u64)BPF_CORE_READ(bio, bi_bdev, bd_holder);
	return 0;
}

/* The partition that a bio was addressed to, as dev_t; 0 where the kernel forgets it when it adds the partition's
 * start (before 5.12). */
static __always_inline __u32 compat_bio_part(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return BPF_CORE_READ(bio, bi_bdev, bd_dev);
	return 0;
}

/* The device that a bio was addressed to, as dev_t: its partition, or the whole disk where the kernel has forgotten that. */
static __always_inline __u32 compat_bio_device(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return compat_bio_part(bio);
	return compat_disk_dev(((struct bio___bi_disk *)bio)->bi_disk);
}

/* Tells one disk from another that gets its number later: a sequence number where there is one (5.15, cf179948554a). */
static __always_inline __u64 compat_disk_identity(struct gendisk *disk)
{
	if (bpf_core_field_exists(struct gendisk, diskseq))
		return disk->diskseq;
	return (__u64)disk;
}

/* block_rq_complete says a negative errno before 5.16 (8a7d267b4a2c made it a blk_status_t), which is never positive.
 * The numbers of blk_status_t above 13 moved between versions: the kernel's own errno for an unknown one is EIO. */
static __always_inline __u16 compat_errno(__s32 status)
{
	switch (status) {
	case 0:
		return 0;
	case 1: /* NOTSUPP */
		return 95; /* EOPNOTSUPP */
	case 2: /* TIMEOUT */
		return 110; /* ETIMEDOUT */
	case 3: /* NOSPC */
		return 28; /* ENOSPC */
	case 4: /* TRANSPORT */
		return 67; /* ENOLINK */
	case 5: /* TARGET */
		return 121; /* EREMOTEIO */
	case 6: /* NEXUS, RESV_CONFLICT */
		return 52; /* EBADE */
	case 7: /* MEDIUM */
		return 61; /* ENODATA */
	case 8: /* PROTECTION */
		return 84; /* EILSEQ */
	case 9: /* RESOURCE */
		return 12; /* ENOMEM */
	case 12: /* AGAIN */
		return 11; /* EAGAIN */
	case 13: /* DEV_RESOURCE */
		return 16; /* EBUSY */
	case 19: /* INVAL */
		return 22; /* EINVAL */
	default:
		return status < 0 ? (__u16)-status : 5; /* EIO */
	}
}

/* 5.12 made the flags of a request blk_opf_t, 6.0 renamed enum req_opf to req_op (ff07a02e9e8e), and 6.x renumbered the
 * zone operations: ask for each one's number. */
#define compat_op(name)                                                              \
	(bpf_core_enum_value_exists(enum req_op, REQ_OP_##name) ?                    \
		 bpf_core_enum_value(enum req_op, REQ_OP_##name) :                   \
	 bpf_core_enum_value_exists(enum req_opf___old, REQ_OP_##name##___old) ?     \
		 bpf_core_enum_value(enum req_opf___old, REQ_OP_##name##___old) :    \
		 0xffff)

static __always_inline __u8 compat_block_op(__u32 opf)
{
	__u32 op = opf & 0xff; /* REQ_OP_MASK, the same in all */

	/* the first six and DRV_IN/OUT have kept their numbers */
	switch (op) {
	case REQ_OP_READ:
		return IOLENS_OP_READ;
	case REQ_OP_WRITE:
		return IOLENS_OP_WRITE;
	case REQ_OP_FLUSH:
		return IOLENS_OP_FLUSH;
	case REQ_OP_DISCARD:
		return IOLENS_OP_DISCARD;
	case REQ_OP_SECURE_ERASE:
		return IOLENS_OP_SECURE_ERASE;
	case REQ_OP_WRITE_ZEROES:
		return IOLENS_OP_WRITE_ZEROES;
	case 32: /* SCSI_IN, until 5.16 */
	case 33: /* SCSI_OUT */
	case REQ_OP_DRV_IN:
	case REQ_OP_DRV_OUT:
		return IOLENS_OP_PASSTHROUGH;
	}
	if (op == compat_op(ZONE_APPEND))
		return IOLENS_OP_ZONE_APPEND;
	if (op == compat_op(ZONE_OPEN))
		return IOLENS_OP_ZONE_OPEN;
	if (op == compat_op(ZONE_CLOSE))
		return IOLENS_OP_ZONE_CLOSE;
	if (op == compat_op(ZONE_FINISH))
		return IOLENS_OP_ZONE_FINISH;
	if (op == compat_op(ZONE_RESET))
		return IOLENS_OP_ZONE_RESET;
	if (op == compat_op(ZONE_RESET_ALL))
		return IOLENS_OP_ZONE_RESET_ALL;
	if (bpf_core_enum_value_exists(enum req_opf___old, REQ_OP_WRITE_SAME___old) &&
	    op == bpf_core_enum_value(enum req_opf___old, REQ_OP_WRITE_SAME___old))
		return IOLENS_OP_WRITE_SAME;
	return IOLENS_OP_OTHER;
}

static __always_inline __u16 compat_block_flags(__u32 opf)
{
	__u16 flags = 0;

	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_PREFLUSH)))
		flags |= IOLENS_BLOCK_PREFLUSH;
	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_FUA)))
		flags |= IOLENS_BLOCK_FUA;
	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_RAHEAD)))
		flags |= IOLENS_BLOCK_RAHEAD;
	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_SYNC)))
		flags |= IOLENS_BLOCK_SYNC;
	if (opf & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_META)))
		flags |= IOLENS_BLOCK_META;
	return flags;
}

/*
 * The bio of the request that made the flush machinery send this cache flush (block/blk-flush.c: while a flush is in
 * flight, flush_queue[flush_running_idx] lists the requests that wait for it, oldest first). 0 where there is none.
 * Its `bio` is gone when the flush comes after its data; `biotail` stays.
 * 6.6 put them on request.queuelist instead of request.flush.list (81ada09cc25e).
 */
static __always_inline __u64 compat_flush_owner(struct request *rq)
{
	struct blk_flush_queue *fq = BPF_CORE_READ(rq, mq_hctx, fq);
	struct list_head *head, *first;
	__u64 offset, owner;

	if (!fq || BPF_CORE_READ(fq, flush_rq) != rq)
		return 0;
	head = BPF_CORE_READ_BITFIELD_PROBED(fq, flush_running_idx) ? &fq->flush_queue[1] : &fq->flush_queue[0];
	first = BPF_CORE_READ(head, next);
	if (!first || first == head)
		return 0;
	if (bpf_core_field_exists(((struct request___flush_list *)0)->flush.list))
		offset = bpf_core_field_offset(((struct request___flush_list *)0)->flush.list);
	else
		offset = bpf_core_field_offset(struct request, queuelist);
	owner = (__u64)first - offset;
	return (__u64)BPF_CORE_READ((struct request *)owner, biotail);
}

/* Of a typed pointer: TASK_RUNNING is 0. 5.14 gave task_struct.state another name and 32 bits (2f064a59a11f). */
static __always_inline __u64 compat_task_state(struct task_struct *task)
{
	__u64 state;

	if (bpf_core_field_exists(struct task_struct___new, __state)) {
		state = ((struct task_struct___new *)task)->__state;
		barrier_var(state); /* keeps the compiler from making one load of the two */
	} else {
		state = ((struct task_struct___state *)task)->state;
		barrier_var(state);
	}
	return state;
}

/* What a kernel thread was started with: 5.17 moved struct kthread from set_child_tid to worker_private
 * (e32cf5dfbe22). */
static __always_inline struct kthread *compat_kthread(struct task_struct *task)
{
	if (bpf_core_field_exists(struct task_struct, worker_private))
		return (struct kthread *)BPF_CORE_READ(task, worker_private);
	return (struct kthread *)BPF_CORE_READ((struct task_struct___set_child_tid *)task, set_child_tid);
}

/* What perf's raw_syscalls tracepoints give: /sys/kernel/tracing/events/raw_syscalls/sys_enter/format, an ABI. */
struct compat_sys_enter {
	__u64 common;
	__s64 id;
	__u64 args[6];
};
struct compat_sys_exit {
	__u64 common;
	__s64 id;
	__s64 result;
};

/* The n-th argument of a system call, from 0. */
#if defined(__TARGET_ARCH_x86)
static __always_inline __u64 compat_call_argument(struct pt_regs *regs, int n)
{
	switch (n) {
	case 0: return regs->di;
	case 1: return regs->si;
	case 2: return regs->dx;
	case 3: return regs->r10;
	case 4: return regs->r8;
	default: return regs->r9;
	}
}
#elif defined(__TARGET_ARCH_arm64)
static __always_inline __u64 compat_call_argument(struct pt_regs *regs, int n)
{
	switch (n) { /* no load at a computed offset of a typed pointer */
	case 0: return regs->regs[0];
	case 1: return regs->regs[1];
	case 2: return regs->regs[2];
	case 3: return regs->regs[3];
	case 4: return regs->regs[4];
	default: return regs->regs[5];
	}
}
#endif

/* Which call a thread is in, or returns from. */
static __always_inline __u64 compat_call_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#elif defined(__TARGET_ARCH_arm64)
	return (__u32)regs->syscallno;
#endif
}

/* Did the thread come into the kernel by an exception, and not by a system call? */
#if defined(__TARGET_ARCH_x86)
static __always_inline bool compat_in_exception(struct pt_regs *regs)
{
	return (__s64)regs->orig_ax < 0;
}
#elif defined(__TARGET_ARCH_arm64)
static __always_inline bool compat_in_exception(struct pt_regs *regs)
{
	return regs->syscallno < 0;
}
#endif

/* The n-th argument of a function, in user space or the kernel, from 0 to 4, its result, and the stack's end. */
#if defined(__TARGET_ARCH_x86)
static __always_inline __u64 compat_stack(struct pt_regs *regs) { return regs->sp; }
static __always_inline __u64 compat_function_argument(struct pt_regs *regs, int n)
{
	switch (n) {
	case 0: return regs->di;
	case 1: return regs->si;
	case 2: return regs->dx;
	case 3: return regs->cx;
	default: return regs->r8;
	}
}
static __always_inline __u64 compat_function_result(struct pt_regs *regs) { return regs->ax; }
#elif defined(__TARGET_ARCH_arm64)
static __always_inline __u64 compat_stack(struct pt_regs *regs) { return regs->sp; }
static __always_inline __u64 compat_function_argument(struct pt_regs *regs, int n)
{
	return compat_call_argument(regs, n);
}
static __always_inline __u64 compat_function_result(struct pt_regs *regs) { return regs->regs[0]; }
#endif

/* Does the task run a 32-bit program's system call, whose numbers are others? TS_COMPAT of x86, TIF_32BIT of arm64. */
static __always_inline bool compat_is_32bit(struct task_struct *task, bool direct)
{
#if defined(__TARGET_ARCH_x86)
	return (direct ? task->thread_info.status : BPF_CORE_READ(task, thread_info.status)) & 2;
#elif defined(__TARGET_ARCH_arm64)
	return (direct ? task->thread_info.flags : BPF_CORE_READ(task, thread_info.flags)) >> 22 & 1;
#endif
}

/* Calls of the x32 ABI: 64-bit ones with a bit in their numbers, and from 512 on some of their own. */
static __always_inline bool compat_is_x32(__u64 nr)
{
#if defined(__TARGET_ARCH_x86)
	return nr & 0x40000000 && (__s32)nr > 0;
#else
	(void)nr;
	return false;
#endif
}
/* The number of the call that it stands for: asm/unistd_x32.h. */
static __always_inline __u64 compat_x32_number(__u64 nr)
{
	nr &= ~0x40000000ULL;
	switch (nr) {
	case 514: return 16; /* ioctl */
	case 515: return 19; /* readv */
	case 516: return 20; /* writev */
	case 517: return 45; /* recvfrom */
	case 518: return 46; /* sendmsg */
	case 519: return 47; /* recvmsg */
	case 520: return 59; /* execve */
	case 532: return 278; /* vmsplice */
	case 534: return 295; /* preadv */
	case 535: return 296; /* pwritev */
	case 537: return 299; /* recvmmsg */
	case 538: return 307; /* sendmmsg */
	case 543: return 206; /* io_setup */
	case 544: return 209; /* io_submit */
	case 545: return 322; /* execveat */
	case 546: return 327; /* preadv2 */
	case 547: return 328; /* pwritev2 */
	default: return nr;
	}
}

/* io_uring_submit_sqe's request. Since 6.0 (6aeb82fa8b4c) it is the first argument. */
static __always_inline struct io_kiocb *compat_uring_submitted(__u64 *ctx)
{
	return compat_arg(ctx, !bpf_core_type_matches(btf_trace_io_uring_submit_sqe___req), 0);
}

/* Is a request's end told without the request? Then ring and user_data have to do. */
static __always_inline bool compat_uring_by_data(void)
{
	return !bpf_core_field_exists(struct trace_event_raw_io_uring_complete___req, req);
}

static __always_inline void compat_uring_key(struct io_kiocb *req, __u64 *owner, __u64 *which)
{
	if (compat_uring_by_data()) {
		*owner = (__u64)BPF_CORE_READ((struct io_kiocb___old *)req, ctx);
		*which = BPF_CORE_READ((struct io_kiocb___old *)req, user_data);
	} else {
		*owner = (__u64)req;
		*which = 0;
	}
}

struct compat_uring_end {
	__u64 owner, which; /* as compat_uring_key has them */
	__u64 req;          /* 0: not told */
	__s32 result;
	__u32 flags; /* IORING_CQE_F_… */
};

/* 5.18 gave the request (502c87d65564), 6.16 took the rest together as a cqe. */
static __always_inline void compat_uring_complete(__u64 *ctx, struct compat_uring_end *end)
{
	if (compat_uring_by_data()) {
		end->owner = ctx[0];
		end->which = ctx[1];
		end->result = (__s32)ctx[2];
		end->flags = (__u32)ctx[3];
		return;
	}
	end->req = end->owner = ctx[1];
	if (bpf_core_type_matches(btf_trace_io_uring_complete___cqe)) {
		struct io_uring_cqe *cqe = (struct io_uring_cqe *)ctx[2];

		end->result = BPF_CORE_READ(cqe, res);
		end->flags = BPF_CORE_READ(cqe, flags);
	} else {
		end->result = (__s32)ctx[3];
		end->flags = (__u32)ctx[4];
	}
}

/* What a request moves: in 6.0 (f2ccb5aed7bc) the commands' structs left struct io_kiocb. */
static __always_inline struct io_rw *compat_uring_rw(struct io_kiocb *req)
{
	if (bpf_core_field_exists(struct io_kiocb___old, rw))
		return (void *)req + bpf_core_field_offset(struct io_kiocb___old, rw);
	return (void *)req + bpf_core_field_offset(struct io_kiocb___cmd, cmd);
}
static __always_inline __s64 compat_uring_offset(struct io_kiocb *req)
{
	return BPF_CORE_READ(compat_uring_rw(req), kiocb.ki_pos);
}
static __always_inline __u32 compat_uring_length(struct io_kiocb *req)
{
	return BPF_CORE_READ(compat_uring_rw(req), len);
}
static __always_inline __u32 compat_uring_flags(struct io_kiocb *req)
{
	__u64 flags = 0; /* 32 bits until 6.8; the low ones are what counts */

	bpf_probe_read_kernel(&flags, 4, (void *)req + bpf_core_field_offset(struct io_kiocb, flags));
	return (__u32)flags;
}
/* The fd that a request names; -1 where the kernel forgets it (before 6.0). */
static __always_inline __s32 compat_uring_fd(struct io_kiocb *req)
{
	if (bpf_core_field_exists(struct io_kiocb___cqe, cqe.fd))
		return BPF_CORE_READ((struct io_kiocb___cqe *)req, cqe.fd);
	return -1;
}
static __always_inline struct file *compat_uring_file(struct io_kiocb *req)
{
	return BPF_CORE_READ(req, file);
}

/*
 * The first page of a compound page. 7.1 put a mask in compound_head's place where that will do, and called it
 * compound_info; a pointer's high half is never all ones in the memory map.
 */
static __always_inline __u64 compat_head_page(__u64 page)
{
	__u64 head;

	if (bpf_core_field_exists(struct page___compound_info, compound_info)) {
		head = BPF_CORE_READ((struct page___compound_info *)page, compound_info);
		if (head & 1)
			return head >> 32 == 0xffffffff ? page & head : head - 1;
	} else {
		head = BPF_CORE_READ((struct page___compound_head *)page, compound_head);
		if (head & 1)
			return head - 1;
	}
	return page;
}

/* page.mapping, or folio.mapping (5.16): both in the first page. Bit 0: an anonymous page. */
static __always_inline __u64 compat_mapping(__u64 page)
{
	if (bpf_core_field_exists(struct folio___mapping, mapping))
		return (__u64)BPF_CORE_READ((struct folio___mapping *)page, mapping);
	return (__u64)BPF_CORE_READ((struct page *)page, mapping);
}

/* Does a head page hold its file's data? Not while it is read, and always while a program has it mapped. page.flags was a
 * number before 6.18 (53fbef56e07d). */
static __always_inline bool compat_is_uptodate(__u64 page)
{
	__u32 bit = bpf_core_enum_value(enum pageflags___uptodate, PG_uptodate___uptodate);
	__u64 flags;

	if (bpf_core_field_exists(struct page___memdesc, flags.f))
		flags = BPF_CORE_READ((struct page___memdesc *)page, flags.f);
	else
		flags = BPF_CORE_READ((struct page___flags *)page, flags);
	return flags >> (bit & 63) & 1;
}

/* Which page of its file a folio begins at. */
static __always_inline __u64 compat_folio_index(__u64 folio)
{
	return BPF_CORE_READ((struct folio___index *)folio, index);
}

/* A name of an inode: inode.i_dentry lists struct dentry by d_u.d_alias; 7.1 dropped the name of that union. */
static __always_inline __u64 compat_alias(struct inode *inode)
{
	__u64 first = (__u64)BPF_CORE_READ(inode, i_dentry.first);

	if (!first)
		return 0;
	if (bpf_core_field_exists(((struct dentry___d_u *)0)->d_u.d_alias))
		return first - bpf_core_field_offset(((struct dentry___d_u *)0)->d_u.d_alias);
	return first - bpf_core_field_offset(struct dentry___d_alias, d_alias);
}

/* The block device that an inode of the block devices' own filesystem stands for. */
static __always_inline struct block_device *compat_bdev(__u64 inode)
{
	return (void *)inode - bpf_core_field_offset(struct bdev_inode___whole, vfs_inode) +
	       bpf_core_field_offset(struct bdev_inode___whole, bdev);
}

/* What a buffer head ends at; 7.3 has it no more: its bio ends there. */
static __always_inline __u64 compat_buffer_end(__u64 buffer)
{
	return compat_read_if(struct buffer_head___end, buffer, b_end_io);
}

static __always_inline bool compat_is_swap(__u32 opf)
{
	return bpf_core_enum_value_exists(enum req_flag_bits___swap, __REQ_SWAP___swap) &&
	       opf & (1u << bpf_core_enum_value(enum req_flag_bits___swap, __REQ_SWAP___swap));
}

/*
 * The mounts of a filesystem, as struct mount and numbers; 0: there are no more. super_block.s_mounts is a list of
 * mount.mnt_instance; 6.18 made it a chain.
 */
/* What a list's entry or head has behind it, as a mount; 0: the head again. */
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

/* The kiocb of the direct I/O that owns a bio, and the result that iomap_dio_complete() gives it when this is the last one. */
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

/* The file of a direct read of one block, whose bio is a member of its struct iomap_dio_simple (7.2). */
static __always_inline __u64 compat_simple_dio_inode(__u64 bio)
{
	if (bpf_core_field_exists(struct iomap_dio_simple___bio, iocb)) {
		struct iomap_dio_simple___bio *dio = (void *)bio - bpf_core_field_offset(struct iomap_dio_simple___bio, bio);

		return (__u64)BPF_CORE_READ(dio, iocb, ki_filp, f_inode);
	}
	return 0;
}

/*
 * The inode that a bio of btrfs's own is for, whose pages may be none of the file's (direct, compressed): the bio is a
 * member of struct btrfs_bio, which has the inode (6.4).
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
 * Of a bio of btrfs's own, until 6.3: who is told by btrfs that it has ended, and the owner, which has the inode.
 *
 * Before 6.0 it has a struct beside it instead of around it, which 5.10's BTF, without modules, doesn't have: its beginning
 * was the same from 4.x to 5.19. What is read there counts only where a known function stands in it, and an inode only
 * where it is one.
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
/* Until 5.19 the end of a read is handed to a work queue first: the same two of what waits there. */
static __always_inline __u64 compat_btrfs_queued_end(__u64 *owner)
{
	struct {
		__u64 bio, end_io, private;
	} queued = {};

	bpf_probe_read_kernel(&queued, sizeof(queued), (void *)*owner);
	*owner = queued.private;
	return queued.end_io;
}
/* A pointer to an inode of btrfs's, where no BTF tells what is there; 0: it is none. */
static __always_inline __u64 compat_btrfs_untold_inode(__u64 at)
{
	struct address_space *mapping;
	struct inode *inode = 0;

	bpf_probe_read_kernel(&inode, sizeof(inode), (void *)at);
	mapping = BPF_CORE_READ(inode, i_mapping);
	if (!mapping || BPF_CORE_READ(mapping, host) != inode || BPF_CORE_READ(inode, i_sb, s_magic) != MAGIC_BTRFS)
		return 0;
	return (__u64)inode;
}
static __always_inline __u64 compat_btrfs_direct_inode(__u64 owner)
{
	if (bpf_core_type_exists(struct btrfs_dio_private___inode))
		return compat_read_if(struct btrfs_dio_private___inode, owner, inode);
	return compat_btrfs_untold_inode(owner);
}
static __always_inline __u64 compat_btrfs_compressed_inode(__u64 owner)
{
	if (bpf_core_type_exists(struct compressed_bio___inode))
		return compat_read_if(struct compressed_bio___inode, owner, inode);
	return compat_btrfs_untold_inode(owner + 16); /* behind a count and the pages */
}

/*
 * The bio that dm-crypt's own is for. What it has of that bio lies a little before it, which is how one is known where
 * modules have no BTF (5.10); there, too, it is the second of the struct.
 */
static __always_inline __u64 compat_crypt_base(__u64 io)
{
	__u64 base = 0;

	if (bpf_core_type_exists(struct dm_crypt_io___base))
		return compat_read_if(struct dm_crypt_io___base, io, base_bio);
	bpf_probe_read_kernel(&base, sizeof(base), (void *)(io + 8));
	return base > io && base - io < 4096 ? base : 0;
}

/*
 * Pids in namespaces. A task has a struct pid for its thread and one for its process, with a number for each namespace
 * from the initial one, level 0, down to its own. Both are NULL when the task was reaped.
 */
static __always_inline struct pid___numbers *compat_thread_pid(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___pid *)task, thread_pid);
}
static __always_inline struct pid___numbers *compat_process_pid(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___pids *)task, signal, pids[1]); /* PIDTYPE_TGID */
}

/* The number of a struct pid at a level. */
static __always_inline struct upid___numbers *compat_upid(struct pid___numbers *pid, __u32 level)
{
	return (void *)pid + bpf_core_field_offset(struct pid___numbers, numbers) +
	       level * bpf_core_type_size(struct upid___numbers);
}

/* The number of a struct pid in a namespace, which is at this level; 0: it has none there. */
static __always_inline __u32 compat_pid_in(struct pid___numbers *pid, __u32 level, __u64 ns)
{
	struct upid___numbers *upid;

	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	upid = compat_upid(pid, level);
	return (__u64)BPF_CORE_READ(upid, ns) == ns ? BPF_CORE_READ(upid, nr) : 0;
}

/* The pid namespace that a task is in. */
static __always_inline void compat_active_pidns(struct task_struct *task, __u64 *ns, __u32 *level)
{
	struct pid___numbers *pid = compat_thread_pid(task);

	*level = BPF_CORE_READ(pid, level);
	*ns = (__u64)BPF_CORE_READ(compat_upid(pid, *level), ns);
}

/* Is this the last thread of its process to exit? do_exit() has counted it off by then. */
static __always_inline bool compat_last_thread(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___signal *)task, signal, live.counter) == 0;
}

#endif
