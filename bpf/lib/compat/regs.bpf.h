/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: registers and system calls of each architecture. */
#ifndef IOLENS_LIB_COMPAT_REGS_BPF_H
#define IOLENS_LIB_COMPAT_REGS_BPF_H

#include "lib/compat/base.bpf.h"

/* Context of perf's raw_syscalls tracepoints: /sys/kernel/tracing/events/raw_syscalls/sys_enter/format, an ABI. */
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

/* The n-th argument of a system call, starting at 0. */
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
	switch (n) { /* the verifier rejects loads at a computed offset of a typed pointer */
	case 0: return regs->regs[0];
	case 1: return regs->regs[1];
	case 2: return regs->regs[2];
	case 3: return regs->regs[3];
	case 4: return regs->regs[4];
	default: return regs->regs[5];
	}
}
#endif

/* Number of the system call that a thread is in, or returns from. */
static __always_inline __u64 compat_call_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#elif defined(__TARGET_ARCH_arm64)
	return (__u32)regs->syscallno;
#endif
}

/* Did the thread enter the kernel by an exception rather than a system call? */
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

/* Arguments 0 to 4 of a function in user space or the kernel, its result, and the stack pointer. */
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

/* The stack pointer of the running thread in user space. At perf's tracepoints there are no `regs`; those are used on
 * kernels which can find them. 0: unknown. */
static __always_inline __u64 compat_user_stack(struct pt_regs *regs)
{
	if (regs)
		return regs->sp;
	if (!bpf_core_enum_value_exists(enum bpf_func_id___regs, BPF_FUNC_task_pt_regs___here))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return BPF_CORE_READ(regs, sp);
}

/* Distance from the stack pointer of rt_sigreturn to the signal mask that it restores, in the frame of the handler:
 * struct rt_sigframe, without the return address that the handler has popped on x86. */
#if defined(__TARGET_ARCH_x86)
#define COMPAT_SIGFRAME_MASK 296
#elif defined(__TARGET_ARCH_arm64)
#define COMPAT_SIGFRAME_MASK 168
#endif

/* Is the task in a 32-bit system call, whose numbers differ? TS_COMPAT on x86, TIF_32BIT on arm64. */
static __always_inline bool compat_is_32bit(struct task_struct *task, bool direct)
{
#if defined(__TARGET_ARCH_x86)
	return (direct ? task->thread_info.status : BPF_CORE_READ(task, thread_info.status)) & 2;
#elif defined(__TARGET_ARCH_arm64)
	return (direct ? task->thread_info.flags : BPF_CORE_READ(task, thread_info.flags)) >> 22 & 1;
#endif
}

/* Is there a table of the 32-bit calls: i386's? */
#if defined(__TARGET_ARCH_x86)
#define COMPAT_32BIT_TABLE 1
#else
#define COMPAT_32BIT_TABLE 0
#endif

/* The n-th argument of a 32-bit system call, starting at 0. */
#if defined(__TARGET_ARCH_x86)
static __always_inline __u32 compat_32bit_argument(struct pt_regs *regs, int n)
{
	switch (n) {
	case 0: return regs->bx;
	case 1: return regs->cx;
	case 2: return regs->dx;
	case 3: return regs->si;
	case 4: return regs->di;
	default: return regs->bp;
	}
}
#elif defined(__TARGET_ARCH_arm64)
static __always_inline __u32 compat_32bit_argument(struct pt_regs *regs, int n)
{
	return compat_call_argument(regs, n);
}
#endif

/* System calls of the x32 ABI: the 64-bit numbers with an extra bit, and some of their own from 512. */
static __always_inline bool compat_is_x32(__u64 nr)
{
#if defined(__TARGET_ARCH_x86)
	return nr & 0x40000000 && (__s32)nr > 0;
#else
	(void)nr;
	return false;
#endif
}

#define COMPAT_X32_OWN 512
/* The 64-bit numbers of x32's own, which take the structs of 32-bit programs: asm/unistd_x32.h. */
static const __u16 compat_x32_own[] = {
	13 /* rt_sigaction */, 15 /* rt_sigreturn */, 16 /* ioctl */, 19 /* readv */, 20 /* writev */,
	45 /* recvfrom */, 46 /* sendmsg */, 47 /* recvmsg */, 59 /* execve */, 101 /* ptrace */,
	127 /* rt_sigpending */, 128 /* rt_sigtimedwait */, 129 /* rt_sigqueueinfo */, 131 /* sigaltstack */,
	222 /* timer_create */, 244 /* mq_notify */, 246 /* kexec_load */, 247 /* waitid */, 273 /* set_robust_list */,
	274 /* get_robust_list */, 278 /* vmsplice */, 279 /* move_pages */, 295 /* preadv */, 296 /* pwritev */,
	297 /* rt_tgsigqueueinfo */, 299 /* recvmmsg */, 307 /* sendmmsg */, 310 /* process_vm_readv */,
	311 /* process_vm_writev */, 54 /* setsockopt */, 55 /* getsockopt */, 206 /* io_setup */, 209 /* io_submit */,
	322 /* execveat */, 327 /* preadv2 */, 328 /* pwritev2 */,
};
static __always_inline bool compat_is_x32_own(__u64 nr)
{
	return compat_is_x32(nr) && (nr & ~0x40000000ULL) >= COMPAT_X32_OWN;
}
/* The corresponding 64-bit number. */
static __always_inline __u64 compat_x32_number(__u64 nr)
{
	__u64 own;

	nr &= ~0x40000000ULL;
	own = nr - COMPAT_X32_OWN;
	return own < sizeof(compat_x32_own) / sizeof(compat_x32_own[0]) ? compat_x32_own[own] : nr;
}

#endif
