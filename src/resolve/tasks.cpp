// SPDX-License-Identifier: Apache-2.0
#include "resolve/tasks.h"

#include <fstream>

#include "iolens/schema.h"

namespace iolens {

void Tasks::add(const iolens_task_fact& fact) {
    if ((fact.flags & IOLENS_TASK_ENDED) == 0) {
        tasks_.put(host_tid(fact), {.comm = std::string(text_of(fact.comm)),
                                    .tgid = fact.tgid,
                                    .uid = fact.uid,
                                    .cgroup_id = fact.cgroup_id,
                                    .host_tgid = host_tgid(fact)});
    } else if (Task* task = tasks_.find(host_tid(fact))) {
        task->ended = 1;
    }
}

void Tasks::age() {
    tasks_.erase_if([](Task& task) {
        if (task.ended == 0) return false;
        ++task.ended;
        return task.ended > 2;
    });
}

const Tasks::Task* Tasks::find(u32 host_tid) const { return tasks_.find(host_tid); }

std::string process_status(u64 pid, std::string_view key) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') continue;
        const std::size_t at = line.find_first_not_of(" \t", key.size() + 1);
        return at == std::string::npos ? std::string() : line.substr(at);
    }
    return {};
}

}  // namespace iolens
