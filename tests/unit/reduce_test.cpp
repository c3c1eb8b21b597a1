// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "stats/histogram.h"
#include "stats/pattern.h"

namespace iolens {
namespace {

TEST(Histogram, EmptyHasNoPercentiles) {
    const Histogram h;
    EXPECT_EQ(h.percentile(50), 0U);
    EXPECT_EQ(h.max(), 0U);
}

TEST(Histogram, SmallValuesAreExact) {
    Histogram h;
    for (std::uint64_t v = 1; v <= 60; ++v) h.add(v);
    EXPECT_EQ(h.percentile(50), 30U);
    EXPECT_EQ(h.percentile(90), 54U);
    EXPECT_EQ(h.percentile(100), 60U);
    EXPECT_EQ(h.percentile(0), 1U);
}

TEST(Histogram, NeverTooSmallAndAtMostThreePercentTooLarge) {
    std::mt19937_64 random(7);
    std::vector<std::uint64_t> values;
    Histogram h;
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t v = random() >> (random() % 64);
        values.push_back(v);
        h.add(v);
    }
    std::ranges::sort(values);
    for (const double p : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
        const auto rank = static_cast<std::size_t>(static_cast<double>(values.size()) * p / 100);
        const std::uint64_t exact = values[std::max<std::size_t>(rank, 1) - 1];
        EXPECT_GE(h.percentile(p), exact) << p;
        EXPECT_LE(static_cast<double>(h.percentile(p)), static_cast<double>(exact) * 1.0323 + 1) << p;
    }
    EXPECT_EQ(h.max(), values.back());
}

TEST(Histogram, TheSmallOneHasTheSamePercentiles) {
    std::mt19937_64 random(7);
    HistogramOf<3> whole;
    SmallHistogram small;
    SmallHistogram half;
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t v = random() >> (random() % 64);
        whole.add(v);
        (i % 2 == 0 ? small : half).add(v);
    }
    small.add(half);
    EXPECT_EQ(small.count(), whole.count());
    EXPECT_EQ(small.max(), whole.max());
    for (const double p : {0.0, 1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
        EXPECT_EQ(small.percentile(p), whole.percentile(p)) << p;
    }
    EXPECT_EQ(SmallHistogram().percentile(50), 0U);
}

TEST(Histogram, TheLargestValueFits) {
    Histogram h;
    h.add(~std::uint64_t{0});
    EXPECT_EQ(h.percentile(50), ~std::uint64_t{0});
}

TEST(Pattern, ComparesWithTheLastEndOfTheSameKey) {
    Pattern p;
    EXPECT_EQ(p.next(1, 0, 8), Pattern::Kind::first);
    EXPECT_EQ(p.next(1, 8, 16), Pattern::Kind::sequential);
    EXPECT_EQ(p.next(2, 16, 24), Pattern::Kind::first);
    EXPECT_EQ(p.next(1, 16, 24), Pattern::Kind::sequential);
    EXPECT_EQ(p.next(1, 8, 16), Pattern::Kind::random);
}

}  // namespace
}  // namespace iolens
