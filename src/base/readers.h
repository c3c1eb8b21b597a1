// SPDX-License-Identifier: Apache-2.0
// Which processes read what iolens writes. Each row makes I/O in them; were that traced too, each row would make
// another one.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// The pipe that a process has as standard output, by its inode; 0: it is no pipe. `root` is "/" but for tests.
u64 stdout_pipe_of(u32 pid, const std::string& root = "/");

/// Who reads which pipe, at one moment. To find it out, the open files of all processes are looked at.
class PipeReaders {
public:
    explicit PipeReaders(const std::string& root = "/");

    /// The processes that read a pipe, those that read the pipe that their standard output is, and so on: of
    /// `iolens | tee rows | grep x` tee and grep. The first in the pipeline come first.
    [[nodiscard]] std::vector<u32> behind(u64 pipe) const;

private:
    std::unordered_map<u64, std::vector<u32>> readers_;  // of each pipe
    std::unordered_map<u32, u64> stdout_;                // the pipe of each reader
};

/// The processes that take rows of this run. It is filled by those that hand out rows, and read by the lens.
class RowReaders {
public:
    void add(u32 pid) { ++counts_[pid]; }
    void remove(u32 pid);
    [[nodiscard]] bool contains(u32 pid) const { return !counts_.empty() && counts_.contains(pid); }

private:
    std::unordered_map<u32, u32> counts_;  // a process may have connected several times
};

/// Those of this process. For the thread that runs the lens.
RowReaders& row_readers();

}  // namespace iolens
