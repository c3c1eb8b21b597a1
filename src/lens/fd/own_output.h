// SPDX-License-Identifier: Apache-2.0
// What rows are written to, and who reads them: the I/O of iolens itself, which must not make rows of its own.
#pragma once

#include <string>

#include "probe/syscalls.h"

namespace iolens {

/// Of a trace of the whole machine, where each row would make another one.
class OwnOutput {
public:
    /// Finds where rows go: `output`, or standard output for "". Its calls are filtered in the kernel.
    OwnOutput(SyscallProbe::Options& options, const std::string& output);
    OwnOutput(const OwnOutput&) = delete;
    OwnOutput& operator=(const OwnOutput&) = delete;
    ~OwnOutput();

    /// Leaves the readers of the rows out, those that come later, too. After attaching: a shell starts the programs of
    /// a pipeline one after the other, and those that begin later are seen to begin. What they did before has no row
    /// either.
    void leave_readers_out(SyscallProbe& probe) const;

    /// Is this a process that reads our rows?
    [[nodiscard]] static bool is_reader(u32 tgid);

private:
    void find_readers() const;

    u64 pipe_ = 0;  // inode of the pipe that rows go to; 0: to none
    bool to_terminal_ = false;
};

}  // namespace iolens
