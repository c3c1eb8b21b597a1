/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Macros of the kernel's headers. BTF has types, but no macros. Each value is part of the user ABI or the same in every
 * supported kernel. */
#ifndef IOLENS_LIB_KERNEL_BPF_H
#define IOLENS_LIB_KERNEL_BPF_H

/* uapi/linux/stat.h */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000

#define O_APPEND 02000 /* uapi/asm-generic/fcntl.h */
#define AT_EMPTY_PATH 0x1000 /* uapi/linux/fcntl.h */
#define RWF_APPEND 0x10 /* uapi/linux/fs.h; RWF_NOAPPEND: 6.9 */
#define RWF_NOAPPEND 0x20
#define MAP_ANONYMOUS 0x20 /* uapi/asm-generic/mman-common.h */
#define MS_ASYNC 1
#define MS_SYNC 4
#define VM_SHARED 8 /* linux/mm.h */
#define UIO_MAXIOV 1024 /* uapi/linux/uio.h */

/* uapi/asm-generic/errno-base.h; EIOCBQUEUED: linux/errno.h. Store the result of a map operation in an int before comparing
 * it: before 6.4 (d7ba4cc900bf) it is one, and the upper half of the register is not its sign. */
#define EIO 5
#define EAGAIN 11
#define EEXIST 17
#define ETIME 62
#define ECANCELED 125
#define EIOCBQUEUED 529

/* linux/socket.h */
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define SOCKADDR_MAX 128 /* struct sockaddr_storage */
#define UNIX_PATH_MAX 108 /* linux/un.h */

/* uapi/linux/magic.h */
#define PIPEFS_MAGIC 0x50495045
#define SOCKFS_MAGIC 0x534F434B
#define ANON_INODE_FS_MAGIC 0x09041934
#define PID_FS_MAGIC 0x50494446
#define NSFS_MAGIC 0x6E736673
#define BTRFS_SUPER_MAGIC 0x9123683E

/* linux/sched.h */
#define PF_IO_WORKER 0x10
#define PF_WQ_WORKER 0x20
#define PF_KTHREAD 0x00200000

/* uapi/linux/io_uring.h */
#define IORING_CQE_F_MORE 2
#define IORING_FILE_INDEX_ALLOC (~0U)
#define SPLICE_F_FD_IN_FIXED (1U << 31)
#define IORING_ACCEPT_MULTISHOT (1 << 0)
#define IORING_RECV_MULTISHOT (1 << 1)
#define IORING_RECVSEND_BUNDLE (1 << 4)
#define IORING_OP_POLL_ADD 6
#define IORING_OP_SENDMSG 9
#define IORING_OP_RECVMSG 10
#define IORING_OP_ACCEPT 13
#define IORING_OP_FALLOCATE 17
#define IORING_OP_OPENAT 18
#define IORING_OP_CLOSE 19
#define IORING_OP_SEND 26
#define IORING_OP_RECV 27
#define IORING_OP_OPENAT2 28
#define IORING_OP_SPLICE 30
#define IORING_OP_TEE 33
#define IORING_OP_SOCKET 45
#define IORING_OP_SEND_ZC 47
#define IORING_OP_SENDMSG_ZC 48
#define IORING_OP_READ_MULTISHOT 49
#define IORING_OP_RECV_ZC 58

#define EPOLLONESHOT (1U << 30) /* uapi/linux/eventpoll.h */

/* linux/mm_types.h: VM_FAULT_OOM, SIGBUS, SIGSEGV, HWPOISON, HWPOISON_LARGE, FALLBACK */
#define VM_FAULT_ERROR 0x000873

#endif
