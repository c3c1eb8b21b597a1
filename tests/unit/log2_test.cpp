// SPDX-License-Identifier: Apache-2.0
#include "stats/log2.h"

#include <gtest/gtest.h>

#include "iolens/event/header.h"

namespace iolens {
namespace {

TEST(Log2Histogram, SlotsAreThoseOfBiolatency) {
    EXPECT_EQ(Log2Histogram::slot_of(0), 0U);
    EXPECT_EQ(Log2Histogram::slot_of(1999), 0U);
    EXPECT_EQ(Log2Histogram::slot_of(2000), 1U);
    EXPECT_EQ(Log2Histogram::slot_of(3999), 1U);
    EXPECT_EQ(Log2Histogram::slot_of(4000), 2U);
    EXPECT_EQ(Log2Histogram::slot_of(~u64{0}), Log2Histogram::slots - 1);
    for (std::size_t slot = 0; slot < Log2Histogram::slots; ++slot) {
        EXPECT_EQ(Log2Histogram::slot_of(Log2Histogram::first_us(slot) * 1000), slot);
        EXPECT_EQ(Log2Histogram::slot_of(Log2Histogram::last_us(slot) * 1000 + 999), slot);
    }
}

TEST(Log2Histogram, TheTallestBarIsFortyStars) {
    Log2Histogram h;
    for (int i = 0; i < 80; ++i) h.add(5'000);
    h.add(40'000);
    h.add(40'000);
    EXPECT_EQ(h.text(),
              "     usecs               : count     distribution\n"
              "         0 -> 1          : 0        |                                        |\n"
              "         2 -> 3          : 0        |                                        |\n"
              "         4 -> 7          : 80       |****************************************|\n"
              "         8 -> 15         : 0        |                                        |\n"
              "        16 -> 31         : 0        |                                        |\n"
              "        32 -> 63         : 2        |*                                       |\n");
    EXPECT_EQ(Log2Histogram().counts().size(), 0U);
}

}  // namespace
}  // namespace iolens
