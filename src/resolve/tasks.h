// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "iolens/event/task.h"
#include "resolve/bounded.h"

namespace iolens {

/// Who threads are, as the BPF programs report it. An ended thread is forgotten half a minute to a minute later.
class Tasks {
public:
    struct Task {
        std::string comm;
        u32 tgid = 0;
        u32 uid = 0;
        u64 cgroup_id = 0;
        u32 host_tgid = 0;  ///< in the initial pid namespace
        u8 ended = 0;       ///< the periods since then, its own included; 0: it hasn't
    };

    explicit Tasks(std::size_t max = 1 << 16) : tasks_(max) {}

    void add(const iolens_task_fact& fact);

    /// By the thread's id in the initial pid namespace; null where nothing was told.
    [[nodiscard]] const Task* find(u32 host_tid) const;

    /// A period has passed: what ended a whole one ago goes. Rows of a thread may come after its end.
    void age();

    [[nodiscard]] std::size_t size() const { return tasks_.size(); }
    /// Threads that made room for others.
    [[nodiscard]] u64 evicted() const { return tasks_.evicted(); }

private:
    Bounded<u32, Task> tasks_;
};

/// What /proc/PID/status has behind "KEY:", without the blanks; "" where it has no such line or there is no process.
std::string process_status(u64 pid, std::string_view key);

}  // namespace iolens
