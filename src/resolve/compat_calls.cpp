// SPDX-License-Identifier: Apache-2.0
#include "resolve/compat_calls.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "resolve/syscalls.h"

namespace iolens {
namespace {

#if defined(__x86_64__)
constexpr u8 none = IOLENS_COMPAT_NONE;
constexpr u16 sockets = IOLENS_COMPAT_SOCKETCALLS;

/// The words in this order.
constexpr iolens_compat_call placed(std::initializer_list<u8> words) {
    iolens_compat_call call{};
    std::ranges::fill(call.low, none);
    std::ranges::fill(call.high, none);
    std::ranges::copy(words, std::begin(call.low));
    return call;
}

/// A word for each argument; the last ones may be missing.
constexpr iolens_compat_call in_order(u8 words = IOLENS_CALL_ARGUMENTS) {
    iolens_compat_call call = placed({});
    for (u8 i = 0; i < words; ++i) call.low[i] = i;
    return call;
}

/// Likewise in the caller's memory.
constexpr iolens_compat_call in_memory(u8 words) {
    iolens_compat_call call = in_order(words);
    call.words = words;
    return call;
}

/// These arguments have two words each, the low one first.
constexpr iolens_compat_call wide(std::initializer_list<u8> arguments) {
    iolens_compat_call call = placed({});
    u8 word = 0;
    for (u8 i = 0; i < IOLENS_CALL_ARGUMENTS && word < IOLENS_CALL_ARGUMENTS; ++i) {
        call.low[i] = word++;
        if (std::ranges::find(arguments, i) != arguments.end()) call.high[i] = word++;
    }
    return call;
}

/// preadv and their like: the offset has two words in 64-bit programs, too, but is in the first.
constexpr iolens_compat_call at_pair() {
    iolens_compat_call call = placed({0, 1, 2, 3, none, 5});
    call.high[3] = 4;
    return call;
}

constexpr iolens_compat_call with(iolens_compat_call call, iolens_compat_flag flag) {
    call.flags = static_cast<u8>(flag);
    return call;
}

/// fd, high and low half of the offset, address of the result, whence
constexpr iolens_compat_call llseek() {
    iolens_compat_call call = placed({0, 2, 4});
    call.high[1] = 1;
    return with(call, IOLENS_COMPAT_RESULT);
}

/// Which struct stat a call returns; 0: the native one, or none.
constexpr u8 stat_of(u16 number) {
    switch (number) {
        case 18:
        case 28:
        case 84: return IOLENS_COMPAT_STAT_OLD;
        case 106:
        case 107:
        case 108: return IOLENS_COMPAT_STAT;
        case 195:
        case 196:
        case 197:
        case 300: return IOLENS_COMPAT_STAT64;
        default: return 0;
    }
}

/// Names of 64-bit calls. Their numbers in 32-bit programs are consecutive.
struct Run {
    u16 first;
    std::string_view names;
};

/// Calls with the arguments of 64-bit programs. From 424 on, the numbers of all architectures are the same.
constexpr u16 first_same = 424;
constexpr std::array in_their_order{
    Run{0, "restart_syscall exit fork read write open close"},
    Run{8, "creat link unlink execve chdir time mknod chmod lchown"},
    Run{18, "stat lseek getpid mount"},
    Run{23, "setuid getuid"},
    Run{26, "ptrace alarm fstat pause utime"},
    Run{33, "access"},
    Run{36, "sync kill rename mkdir rmdir dup pipe times"},
    Run{45, "brk setgid getgid"},
    Run{49, "geteuid getegid acct umount2"},
    Run{54, "ioctl fcntl"},
    Run{57, "setpgid"},
    Run{59, "uname umask chroot ustat dup2 getppid getpgrp setsid"},
    Run{70, "setreuid setregid"},
    Run{74, "sethostname setrlimit getrlimit getrusage gettimeofday settimeofday getgroups setgroups"},
    Run{83, "symlink lstat readlink uselib swapon reboot getdents"},
    Run{91, "munmap truncate ftruncate fchmod fchown getpriority setpriority"},
    Run{99, "statfs fstatfs ioperm"},
    Run{103, "syslog setitimer getitimer stat lstat fstat uname iopl vhangup"},
    Run{114, "wait4 swapoff sysinfo"},
    Run{118, "fsync rt_sigreturn"},
    Run{121, "setdomainname uname modify_ldt adjtimex mprotect"},
    Run{127, "create_module init_module delete_module get_kernel_syms quotactl getpgid fchdir"},
    Run{135, "sysfs personality afs_syscall setfsuid setfsgid"},
    Run{141,
        "getdents select flock msync readv writev getsid fdatasync _sysctl mlock munlock mlockall munlockall "
        "sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_yield "
        "sched_get_priority_max sched_get_priority_min sched_rr_get_interval nanosleep mremap setresuid "
        "getresuid"},
    Run{167,
        "query_module poll nfsservctl setresgid getresgid prctl rt_sigreturn rt_sigaction rt_sigprocmask "
        "rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend"},
    Run{182, "chown getcwd capget capset sigaltstack"},
    Run{188, "getpmsg putpmsg vfork getrlimit"},
    Run{195,
        "stat lstat fstat lchown getuid getgid geteuid getegid setreuid setregid getgroups setgroups fchown "
        "setresuid getresuid setresgid getresgid chown setuid setgid setfsuid setfsgid pivot_root mincore "
        "madvise getdents64 fcntl"},
    Run{224, "gettid"},
    Run{226,
        "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr "
        "removexattr lremovexattr fremovexattr tkill sendfile futex sched_setaffinity sched_getaffinity "
        "set_thread_area get_thread_area io_setup io_destroy io_getevents io_submit io_cancel"},
    Run{252, "exit_group"},
    Run{254,
        "epoll_create epoll_ctl epoll_wait remap_file_pages set_tid_address timer_create timer_settime "
        "timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime clock_getres clock_nanosleep"},
    Run{270, "tgkill utimes"},
    Run{273,
        "vserver mbind get_mempolicy set_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify "
        "mq_getsetattr kexec_load waitid"},
    Run{286,
        "add_key request_key keyctl ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch "
        "migrate_pages openat mkdirat mknodat fchownat futimesat newfstatat unlinkat renameat linkat "
        "symlinkat readlinkat fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list "
        "splice"},
    Run{315, "tee vmsplice move_pages getcpu epoll_pwait utimensat signalfd timerfd_create eventfd"},
    Run{325, "timerfd_settime timerfd_gettime signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1"},
    Run{335, "rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init"},
    Run{340,
        "prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg setns process_vm_readv "
        "process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp getrandom "
        "memfd_create bpf execveat socket socketpair bind connect listen accept4 getsockopt setsockopt "
        "getsockname getpeername sendto sendmsg recvfrom recvmsg shutdown userfaultfd membarrier mlock2 "
        "copy_file_range"},
    Run{380, "pkey_mprotect pkey_alloc pkey_free statx arch_prctl io_pgetevents rseq"},
    Run{393,
        "semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl clock_gettime clock_settime "
        "clock_adjtime clock_getres clock_nanosleep timer_gettime timer_settime timerfd_gettime "
        "timerfd_settime utimensat pselect6 ppoll"},
    Run{416,
        "io_pgetevents recvmmsg mq_timedsend mq_timedreceive semtimedop rt_sigtimedwait futex "
        "sched_rr_get_interval"},
};

struct Special {
    u16 number;
    std::string_view name;
    iolens_compat_call from;
};
constexpr std::array others{
    Special{7, "wait4", in_order(3)},     // waitpid
    Special{22, "umount2", in_order(1)},  // umount
    Special{82, "select", in_memory(5)},
    Special{90, "mmap", in_memory(6)},
    Special{120, "clone", placed({0, 1, 2, 4, 3})},
    Special{140, "lseek", llseek()},  // _llseek
    Special{180, "pread64", wide({3})},
    Special{181, "pwrite64", wide({3})},
    Special{187, "sendfile", with(in_order(), IOLENS_COMPAT_OFFSET)},
    Special{192, "mmap", with(in_order(), IOLENS_COMPAT_PAGES)},  // mmap2
    Special{193, "truncate", wide({1})},                          // truncate64
    Special{194, "ftruncate", wide({1})},                         // ftruncate64
    Special{225, "readahead", wide({1})},
    Special{250, "fadvise64", wide({1})},
    Special{253, "lookup_dcookie", wide({0})},
    Special{268, "statfs", placed({0, 2})},   // statfs64
    Special{269, "fstatfs", placed({0, 2})},  // fstatfs64
    Special{272, "fadvise64", wide({1, 2})},  // fadvise64_64
    Special{314, "sync_file_range", wide({1, 2})},
    Special{324, "fallocate", wide({2, 3})},
    Special{333, "preadv", at_pair()},
    Special{334, "pwritev", at_pair()},
    Special{339, "fanotify_mark", wide({2})},
    Special{378, "preadv2", at_pair()},
    Special{379, "pwritev2", at_pair()},
    Special{sockets + 1, "socket", in_memory(3)},
    Special{sockets + 2, "bind", in_memory(3)},
    Special{sockets + 3, "connect", in_memory(3)},
    Special{sockets + 4, "listen", in_memory(2)},
    Special{sockets + 5, "accept", in_memory(3)},
    Special{sockets + 6, "getsockname", in_memory(3)},
    Special{sockets + 7, "getpeername", in_memory(3)},
    Special{sockets + 8, "socketpair", in_memory(4)},
    Special{sockets + 9, "sendto", in_memory(4)},
    Special{sockets + 10, "recvfrom", in_memory(4)},
    Special{sockets + 11, "sendto", in_memory(6)},
    Special{sockets + 12, "recvfrom", in_memory(6)},
    Special{sockets + 13, "shutdown", in_memory(2)},
    Special{sockets + 14, "setsockopt", in_memory(5)},
    Special{sockets + 15, "getsockopt", in_memory(5)},
    Special{sockets + 16, "sendmsg", in_memory(3)},
    Special{sockets + 17, "recvmsg", in_memory(3)},
    Special{sockets + 18, "accept4", in_memory(4)},
    Special{sockets + 19, "recvmmsg", in_memory(5)},
    Special{sockets + 20, "sendmmsg", in_memory(4)},
};

/// Calls whose arguments are not decoded: they are counted if one of the calls that they stand for is selected. Of
/// socketcall, that is what none of the lines above is of.
constexpr std::array not_decoded{
    Run{25, "settimeofday"},    // stime
    Run{34, "setpriority"},     // nice
    Run{48, "rt_sigaction"},    // signal
    Run{67, "rt_sigaction"},    // sigaction
    Run{68, "rt_sigprocmask"},  // sgetmask
    Run{69, "rt_sigprocmask"},  // ssetmask
    Run{72, "rt_sigsuspend"},   // sigsuspend
    Run{73, "rt_sigpending"},   // sigpending
    Run{102,                    // socketcall
        "socket bind connect listen accept getsockname getpeername socketpair sendto recvfrom shutdown "
        "setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"},
    Run{117,  // ipc
        "semop semget semctl semtimedop msgsnd msgrcv msgget msgctl shmat shmdt shmget shmctl"},
    Run{126, "rt_sigprocmask"},  // sigprocmask
};

/// Calls `each` with each number and call.
template <typename Each>
void each_call(const Run& run, bool same_number, Each&& each) {
    u16 number = run.first;
    for (std::string_view names = run.names; !names.empty();) {
        const std::size_t end = std::min(names.find(' '), names.size());
        each(number, *std::ranges::find(syscalls(), names.substr(0, end), &Syscall::name));
        if (!same_number) ++number;
        names.remove_prefix(std::min(end + 1, names.size()));
    }
}

std::vector<CompatCall> make() {
    std::vector<CompatCall> calls;
    const auto add = [&](u16 number, const Syscall& call, iolens_compat_call from) {
        from.flags |= stat_of(number);
        u8 place = 0;
        for (std::string_view rest = call.arguments; !rest.empty(); ++place) {
            const std::size_t end = std::min(rest.find(' '), rest.size());
            if (rest[end - 1] == 'l' && from.high[place] == none) from.is_signed |= static_cast<u8>(1U << place);
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        for (; place < IOLENS_CALL_ARGUMENTS; ++place) from.low[place] = from.high[place] = none;
        calls.push_back({number, call.number, true, from});
    };
    for (const Run& run : not_decoded) {
        each_call(run, true,
                  [&](u16 number, const Syscall& call) { calls.push_back({number, call.number, false, placed({})}); });
    }
    for (const Run& run : in_their_order) {
        each_call(run, false, [&](u16 number, const Syscall& call) { add(number, call, in_order()); });
    }
    for (const Special& call : others) {
        add(call.number, *std::ranges::find(syscalls(), call.name, &Syscall::name), call.from);
    }
    for (const Syscall& call : syscalls()) {
        if (call.number >= first_same) add(call.number, call, in_order());
    }
    return calls;
}
#else
std::vector<CompatCall> make() { return {}; }
#endif

}  // namespace

std::span<const CompatCall> compat_calls() {
    static const std::vector<CompatCall> calls = make();
    return calls;
}

}  // namespace iolens
