// SPDX-License-Identifier: Apache-2.0
// Which calls and requests the kernel side traces, and for which processes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "iolens/event/call.h"
#include "lens/options.h"
#include "probe/syscalls.h"

namespace iolens {

class OperationSelection;
struct Syscall;

/// Selects the calls to trace.
struct CallSelection {
    std::vector<u16> chosen;    ///< --op; empty: the calls that the view shows
    std::vector<u16> excluded;  ///< --not-op
    bool failed = false;        ///< --failed: only calls with an errno
    std::vector<std::string> not_ops;
    bool decode_all = false;
    bool seed_csv = false;
    bool summing = false;
    bool files = false;       ///< the summary has every call on files, by fd or by path
    bool by_open = false;     ///< the summary is per open file
    bool operations = false;  ///< --domains chooses the calls

    void view_flags(Flags& flags);
    /// Takes the words of --op and --not-op: calls, requests, operations and domains. With --domains (`by_domain`),
    /// operations and domains narrow that view. Throws Failure (usage) for an unknown name.
    void select(const std::vector<std::string>& ops, OperationSelection& view, bool by_domain);
    /// Is the call selected by --op and --not-op? Always true without them.
    [[nodiscard]] bool includes(u16 call) const;
    /// Does --failed leave the call out?
    [[nodiscard]] bool leaves_out(const iolens_call_event& e) const {
        return failed && (e.result >= 0 || call_is_unended(e));
    }

    /// Do other rows need what the call does, even if it has no row of its own? The mapping that msync writes back, the
    /// open and the close of a file in the summary.
    [[nodiscard]] bool needs(const Syscall& call) const;

    [[nodiscard]] bool shows(const Syscall& call) const;
    void choose(SyscallProbe::Options& options) const;
};

/// The process of a process or thread id; nothing if it has ended.
std::optional<u32> process_of(u64 pid);

/// Follows these processes. Throws Failure (usage) if there is no such process.
void follow_processes(SyscallProbe::Options& options, const std::vector<u64>& pids);

}  // namespace iolens
