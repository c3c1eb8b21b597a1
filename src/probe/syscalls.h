// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "base/fd.h"
#include "iolens/event/call.h"
#include "iolens/filter.h"
#include "probe/bpf.h"
#include "probe/libc.h"
#include "probe/vfs.h"

struct bpf_program;
struct syscall_bpf;

namespace iolens {

/// The programs of bpf/syscall.bpf.c in the kernel, from construction to destruction.
class SyscallProbe {
public:
    struct Options {
        iolens_filter filter{};
        int cgroup_fd = -1;  ///< of filter.by_cgroup
        u64 ring_bytes = 8 << 20;
        u32 max_threads = 32768;                                ///< entries of the state map
        std::array<iolens_call_info, IOLENS_CALLS> syscalls{};  ///< by system call number
        std::array<u8, IOLENS_AIO_OPS> aio_ops{};               ///< enum iolens_request_flag, by opcode
        std::array<u8, IOLENS_URING_OPS> uring_ops{};           ///< likewise
        u64 own_ino = 0;                                        ///< what rows are written to, by inode …
        u32 own_dev = 0;                 ///< … and device, the kernel's dev_t; calls on it are left out
        std::optional<WatchMaps> watch;  ///< only calls on watched files, into the same ring
        bool decode_all = false;         ///< tell each call's arguments
        std::vector<u32> follow;         ///< processes to follow; empty: all that `filter` lets through
        // of io-monitor's view
        bool operations = false;
        bool leave_std = false;  ///< leave out calls on fds 0, 1 and 2
        bool emit_start = false;
        bool emit_stop = false;
        bool emit_cwd = false;
        std::vector<u8> start_words;     ///< --start-on-open: rows of 256, see bpf/syscall/operations.bpf.h
        u64 start_on_elapsed_ns = 0;     ///< 0: not asked for
        u64 libc_operations = 0;         ///< bit (1 << op): functions of libc are wanted for it …
        std::vector<LibcFunction> libc;  ///< … and these are there
    };

    /// Loads and attaches. Throws Failure (unavailable) where the kernel refuses.
    explicit SyscallProbe(const Options& options);
    ~SyscallProbe();
    SyscallProbe(const SyscallProbe&) = delete;
    SyscallProbe& operator=(const SyscallProbe&) = delete;

    /// Sends what is not over as records without an end (IOLENS_CALL_PENDING).
    void detach();
    [[nodiscard]] int ring_fd() const;
    /// The map of the processes to follow.
    [[nodiscard]] int followed_fd() const;
    [[nodiscard]] iolens_loss ledger() const;
    /// Runs of its programs that the kernel skipped.
    [[nodiscard]] u64 missed() const;
    /// Followed processes that live.
    [[nodiscard]] s64 alive() const;
    /// Takes out the processes that are gone, where the kernel may have skipped the program that does so: it preempts
    /// programs, and skips them meanwhile. Looks no more than once a second.
    void forget_gone();
    /// Takes a process out that was gone before it could be followed.
    void forget(u32 pid);
    /// Sends and forgets the requests that can't be in flight any more: their process has ended or executed another
    /// program, or their context was destroyed. Looks only when such a thing has happened, and ten times a second at
    /// most.
    void drop_ended_requests();
    /// The names (name_id) that what is under way will need at its end.
    [[nodiscard]] std::vector<u64> names_in_flight() const;
    /// Names of threads and files are sent again when they are used from now on.
    void begin_period();

    /// The variants that the kernel refused, and why.
    [[nodiscard]] const std::vector<std::string>& why() const { return why_; }

    /// Leaves out a process that reads our rows from a pipe (its inode; 0: from another place), and its children that
    /// have the pipe.
    void leave_out(u32 pid, u64 pipe);
    void take_in(u32 pid);
    /// Loads and attaches each program by itself and says how it went; leaves nothing attached.
    static std::vector<ProbeStatus> examine(bool variants);

private:
    struct Close {
        void operator()(syscall_bpf* object) const;
    };
    void choose_programs(const Options& options, bool direct);
    int load(const Options& options, bool direct);
    bool start(const Options& options, bool& direct);
    bool give_up(bool& variant, std::string_view name, int error);
    bool attach_libc(const std::vector<LibcFunction>& functions);
    void drop_requests();
    void drop_request(const std::array<u64, 2>& key, u64 start, u16 flag);
    static void run(const bpf_program* program, std::span<u64> arguments);

    std::unique_ptr<syscall_bpf, Close> object_;
    std::vector<Link> links_;
    Link iterator_link_;  ///< of the direct programs: runs one for each thread …
    Fd iterator_;         ///< … when it is read
    std::vector<std::string> why_;
    bool preempts_ = false;
    std::chrono::steady_clock::time_point looked_at_{};
    std::chrono::steady_clock::time_point dropped_at_{};  ///< requests
    u64 request_ends_ = 0;                                ///< as of the last search of the map
    bool perf_ = false;                                   ///< system calls are seen at perf's tracepoints
    bool many_uprobes_ = false;                           ///< libc's functions are attached together …
    std::vector<Fd> many_links_;                          ///< … by these
};

}  // namespace iolens
