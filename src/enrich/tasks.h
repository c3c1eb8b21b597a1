// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "iolens/event/task.h"

namespace iolens {

/// Who threads are, as the kernel side told it. There are at most as many as the machine has process ids.
class Tasks {
public:
    struct Task {
        std::string comm;
        u32 tgid = 0;
        u32 uid = 0;
        u64 cgroup_id = 0;
        u32 host_tgid = 0;  ///< in the initial pid namespace
    };

    void told(const iolens_task_fact& fact);

    /// By the thread's id in the initial pid namespace; null where nothing was told.
    [[nodiscard]] const Task* find(u32 host_tid) const;

private:
    std::unordered_map<u32, Task> tasks_;
};

/// What /proc/PID/status has behind "KEY:", without the blanks; "" where it has no such line or there is no process.
std::string process_status(u64 pid, std::string_view key);

}  // namespace iolens
