// SPDX-License-Identifier: Apache-2.0
#include "lens/file/profile.h"

#include <gtest/gtest.h>

namespace iolens {
namespace {

Access at(u64 ns, u64 start, u64 bytes, bool write = false) {
    return {.start_ns = ns, .end_ns = ns + 10, .start = start, .end = start + bytes, .bytes = bytes, .write = write};
}

TEST(AccessProfile, IsInTheOrderOfStartsAndNotOfEnds) {
    AccessProfile profile;
    for (const u64 n : std::initializer_list<u64>{1, 0, 3, 2, 5, 4}) profile.add(at(n * 100, n * 4096, 4096));
    profile.finish();
    EXPECT_EQ(profile.sums().reads().events, 6U);
    EXPECT_EQ(profile.sums().reads().sequential, 5U);
    EXPECT_EQ(profile.sums().reads().random, 0U);
    EXPECT_EQ(profile.sums().time_ns(), 510U);
}

TEST(AccessProfile, TheFirstIsNeitherSequentialNorRandom) {
    AccessProfile profile;
    profile.add(at(0, 7, 1));
    profile.finish();
    EXPECT_FALSE(profile.sums().reads().has_pattern());
    profile.add(at(1, 100, 1));
    profile.add(at(2, 101, 1, true));
    profile.finish();
    EXPECT_EQ(profile.sums().reads().sequential_share(), 0);
    EXPECT_EQ(profile.sums().writes().sequential_share(), 1);
}

TEST(AccessProfile, AsTextIsIoProfiles) {
    AccessProfile profile;
    for (u64 n = 0; n < 256; ++n)
        profile.add({.start_ns = n * 1'000'000,
                     .end_ns = (n + 1) * 1'000'000,
                     .start = n * 4096,
                     .end = (n + 1) * 4096,
                     .bytes = 4096});
    profile.add(at(256'000'000 - 10, 0, 512, true));
    EXPECT_EQ(profile_text("VFS", profile),
              "---- VFS ----\nevents=257\ntime=0.256000 dtr=4001.95 iops=1000.49\n"
              "read: io=1048576 seq=1.0000 rand=0.0000\nwrite: io=512 seq=0.0000 rand=1.0000\n"
              "size distribution:\n4096\t0.9961\n");
    AccessProfile none;
    EXPECT_EQ(profile_text("BLK", none), "");
}

TEST(Sizes, ManyDifferentOnesAreRounded) {
    Sizes sizes;
    for (u64 size = 1; size <= 100'000; ++size) sizes.add(size);
    sizes.add(7);
    EXPECT_LT(sizes.counts().size(), 800U);
    EXPECT_EQ(sizes.counts().at(7), 2U);
    u64 sum = 0;
    for (const auto& [size, count] : sizes.counts()) sum += count;
    EXPECT_EQ(sum, 100'001U);
}

TEST(FileProfiles, TooManyFilesHaveOneRow) {
    FileProfiles profiles(2);
    for (u64 n = 0; n < 10; ++n) {
        iolens_vfs_event e{};
        e.h.ts = n * 1000 + 500;
        e.start = n * 1000;
        e.id.ino = n % 5;
        e.address = n * 4096;
        e.requested = 4096;
        e.result = 4096;
        profiles.add(e, "file" + std::to_string(n % 5));
    }
    const Summary s = profiles.summary();
    ASSERT_EQ(s.rows.size(), 3U);
    const auto row_has = [&](std::size_t row, std::string_view name, u64 calls) {
        EXPECT_EQ(s.rows.at(row).at(0).text(), name);
        EXPECT_EQ(s.rows.at(row).at(3).number(), calls);
        EXPECT_EQ(s.rows.at(row).at(4).number(), calls * 4096);
        EXPECT_EQ(s.rows.at(row).at(10).number(), 500U);
    };
    row_has(0, "file0", 2);
    row_has(1, "file1", 2);
    row_has(2, "(other files)", 6);
    EXPECT_TRUE(s.rows.at(2).at(6).is_null());
}

}  // namespace
}  // namespace iolens
