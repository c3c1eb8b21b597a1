// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "iolens/event/task.h"
#include "resolve/bounded.h"

namespace iolens {

/// Threads, as emitted by the BPF programs. An exited thread is dropped half a minute to a minute later.
class Tasks {
public:
    struct Task {
        std::string comm;
        u32 tgid = 0;
        u32 uid = 0;
        u64 cgroup_id = 0;
        u32 host_tgid = 0;  ///< in the initial pid namespace
        u8 ended = 0;       ///< periods since it exited, including that one; 0: running
    };

    explicit Tasks(std::size_t max = 1 << 16) : tasks_(max) {}

    void add(const iolens_task_fact& fact);

    /// By the thread's id in the initial pid namespace; null if it was not emitted.
    [[nodiscard]] const Task* find(u32 host_tid) const;

    /// Call when a period has passed: drops threads that exited a whole period ago. Rows of a thread may follow its
    /// exit.
    void age();

    [[nodiscard]] std::size_t size() const { return tasks_.size(); }
    /// Threads that were evicted.
    [[nodiscard]] u64 evicted() const { return tasks_.evicted(); }

private:
    Bounded<u32, Task> tasks_;
};

/// The value of "KEY:" in /proc/PID/status, without blanks; "" if there is no such line or process.
std::string process_status(u64 pid, std::string_view key);

}  // namespace iolens
