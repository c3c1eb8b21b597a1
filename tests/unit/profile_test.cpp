// SPDX-License-Identifier: Apache-2.0
#include "lens/file/profile.h"

#include "lens/file/io_profile.h"

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
              "---- VFS ----\nevents=257\ntime=0.256000 dtr=4001.95 iops=1003.91\n"
              "read: io=1048576 seq=1.0000 rand=0.0000\nwrite: io=512 seq=0.0000 rand=1.0000\n"
              "size distribution:\n4096\t0.9961\n");
    AccessProfile none;
    EXPECT_EQ(profile_text("BLK", none), "");
}

iolens_vfs_event line(u64 ns, u8 op, u64 address, u64 bytes, u8 level = IOLENS_LEVEL_VFS) {
    iolens_vfs_event e{};
    e.start = ns;
    e.op = op;
    e.address = address;
    e.requested = bytes;
    e.level = level;
    return e;
}

/// The expected texts were printed by io_profile.py.
TEST(IoProfile, IsThatOfTheOriginal) {
    IoProfile vfs;
    EXPECT_EQ(vfs.text("VFS"), "");
    vfs.add(line(5'000'000'001, IOLENS_VFS_READ, 0, 4096));
    EXPECT_EQ(vfs.text("VFS"),
              "---- VFS ----\nevents=1\ntime=0.0 dtr=0 iops=0\nread: io=4096 seq=1.0 rand=0.0\n"
              "write: io=0 seq=0.0 rand=0.0\nsize distribution:\n4096\t1.0000\n");
    vfs.add(line(5'000'010'001, IOLENS_VFS_WRITE, 4096, 1));
    vfs.add(line(5'000'020'001, IOLENS_VFS_WRITE, 4096, 1));
    EXPECT_EQ(vfs.text("VFS"),
              "---- VFS ----\nevents=3\ntime=2.0000000000131024e-05 dtr=200098 iops=50024\n"
              "read: io=4096 seq=0.3333 rand=0.0\nwrite: io=2 seq=0.3333 rand=0.3333\n"
              "size distribution:\n1\t0.6667\n4096\t0.3333\n");
}

TEST(IoProfile, SectorsAreOf512Bytes) {
    IoProfile blk;
    blk.add(line(0, IOLENS_VFS_WRITE, 8, 1024, IOLENS_LEVEL_BLK));
    blk.add(line(500'000'000, IOLENS_VFS_WRITE, 10, 1000, IOLENS_LEVEL_BLK));
    blk.add(line(2'000'000'000, IOLENS_VFS_WRITE, 11, 1000, IOLENS_LEVEL_BLK));  // 1000 is no multiple of 512
    EXPECT_EQ(blk.text("BLK"),
              "---- BLK ----\nevents=3\ntime=2.0 dtr=1 iops=0\nread: io=0 seq=0.0 rand=0.0\n"
              "write: io=3024 seq=0.6667 rand=0.3333\nsize distribution:\n1000\t0.6667\n1024\t0.3333\n");
}

TEST(AccessProfile, AsJsonHasCounts) {
    AccessProfile profile;
    profile.add(at(0, 0, 4096));
    profile.add(at(999'999'990, 4096, 512));
    profile.finish();
    EXPECT_EQ(profile_json("VFS", profile.sums()),
              "{\"level\":\"VFS\",\"events\":2,\"time_ns\":1000000000,\"bytes_per_second\":4608.000,\"iops\":2.000,"
              "\"read\":{\"events\":2,\"bytes\":4608,\"errors\":0,\"sequential\":1,\"random\":0,"
              "\"sizes\":{\"512\":1,\"4096\":1}},"
              "\"write\":{\"events\":0,\"bytes\":0,\"errors\":0,\"sequential\":0,\"random\":0,\"sizes\":{}}}\n");
}

TEST(AccessProfile, AccessesOfEqualStartAreInTheOrderOfPositions) {
    AccessProfile profile;
    for (const u64 n : std::initializer_list<u64>{2, 0, 3, 1}) profile.add(at(7, n * 512, 512));
    profile.finish();
    EXPECT_EQ(profile.sums().reads().sequential, 3U);
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

TEST(FileProfiles, OtherCallsThatTakeTimeHaveRows) {
    FileProfiles profiles;
    for (const u8 op : {IOLENS_VFS_WRITE, IOLENS_VFS_FSYNC, IOLENS_VFS_FSYNC, IOLENS_VFS_FAULT}) {
        iolens_vfs_event e = line(1000, op, 0, 4096);
        e.h.ts = e.start + 500;
        e.result = op == IOLENS_VFS_FAULT ? -5 : 0;
        if (op == IOLENS_VFS_WRITE) e.result = 4096;
        profiles.add(e, "file");
    }
    const Summary s = profiles.summary();
    ASSERT_EQ(s.rows.size(), 3U);
    const auto row_is = [&](std::size_t row, std::string_view op, u64 calls, u64 errors) {
        EXPECT_EQ(s.rows.at(row).at(2).text(), op);
        EXPECT_EQ(s.rows.at(row).at(3).number(), calls);
        EXPECT_EQ(s.rows.at(row).at(4).is_null(), op != "write");
        EXPECT_EQ(s.rows.at(row).at(5).number(), errors);
        EXPECT_EQ(s.rows.at(row).at(10).number(), 500U);
    };
    row_is(0, "write", 1, 0);
    row_is(1, "fsync", 2, 0);
    row_is(2, "fault", 1, 1);
    EXPECT_NE(profiles.report().find("events=1\n"), std::string::npos) << "the profile is of reads and writes";
}

}  // namespace
}  // namespace iolens
