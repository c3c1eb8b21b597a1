// SPDX-License-Identifier: Apache-2.0
// Which calls and requests the kernel side traces, and for which processes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "probe/syscalls.h"

namespace iolens {

/// Selects the calls to trace.
struct CallSelection {
    std::vector<u16> chosen;  ///< --op; empty: the calls that the view shows
    bool decode_all = false;
    bool seed_csv = false;
    bool summing = false;
    bool by_open = false;     ///< the summary is per open file
    bool operations = false;  ///< --domains chooses the calls

    /// Adds the calls and requests that a word of --op names. Throws Failure (usage) if there are none.
    void add(const std::string& word);
    /// Is the call selected by --op? Always true without --op.
    [[nodiscard]] bool includes(u16 call) const;

    void choose(SyscallProbe::Options& options) const;
};

/// The process of a process or thread id; nothing if it has ended.
std::optional<u32> process_of(u64 pid);

/// Follows these processes. Throws Failure (usage) if there is no such process.
void follow_processes(SyscallProbe::Options& options, const std::vector<u64>& pids);

}  // namespace iolens
