// SPDX-License-Identifier: Apache-2.0
// The output of iolens and the processes that read it: their I/O must not produce rows of its own.
#pragma once

#include <string>

#include "probe/syscalls.h"

namespace iolens {

/// For a trace of the whole machine, where each row would cause another one.
class OwnOutput {
public:
    /// Finds where rows go: `output`, or standard output if it is "". Calls on it are filtered in the kernel.
    OwnOutput(SyscallProbe::Options& options, const std::string& output);
    OwnOutput(const OwnOutput&) = delete;
    OwnOutput& operator=(const OwnOutput&) = delete;
    ~OwnOutput();

    /// Excludes the readers of the rows, including those that start later. Call it after attaching: a shell starts the
    /// programs of a pipeline one after the other, and the probes see the start of the later ones. What they did before
    /// has no rows either.
    void leave_readers_out(SyscallProbe& probe) const;

    /// Does this process read our rows?
    [[nodiscard]] static bool is_reader(u32 tgid);

private:
    void find_readers() const;

    u64 pipe_ = 0;  // inode of the pipe that rows go to; 0: not a pipe
    bool to_terminal_ = false;
};

}  // namespace iolens
