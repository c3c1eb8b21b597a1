// SPDX-License-Identifier: Apache-2.0
#include "resolve/mounts.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "run.h"

namespace iolens {
namespace {

constexpr u32 device(u32 major, u32 minor) { return major << 20 | minor; }

/// A root directory with this /proc/self/mountinfo.
class MountsTest : public testing::Test {
protected:
    void mountinfo(const std::string& text) {
        std::filesystem::create_directories(root_.path("proc/self"));
        test::spit(root_.path("proc/self/mountinfo"), text);
    }
    test::Scratch root_;
    Mounts mounts_{root_.path() + "/"};
};

TEST_F(MountsTest, TheSourceFollowsTheOptionalFields) {
    mountinfo(
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "36 35 0:45 /root /mnt\\040x rw,noatime master:1 shared:2 - btrfs /dev/sdb rw,space_cache\n"
        "37 35 259:300 / /a-b rw - tmpfs tmpfs rw\n");
    EXPECT_EQ(mounts_.source(device(8, 1)), "/dev/sda1");
    EXPECT_EQ(mounts_.source(device(0, 45)), "/dev/sdb");
    EXPECT_EQ(mounts_.source(device(259, 300)), "tmpfs");
}

TEST_F(MountsTest, ADeviceNumberIsComparedAsAWhole) {
    mountinfo("1 0 8:10 / / rw - ext4 /dev/sda10 rw\n2 1 18:1 / /x rw - ext4 /dev/x rw\n");
    EXPECT_EQ(mounts_.source(device(8, 1)), "");
    EXPECT_EQ(mounts_.source(device(18, 1)), "/dev/x");
}

TEST_F(MountsTest, TheFirstOfSeveralMountsCounts) {
    mountinfo("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:1 /d /x rw - ext4 /dev/root rw\n");
    EXPECT_EQ(mounts_.source(device(8, 1)), "/dev/sda1");
}

TEST_F(MountsTest, DamagedLinesHaveNoSource) {
    mountinfo(
        "\ndamaged\n40 1 0:50 / /x rw -\n41 1 0:51\n42 1 0:52 / /x rw - tmpfs\n"
        "43 1 0:53 / " +
        std::string(100'000, 'x') + " rw - tmpfs far rw\n44 1 0:50 / /y rw - tmpfs second rw");
    // this filesystem has a second line, which is intact but for its newline
    EXPECT_EQ(mounts_.source(50), "second");
    EXPECT_EQ(mounts_.source(51), "");
    EXPECT_EQ(mounts_.source(52), "");
    EXPECT_EQ(mounts_.source(53), "far");
    EXPECT_EQ(mounts_.source(0), "");
}

TEST_F(MountsTest, AnEmptySourceIsNotTheOptionsAfterIt) {
    mountinfo("45 1 0:54 / /x rw - fuse.x  rw,user_id=0\n");
    EXPECT_EQ(mounts_.source(54), "");
}

TEST_F(MountsTest, WithoutMountinfoThereIsNoSource) {
    EXPECT_EQ(mounts_.source(device(8, 1)), "");
    mountinfo("");
    EXPECT_EQ(mounts_.source(device(8, 1)), "");
}

TEST_F(MountsTest, CountsTheDisksOfABtrfsFilesystem) {
    EXPECT_EQ(mounts_.btrfs_disks("sda1"), 0U);
    for (const char* directory : {"features", "first/devices/sda1", "first/devices/sdb", "second/devices/sdc"}) {
        std::filesystem::create_directories(root_.path(std::string("sys/fs/btrfs/") + directory));
    }
    EXPECT_EQ(mounts_.btrfs_disks("sda1"), 2U);
    EXPECT_EQ(mounts_.btrfs_disks("sdb"), 2U);
    EXPECT_EQ(mounts_.btrfs_disks("sdc"), 1U);
    EXPECT_EQ(mounts_.btrfs_disks("sda"), 0U);
}

TEST(Mounts, TheRootFilesystemHasASource) {
    // a disk, an overlay, a rootfs
    const test::Result stat = test::run({"stat", "-c", "%Hd %Ld", "/"});
    if (stat.status != 0) GTEST_SKIP() << "stat does not know %Hd: " << stat.err;
    const auto numbers = test::split(stat.out, ' ');
    const auto number = [&](std::size_t n) { return static_cast<u32>(std::stoul(numbers.at(n))); };
    EXPECT_NE(Mounts().source(device(number(0), number(1))), "");
}

}  // namespace
}  // namespace iolens
