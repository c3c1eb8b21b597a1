// SPDX-License-Identifier: Apache-2.0
#include "file_profile.h"

#include <gtest/gtest.h>

#include "enrich/extents.h"
#include "enrich/mounts.h"
#include "probe/symbols.h"
#include "run.h"

namespace iolens {
namespace {

Access at(u64 ns, u64 start, u64 bytes, bool write = false) {
    return {.start_ns = ns, .end_ns = ns + 10, .start = start, .end = start + bytes, .bytes = bytes, .write = write};
}

TEST(AccessProfile, IsInTheOrderOfStartsAndNotOfEnds) {
    AccessProfile profile;
    for (const u64 n : std::initializer_list<u64>{1, 0, 3, 2, 5, 4}) profile.add(at(n * 100, n * 4096, 4096));
    profile.finish();
    EXPECT_EQ(profile.reads().events, 6U);
    EXPECT_EQ(profile.reads().sequential, 5U);
    EXPECT_EQ(profile.reads().random, 0U);
    EXPECT_EQ(profile.time_ns(), 510U);
}

TEST(AccessProfile, TheFirstIsNeitherSequentialNorRandom) {
    AccessProfile profile;
    profile.add(at(0, 7, 1));
    profile.finish();
    EXPECT_FALSE(profile.reads().has_pattern());
    profile.add(at(1, 100, 1));
    profile.add(at(2, 101, 1, true));
    profile.finish();
    EXPECT_EQ(profile.reads().sequential_share(), 0);
    EXPECT_EQ(profile.writes().sequential_share(), 1);
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

TEST(Ranges, AreUnitedAndCompared) {
    const Ranges all = united({{10, 20}, {0, 5}, {20, 25}, {22, 24}, {7, 7}});
    EXPECT_EQ(all, (Ranges{{0, 5}, {10, 25}}));
    EXPECT_EQ(total(all), 20U);
    EXPECT_EQ(covered({{0, 100}}, all), 20U);
    EXPECT_EQ(covered({{4, 11}, {24, 30}}, all), 3U);
    EXPECT_EQ(covered({{5, 10}, {25, 26}}, all), 0U);
}

TEST(Ranges, OfAFileAreItsExtents) {
    const std::vector<Extent> extents{{.logical = 0, .physical = 1 << 20, .length = 8192},
                                      {.logical = 16384, .physical = 4096, .length = 4096}};
    EXPECT_EQ(sectors_of(extents, 0, 4096), (Ranges{{2048, 2056}}));
    EXPECT_EQ(sectors_of(extents, 4000, 4200), (Ranges{{2055, 2057}}));
    EXPECT_EQ(sectors_of(extents, 8192, 16384), Ranges{});  // a hole
    EXPECT_EQ(sectors_of(extents, 0, 1 << 20), (Ranges{{2048, 2064}, {8, 16}}));
}

TEST(Mounts, TellWhatAFilesystemIsMountedFrom) {
    const test::Scratch root;
    test::shell("mkdir -p " + root.path("proc/self") + " " + root.path("sys/fs/btrfs/uuid/devices/sda1") + " " +
                root.path("sys/fs/btrfs/uuid/devices/sdb"));
    test::spit(root.path("proc/self/mountinfo"),
               "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
               "36 35 0:45 /root /mnt\\040x rw,noatime master:1 shared:2 - btrfs /dev/sdb rw,space_cache\n"
               "damaged\n40 1 0:50 / /x rw -\n");
    const Mounts mounts(root.path() + "/");
    EXPECT_EQ(mounts.source(8U << 20 | 1), "/dev/sda1");
    EXPECT_EQ(mounts.source(45), "/dev/sdb");
    EXPECT_EQ(mounts.source(50), "");
    EXPECT_EQ(mounts.source(7), "");
    EXPECT_EQ(mounts.btrfs_disks("sdb"), 2U);
    EXPECT_EQ(mounts.btrfs_disks("sdc"), 0U);
}

TEST(KernelSymbols, AreFunctionsByNameAndAddress) {
    const test::Scratch scratch;
    test::spit(scratch.path("kallsyms"),
               "ffffffff81000000 T _text\nffffffff81000010 t twice\nffffffff81000020 t twice\n"
               "ffffffff81000030 d some_data\nffffffffc0000000 t xfs_file_read_iter\t[xfs]\n"
               "0000000000000000 T hidden\nnonsense\n");
    const KernelSymbols symbols(scratch.path("kallsyms"));
    EXPECT_EQ(symbols.address("_text"), 0xffffffff81000000U);
    EXPECT_EQ(symbols.address("twice"), 0U);
    EXPECT_EQ(symbols.address("some_data"), 0xffffffff81000030U);
    EXPECT_EQ(symbols.address("hidden"), 0U);
    EXPECT_EQ(symbols.name(0xffffffffc0000000U), "xfs_file_read_iter");
    EXPECT_EQ(symbols.name(0xffffffff81000020U), "twice");
    EXPECT_EQ(symbols.name(1), "");
    EXPECT_EQ(KernelSymbols(scratch.path("none")).name(1), "");
}

}  // namespace
}  // namespace iolens
