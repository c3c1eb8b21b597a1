// SPDX-License-Identifier: Apache-2.0
#include "enrich/tasks.h"

#include "iolens/schema.h"

namespace iolens {

void Tasks::told(const iolens_task_fact& fact) {
    tasks_[fact.tid] = {std::string(text_of(fact.comm)), fact.tgid, fact.uid, fact.cgroup_id};
}

const Tasks::Task* Tasks::find(u32 tid) const {
    const auto at = tasks_.find(tid);
    return at == tasks_.end() ? nullptr : &at->second;
}

}  // namespace iolens
