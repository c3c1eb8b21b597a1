// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/fd.h"
#include "iolens/compat_call.h"
#include "iolens/event/call.h"
#include "iolens/filter.h"
#include "probe/bpf.h"
#include "probe/libc.h"
#include "probe/vfs.h"

struct bpf_program;
struct syscall_bpf;

namespace iolens {

/// The programs of bpf/syscall.bpf.c, loaded from construction to destruction.
class SyscallProbe {
public:
    struct Options {
        iolens_filter filter{};
        int cgroup_fd = -1;  ///< for filter.by_cgroup
        u64 ring_bytes = 8 << 20;
        u32 max_threads = 32768;                                              ///< entries of the state map
        std::array<iolens_call_info, IOLENS_CALLS> syscalls{};                ///< by system call number
        std::array<iolens_call_info, IOLENS_COMPAT_CALLS> compat_syscalls{};  ///< likewise of 32-bit programs
        std::array<iolens_compat_call, IOLENS_COMPAT_CALLS> compat_calls{};
        std::array<u8, IOLENS_AIO_OPS> aio_ops{};      ///< enum iolens_request_flag, by opcode
        std::array<u8, IOLENS_URING_OPS> uring_ops{};  ///< likewise
        u64 own_ino = 0;                               ///< the file that rows are written to, by inode …
        u32 own_dev = 0;                               ///< … and device, the kernel's dev_t; calls on it are skipped
        std::optional<WatchMaps> watch;                ///< only calls on watched files, into the same ring
        bool map_facts = false;                        ///< --min-ms doesn't apply to calls that map files
        bool decode_all = false;                       ///< emit each call's arguments
        std::vector<u32> follow;                       ///< processes to follow; empty: all that match `filter`
        // for io-monitor's view
        bool operations = false;
        bool leave_std = false;  ///< skip calls on fds 0, 1 and 2
        bool emit_start = false;
        bool emit_stop = false;
        bool emit_cwd = false;
        std::vector<u8> start_words;     ///< --start-on-open: rows of 256, see bpf/syscall/operations.bpf.h
        u64 start_on_elapsed_ns = 0;     ///< 0: not requested
        u64 libc_operations = 0;         ///< bit (1 << op): probe libc functions for this operation …
        std::vector<LibcFunction> libc;  ///< … and these were found
        /// Called when the programs are loaded, before the first one is attached: attaches probes that must see
        /// everything that happens during a call. Called again if another variant has to be loaded.
        std::function<void(const SyscallProbe&)> before_attach;
    };

    /// Loads and attaches. Throws Failure (unavailable) if the kernel rejects a program.
    explicit SyscallProbe(const Options& options);
    ~SyscallProbe();
    SyscallProbe(const SyscallProbe&) = delete;
    SyscallProbe& operator=(const SyscallProbe&) = delete;

    /// Sends operations still in flight as records without an end (IOLENS_CALL_PENDING).
    void detach();
    [[nodiscard]] int ring_fd() const;
    /// The map of followed processes.
    [[nodiscard]] int followed_fd() const;
    [[nodiscard]] iolens_loss ledger() const;
    /// Runs of its programs that the kernel skipped.
    [[nodiscard]] u64 missed() const;
    /// Number of followed processes that are alive.
    [[nodiscard]] s64 alive() const;
    /// Removes followed processes that have exited, in case the kernel skipped the program that does so: it may preempt
    /// programs, and skips their runs meanwhile. Checks at most once a second.
    void forget_gone();
    /// Removes a process that exited before it could be followed.
    void forget(u32 pid);
    /// Sends and deletes requests that can't be in flight any more: their process has exited or executed another
    /// program, or their context was destroyed. Scans only after such an event, and at most ten times a second.
    void drop_ended_requests();
    /// The names (name_id) that operations in flight will need when they end.
    [[nodiscard]] std::vector<u64> names_in_flight() const;
    /// Names of threads and files are sent again when they are next used.
    void begin_period();

    /// The variants that the kernel rejected, with the reasons.
    [[nodiscard]] const std::vector<std::string>& why() const { return why_; }

    /// Ignores a process that reads our rows from a pipe (its inode; 0: not a pipe), and those of its children that
    /// have the pipe open.
    void leave_out(u32 pid, u64 pipe);
    void take_in(u32 pid);
    /// Loads and attaches each program by itself and reports the result; leaves nothing attached.
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
    void choose_completions();
    void attach_completions();
    void drop_requests();
    void send_pending(const Fd& iterator);
    void drop_request(const std::array<u64, 2>& key, u64 start, u16 flag);
    static void run(const bpf_program* program, std::span<u64> arguments);

    std::unique_ptr<syscall_bpf, Close> object_;
    std::vector<Link> links_;
    Link iterator_link_;           ///< of the direct programs: runs one for each thread …
    std::array<Fd, 2> iterators_;  ///< … when one of these is read; each can be read once
    std::vector<std::string> why_;
    bool preempts_ = false;
    std::chrono::steady_clock::time_point looked_at_{};
    std::chrono::steady_clock::time_point dropped_at_{};  ///< when requests were last dropped
    u64 request_ends_ = 0;                                ///< as of the last scan of the map
    bool perf_ = false;                                   ///< system calls are traced at perf's tracepoints
    std::optional<AttachMode> completions_;               ///< how libaio's completions are traced
    bool many_uprobes_ = false;                           ///< libc's functions are attached together …
    std::vector<Fd> many_links_;                          ///< … by these
};

}  // namespace iolens
