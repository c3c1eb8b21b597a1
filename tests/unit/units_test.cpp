// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <gtest/gtest.h>

#include <string>

namespace iolens {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t s = 1'000 * ms;

TEST(Units, TimesHaveUnits) {
    EXPECT_EQ(parse_time("10s", ms), 10 * s);
    EXPECT_EQ(parse_time("500ms", s), 500 * ms);
    EXPECT_EQ(parse_time("20us", s), 20'000U);
    EXPECT_EQ(parse_time("7ns", s), 7U);
    EXPECT_EQ(parse_time("5min", s), 300 * s);
    EXPECT_EQ(parse_time("2h", s), 7200 * s);
}

TEST(Units, ATimeWithoutAUnitCountsWhatTheOptionCounts) {
    EXPECT_EQ(parse_time("10", s), 10 * s);
    EXPECT_EQ(parse_time("10", ms), 10 * ms);
    EXPECT_EQ(parse_time("0", ms), 0U);
    EXPECT_EQ(parse_time("007", ms), 7 * ms);
}

TEST(Units, TimesHaveExactFractions) {
    EXPECT_EQ(parse_time("0.5s", ms), 500 * ms);
    EXPECT_EQ(parse_time("0.001234", ms), 1234U);
    EXPECT_EQ(parse_time("1.5", ms), 1'500'000U);
    EXPECT_EQ(parse_time(".5", s), 500 * ms);
    EXPECT_EQ(parse_time("5.", s), 5 * s);
    EXPECT_EQ(parse_time("1.5h", s), 5400 * s);
    EXPECT_EQ(parse_time("0.1min", s), 6 * s);
    EXPECT_EQ(parse_time("1.0ns", s), 1U);
    EXPECT_EQ(parse_time("1.000000001s", s), s + 1);
}

TEST(Units, WhatIsNoTimeIsRefused) {
    for (const char* bad :
         {"",     " ",    ".",    "s",       "ms",    "-1",    "-1s",  "+1",  "1x",  "1e3",    "1e3s",
          "10 s", " 10s", "10s ", "1.2.3",   "1..2",  "1,5s",  "0x10", "inf", "nan", "1S",     "1m",
          "1sec", "1ss",  "1s1",  "1h30min", "0.1ns", "1.5ns", "--",   "1-",  "1\n", "1s\xff", "٣s"}) {
        EXPECT_FALSE(parse_time(bad, s)) << '\'' << bad << '\'';
    }
    EXPECT_FALSE(parse_time(std::string_view("1\0s", 3), s));
    // finer than a nanosecond
    EXPECT_FALSE(parse_time("0.0000000001s", s));
}

TEST(Units, ATimeHas64Bits) {
    EXPECT_EQ(parse_time("18446744073709551615ns", s), ~std::uint64_t{0});
    EXPECT_EQ(parse_time("18446744073.709551615s", s), ~std::uint64_t{0});
    for (const char* bad : {"18446744073709551616ns", "18446744073.709551616s", "18446744074", "5124096h",
                            "99999999999999999999999999999999999999"}) {
        EXPECT_FALSE(parse_time(bad, s)) << bad;
    }
    EXPECT_FALSE(parse_time(std::string(100'000, '9'), s));
    EXPECT_EQ(parse_time("0." + std::string(100'000, '0') + "s", s), 0U);
}

TEST(Units, SizesHaveUnits) {
    EXPECT_EQ(parse_size("4096"), 4096U);
    EXPECT_EQ(parse_size("4096B"), 4096U);
    EXPECT_EQ(parse_size("64KiB"), 64U << 10);
    EXPECT_EQ(parse_size("64K"), 64U << 10);
    EXPECT_EQ(parse_size("8MiB"), 8U << 20);
    EXPECT_EQ(parse_size("3G"), std::uint64_t{3} << 30);
    EXPECT_EQ(parse_size("8", 1 << 20), 8U << 20);
    EXPECT_EQ(parse_size("64KiB", 1 << 20), 64U << 10);
    EXPECT_EQ(parse_size("18446744073709551615"), ~std::uint64_t{0});
    for (const char* bad : {"", "M", "8MB", "8 MiB", "-1", "1.5M", "8iB", "8k", "8Mi", "+8", "1e3", "0x8", "8MiBs",
                            "18446744073709551615K", "17179869184G", "99999999999999999999"}) {
        EXPECT_FALSE(parse_size(bad)) << bad;
    }
    EXPECT_FALSE(parse_size("17592186044416", 1 << 20));
}

TEST(Units, AreWrittenWithoutFractions) {
    EXPECT_EQ(time_text(0), "0");
    EXPECT_EQ(time_text(1), "1ns");
    EXPECT_EQ(time_text(1'500'000), "1500us");
    EXPECT_EQ(time_text(500 * ms), "500ms");
    EXPECT_EQ(time_text(90 * s), "90s");
    EXPECT_EQ(time_text(300 * s), "5min");
    EXPECT_EQ(time_text(7200 * s), "2h");
    EXPECT_EQ(size_text(0), "0");
    EXPECT_EQ(size_text(1000), "1000B");
    EXPECT_EQ(size_text(64 << 10), "64KiB");
    EXPECT_EQ(size_text(std::uint64_t{8} << 20), "8MiB");
    EXPECT_EQ(size_text(std::uint64_t{1} << 30), "1GiB");
    for (const std::uint64_t n : {std::uint64_t{1}, 3 * s, ~std::uint64_t{0}}) {
        EXPECT_EQ(parse_time(time_text(n), 5), n);
        EXPECT_EQ(parse_size(size_text(n), 5), n);
    }
}

}  // namespace
}  // namespace iolens
