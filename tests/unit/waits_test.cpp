// SPDX-License-Identifier: Apache-2.0
#include "resolve/waits.h"

#include <gtest/gtest.h>

namespace iolens {
namespace {

Waits::Wait wait(u64 start, u64 end) {
    return {.start = start, .woken = 0, .end = end, .reason = {.what = WaitFor::page, .function = {}}};
}

/// Start times.
std::vector<u64> begun(std::span<const Waits::Wait> waits) {
    std::vector<u64> all;
    for (const Waits::Wait& one : waits) all.push_back(one.start);
    return all;
}

TEST(Waits, GoWithTheCallBehindThem) {
    Waits waits;
    for (u64 at = 0; at < 100; at += 10) {
        waits.add(1, wait(at, at + 5));
        waits.add(2, wait(at + 1, at + 6));
    }
    EXPECT_EQ(begun(waits.after(1, 75)), (std::vector<u64>{80, 90}));
    EXPECT_EQ(waits.size(), 12U);
    EXPECT_EQ(begun(waits.after(2, 0)).size(), 10U);
    EXPECT_TRUE(waits.after(3, 0).empty());
    EXPECT_TRUE(waits.after(1, 95).empty());
    EXPECT_EQ(waits.size(), 10U);
    EXPECT_EQ(waits.threads(), 1U);
    waits.add(1, wait(200, 210));
    EXPECT_EQ(begun(waits.after(1, 0)), (std::vector<u64>{200}));
}

TEST(Waits, OldOnesGo) {
    Waits waits;
    for (u64 at = 0; at < 100; at += 10) waits.add(static_cast<u32>(at), wait(at, at + 5));
    waits.forget_before(55);
    EXPECT_EQ(waits.size(), 5U);
    EXPECT_EQ(waits.threads(), 5U);
    EXPECT_TRUE(waits.after(40, 0).empty());
    EXPECT_EQ(begun(waits.after(50, 0)), (std::vector<u64>{50}));
    EXPECT_EQ(waits.evicted(), 0U);
}

TEST(Waits, TheOldestOfAllAreEvicted) {
    Waits waits(10);
    for (u64 at = 0; at < 1000; at += 10) waits.add(at % 20 == 0 ? 1 : static_cast<u32>(at), wait(at, at + 5));
    EXPECT_EQ(waits.size(), 10U);
    EXPECT_EQ(waits.threads(), 6U);
    EXPECT_EQ(waits.evicted(), 90U);
    EXPECT_EQ(begun(waits.after(1, 0)), (std::vector<u64>{900, 920, 940, 960, 980}));
}

}  // namespace
}  // namespace iolens
