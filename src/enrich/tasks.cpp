// SPDX-License-Identifier: Apache-2.0
#include "enrich/tasks.h"

#include <fstream>

#include "iolens/schema.h"

namespace iolens {

void Tasks::told(const iolens_task_fact& fact) {
    tasks_.put(host_tid(fact), {std::string(text_of(fact.comm)), fact.tgid, fact.uid, fact.cgroup_id, host_tgid(fact)});
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
