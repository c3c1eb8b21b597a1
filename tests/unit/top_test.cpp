// SPDX-License-Identifier: Apache-2.0
#include "metrics/top.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace iolens {
namespace {

IoTotals totals(u64 device_ns, u64 bytes = 4096) {
    return {.requests = {1, 0}, .bytes = {bytes, 0}, .device_ns = device_ns};
}

std::map<std::string, u64> shown(const TopTotals& top) {
    std::map<std::string, u64> times;
    top.for_each([&](const std::string& name, const IoTotals& t) { times[name] = t.device_ns; });
    return times;
}

TEST(TopTotals, ShowsThoseWithTheLongestDeviceTime) {
    TopTotals top(2);
    top.add("a", totals(5'000'000));
    top.add("b", totals(9'000'000));
    top.add("c", totals(7'000'000));
    top.settle();
    EXPECT_EQ(shown(top), (std::map<std::string, u64>{{"b", 9'000'000}, {"c", 7'000'000}}));
    EXPECT_EQ(top.others().device_ns, 5'000'000U);
    EXPECT_EQ(top.others().bytes[0], 4096U);
}

/// Whoever is shown, and whenever: no counter ever gets smaller, and together they have everything.
TEST(TopTotals, CountersOnlyGrow) {
    TopTotals top(3);
    std::map<std::string, u64> before;
    u64 others = 0;
    u64 added = 0;
    u64 left = 0;  // of names that are not shown any more
    for (u64 round = 0; round < 200; ++round) {
        for (u64 i = 0; i < 50; ++i) {
            const u64 ns = (i * 7919 + round * round * 104729) % 1'000'003;
            top.add("file" + std::to_string(i), totals(ns));
            added += ns;
        }
        top.settle();
        const std::map<std::string, u64> now = shown(top);
        EXPECT_EQ(now.size(), 3U);
        u64 sum = top.others().device_ns;
        for (const auto& [name, ns] : now) {
            EXPECT_GE(ns, before.contains(name) ? before.at(name) : 0) << name;
            sum += ns;
        }
        for (const auto& [name, ns] : before) left += now.contains(name) ? 0 : ns;
        EXPECT_GE(top.others().device_ns, others);
        EXPECT_LE(sum, added);
        EXPECT_GE(sum + left, added);
        others = top.others().device_ns;
        before = now;
    }
}

TEST(TopTotals, ANameStaysUntilAnotherHasTwiceItsTime) {
    TopTotals top(1);
    top.add("first", totals(1'000'000));
    top.settle();
    for (int i = 0; i < 10; ++i) {
        top.add("first", totals(1'000'000));
        top.add("second", totals(1'500'000));
        top.settle();
        ASSERT_TRUE(shown(top).contains("first"));
    }
    top.add("second", totals(90'000'000));
    top.settle();
    EXPECT_TRUE(shown(top).contains("second"));
}

TEST(TopTotals, AHundredThousandNamesAreNotKept) {
    TopTotals top(20);
    for (int i = 0; i < 100'000; ++i) top.add("f" + std::to_string(i), totals(1'000 + static_cast<u64>(i)));
    top.settle();
    u64 sum = top.others().requests[0];
    top.for_each([&](const std::string& /*name*/, const IoTotals& t) { sum += t.requests[0]; });
    EXPECT_EQ(sum, 100'000U);
    EXPECT_EQ(shown(top).size(), 20U);
}

}  // namespace
}  // namespace iolens
