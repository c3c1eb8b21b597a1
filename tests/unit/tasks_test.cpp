// SPDX-License-Identifier: Apache-2.0
#include "resolve/tasks.h"

#include <gtest/gtest.h>

#include "resolve/arguments.h"
#include "sample.h"

namespace iolens {
namespace {

TEST(Tasks, TheLastFactHolds) {
    Tasks tasks;
    EXPECT_EQ(tasks.find(1), nullptr);
    tasks.add(test::task_fact(1, "before"));
    tasks.add(test::task_fact(1, "sixteen bytes!!!"));
    const Tasks::Task* task = tasks.find(1);
    ASSERT_NE(task, nullptr);
    EXPECT_EQ(task->comm, "sixteen bytes!!!");
    EXPECT_EQ(task->tgid, 1000U);
    EXPECT_EQ(task->uid, 33U);
    EXPECT_EQ(task->cgroup_id, 4242U);
}

TEST(Tasks, TheOldestUnusedAreEvicted) {
    Tasks tasks(3);
    for (u32 tid = 1; tid <= 100; ++tid) {
        tasks.add(test::task_fact(tid, "t"));
        EXPECT_NE(tasks.find(1), nullptr) << tid;
    }
    EXPECT_NE(tasks.find(100), nullptr);
    EXPECT_EQ(tasks.find(50), nullptr);
    EXPECT_EQ(tasks.evicted(), 97U);
}

TEST(Tasks, ThoseThatHaveEndedGoAWholePeriodLater) {
    Tasks tasks;
    for (u32 tid = 1; tid <= 2; ++tid) tasks.add(test::task_fact(tid, "t"));
    const auto end = [&](u32 tid) {
        iolens_task_fact fact = test::task_fact(tid, "exit");
        fact.flags = IOLENS_TASK_ENDED;
        tasks.add(fact);
    };
    end(1);
    end(3);  // unknown
    EXPECT_EQ(tasks.find(3), nullptr);
    tasks.age();
    ASSERT_NE(tasks.find(1), nullptr);  // for its last rows
    EXPECT_EQ(tasks.find(1)->comm, "t");
    tasks.age();
    EXPECT_EQ(tasks.find(1), nullptr);
    for (int i = 0; i < 10; ++i) tasks.age();
    EXPECT_NE(tasks.find(2), nullptr);  // a running thread stays
    // another thread with the same id
    end(2);
    tasks.add(test::task_fact(2, "next"));
    for (int i = 0; i < 10; ++i) tasks.age();
    ASSERT_NE(tasks.find(2), nullptr);
    EXPECT_EQ(tasks.find(2)->comm, "next");
}

TEST(Arguments, AreFreedWhenTheirRowsWereMade) {
    Arguments arguments;
    const auto learn = [&](u32 tid, u64 ts) {
        iolens_arguments record{};
        record.h = {.ts = ts, .kind = IOLENS_KIND_ARGUMENTS, .size = sizeof record, .cpu = 0};
        record.tid = tid;
        arguments.add(record);
    };
    learn(7, 1);  // a call that doesn't end
    for (u32 tid = 100; tid < 10'100; ++tid) {
        learn(tid, tid);
        ASSERT_NE(arguments.find(tid), nullptr);
        arguments.spent(tid);
        EXPECT_NE(arguments.find(tid), nullptr);  // a second row may follow
    }
    EXPECT_LT(arguments.size(), 1100U);
    ASSERT_NE(arguments.find(7), nullptr);
    EXPECT_EQ(arguments.find(7)->h.ts, 1U);
    // the arguments of a thread's next call are not freed with those of the previous one
    arguments.spent(7);
    learn(7, 2);
    for (u32 tid = 100; tid < 10'100; ++tid) {
        learn(tid, tid);
        arguments.spent(tid);
    }
    EXPECT_NE(arguments.find(7), nullptr);
    EXPECT_EQ(arguments.evicted(), 0U);
}

}  // namespace
}  // namespace iolens
