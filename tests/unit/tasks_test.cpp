// SPDX-License-Identifier: Apache-2.0
#include "enrich/tasks.h"

#include <gtest/gtest.h>

#include "sample.h"

namespace iolens {
namespace {

TEST(Tasks, TheLastFactHolds) {
    Tasks tasks;
    EXPECT_EQ(tasks.find(1), nullptr);
    tasks.told(test::task_fact(1, "before"));
    tasks.told(test::task_fact(1, "sixteen bytes!!!"));
    const Tasks::Task* task = tasks.find(1);
    ASSERT_NE(task, nullptr);
    EXPECT_EQ(task->comm, "sixteen bytes!!!");
    EXPECT_EQ(task->tgid, 1000U);
    EXPECT_EQ(task->uid, 33U);
    EXPECT_EQ(task->cgroup_id, 4242U);
}

}  // namespace
}  // namespace iolens
