// SPDX-License-Identifier: Apache-2.0
// The processes that read the output of iolens. Each row causes I/O in them; if that were traced, each row would cause
// another one.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// The inode of the pipe that is a process's standard output; 0 if it isn't a pipe. `root` is "/" except in tests.
u64 stdout_pipe_of(u32 pid, const std::string& root = "/");

/// A process, and the inode of the pipe that it reads.
struct PipeReader {
    u32 pid = 0;
    u64 pipe = 0;
    bool operator==(const PipeReader&) const = default;
};

/// A snapshot of which process reads which pipe, from the open files of all processes.
class PipeReaders {
public:
    explicit PipeReaders(const std::string& root = "/");

    /// The processes that read a pipe, those that read their standard output in turn, and so on: tee and grep in
    /// `iolens | tee rows | grep x`. In the order of the pipeline.
    [[nodiscard]] std::vector<PipeReader> behind(u64 pipe) const;

private:
    std::unordered_map<u64, std::vector<u32>> readers_;  // by pipe
    std::unordered_map<u32, u64> stdout_;                // each reader's standard output pipe
};

/// The processes that read rows of this run. Filled by the outputs, and used by the lens.
class RowReaders {
public:
    /// `pipe`: the pipe that it reads from; 0: unknown.
    void add(u32 pid, u64 pipe = 0);
    void remove(u32 pid);
    /// Calls `watcher` for all current processes, and for each one that is added or removed from now on.
    void watch(std::function<void(const PipeReader& reader, bool reads)> watcher);
    [[nodiscard]] bool contains(u32 pid) const { return !known_.empty() && known_.contains(pid); }

private:
    struct Known {
        u64 pipe = 0;
        u32 count = 0;  // a process may have several connections
    };
    std::unordered_map<u32, Known> known_;
    std::function<void(const PipeReader&, bool)> watcher_;
};

/// The instance of this process. Only for the thread that runs the lens.
RowReaders& row_readers();

}  // namespace iolens
