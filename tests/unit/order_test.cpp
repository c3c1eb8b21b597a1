// SPDX-License-Identifier: Apache-2.0
#include "lens/file/order.h"

#include <gtest/gtest.h>

#include <string>

namespace iolens {
namespace {

constexpr u64 ms = 1'000'000;

iolens_vfs_event access(u64 start_ms, u64 end_ms, u64 address = 0, u8 level = IOLENS_LEVEL_BLK) {
    iolens_vfs_event e{};
    e.h.ts = end_ms * ms;
    e.start = start_ms * ms;
    e.address = address;
    e.level = level;
    return e;
}

/// The starts of what is released at a time, in ms, and the addresses if they are not 0.
std::string released(StartOrder& order, u64 now_ns) {
    std::string all;
    while (const iolens_vfs_event* e = order.release(now_ns)) {
        all += std::to_string(e->start / ms);
        if (e->address != 0) all += "+" + std::to_string(e->address);
        all += ' ';
    }
    return all;
}

TEST(StartOrder, IsThatOfStartsThenOfLevelsAndSectors) {
    StartOrder order;
    order.add(access(20, 30, 16));
    order.add(access(20, 31, 8));
    order.add(access(5, 40));
    order.add(access(20, 41, 99, IOLENS_LEVEL_VFS));
    EXPECT_EQ(released(order, 100 * ms), "");
    EXPECT_EQ(released(order, ~u64{0}), "5 20+99 20+8 20+16 ");
    EXPECT_EQ(order.late(), 0U);
}

TEST(StartOrder, WaitsASecondForOnesThatStartedEarlier) {
    StartOrder order;
    order.add(access(1000, 1001));
    EXPECT_EQ(released(order, 1500 * ms), "");
    order.add(access(999, 1600));
    EXPECT_EQ(released(order, 1600 * ms), "");
    EXPECT_EQ(released(order, 1999 * ms), "999 ");
    EXPECT_EQ(released(order, 2000 * ms), "1000 ");
    order.add(access(500, 2100));
    order.add(access(2099, 2101));
    EXPECT_EQ(released(order, 2102 * ms), "500 ");
    EXPECT_EQ(order.late(), 1U);
}

TEST(StartOrder, WhileAccessesArriveTheirTimesCount) {
    StartOrder order;
    order.add(access(1, 2));
    EXPECT_EQ(released(order, 10'000 * ms), "") << "others of that time may be in the ring";
    EXPECT_EQ(released(order, 10'000 * ms), "1 ") << "none arrived since";
}

TEST(StartOrder, HasALimit) {
    StartOrder order;
    for (u64 i = 0; i < StartOrder::max_held + 3; ++i) order.add(access(10, 11, i + 1));
    EXPECT_EQ(released(order, 12 * ms), "10+1 10+2 10+3 ");
    order.add(access(1, 12));
    EXPECT_EQ(order.late(), 1U);
    EXPECT_EQ(released(order, 12 * ms), "1 ");
}

}  // namespace
}  // namespace iolens
