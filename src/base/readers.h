// SPDX-License-Identifier: Apache-2.0
// Which processes read what iolens writes. Each row makes I/O in them; were that traced too, each row would make
// another one.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// The pipe that a process has as standard output, by its inode; 0: it is no pipe. `root` is "/" but for tests.
u64 stdout_pipe_of(u32 pid, const std::string& root = "/");

/// A process, and the inode of the pipe that it reads.
struct PipeReader {
    u32 pid = 0;
    u64 pipe = 0;
    bool operator==(const PipeReader&) const = default;
};

/// Who reads which pipe, at one moment. To find it out, the open files of all processes are looked at.
class PipeReaders {
public:
    explicit PipeReaders(const std::string& root = "/");

    /// The processes that read a pipe, those that read the pipe that their standard output is, and so on: of
    /// `iolens | tee rows | grep x` tee and grep. The first in the pipeline come first.
    [[nodiscard]] std::vector<PipeReader> behind(u64 pipe) const;

private:
    std::unordered_map<u64, std::vector<u32>> readers_;  // of each pipe
    std::unordered_map<u32, u64> stdout_;                // the pipe of each reader
};

/// The processes that take rows of this run. It is filled by those that hand out rows, and read by the lens.
class RowReaders {
public:
    /// `pipe`: that it reads them from; 0: none is known.
    void add(u32 pid, u64 pipe = 0);
    void remove(u32 pid);
    /// Calls `watcher` for each process that is added or removed from now on, and for those that are there.
    void watch(std::function<void(const PipeReader& reader, bool reads)> watcher);
    [[nodiscard]] bool contains(u32 pid) const { return !known_.empty() && known_.contains(pid); }

private:
    struct Known {
        u64 pipe = 0;
        u32 count = 0;  // it may have connected several times
    };
    std::unordered_map<u32, Known> known_;
    std::function<void(const PipeReader&, bool)> watcher_;
};

/// Those of this process. For the thread that runs the lens.
RowReaders& row_readers();

}  // namespace iolens
