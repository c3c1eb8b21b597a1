// SPDX-License-Identifier: Apache-2.0
#include "resolve/disks.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "run.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

/// A /sys with a disk of two partitions and a device-mapper device.
class DisksTest : public testing::Test {
protected:
    void SetUp() override {
        disk("sda", "8:0");
        partition("sda", "sda1", "8:1", "2048", "1000");
        partition("sda", "sda2", "8:2", "4096", "5000");
        disk("dm-3", "253:3");
        fs::create_directories(root_.path("sys/devices/dm-3/dm"));
        test::spit(root_.path("sys/devices/dm-3/dm/name"), "vg-root\n");
    }
    void node(const std::string& place, const std::string& name, const std::string& dev) {
        fs::create_directories(root_.path("sys/devices/" + place));
        test::spit(root_.path("sys/devices/" + place + "/dev"), dev + "\n");
        fs::create_directories(root_.path("sys/class/block"));
        fs::create_directories(root_.path("sys/dev/block"));
        fs::create_directory_symlink("../../devices/" + place, root_.path("sys/class/block/" + name));
        fs::create_directory_symlink("../../devices/" + place, root_.path("sys/dev/block/" + dev));
    }
    void disk(const std::string& name, const std::string& dev) { node(name, name, dev); }
    void partition(const std::string& on, const std::string& name, const std::string& dev, const std::string& start,
                   const std::string& size) {
        node(on + "/" + name, name, dev);
        const std::string place = root_.path("sys/devices/" + on + "/" + name);
        test::spit(place + "/partition", "1\n");
        test::spit(place + "/start", start + "\n");
        test::spit(place + "/size", size + "\n");
    }

    test::Scratch root_;
};

TEST_F(DisksTest, NamesComeFromTheKernelBeforeSysfs) {
    Disks disks(root_.path());
    EXPECT_EQ(disks.name(8U << 20), "sda");
    EXPECT_EQ(disks.name(8U << 20 | 99), "");
    disks.add(8U << 20, "sdz");
    EXPECT_EQ(disks.name(8U << 20), "sdz");
}

TEST_F(DisksTest, OfARecordingOnlyTheRecordingNamesDisks) {
    Disks disks(root_.path());
    disks.set_recorded();
    EXPECT_EQ(disks.name(8U << 20), "8:0");  // on this machine it is sda
    disks.add(8U << 20, "nvme7n1");
    EXPECT_EQ(disks.name(8U << 20), "nvme7n1");
    EXPECT_EQ(disks.name(8U << 20 | 99), "8:99");
    EXPECT_EQ(disks.name(0), "");  // unknown
    EXPECT_FALSE(disks.find("sda"));
    EXPECT_FALSE(disks.find(8U << 20));
}

TEST_F(DisksTest, FindsDisksPartitionsAndMapperNames) {
    const Disks disks(root_.path());
    for (const char* name : {"sda", "/dev/sda"}) {
        const auto disk = disks.find(name);
        ASSERT_TRUE(disk) << name;
        EXPECT_EQ(disk->dev, 8U << 20);
        EXPECT_FALSE(disk->is_partition());
    }
    const auto part = disks.find("sda2");
    ASSERT_TRUE(part);
    EXPECT_TRUE(part->is_partition());
    EXPECT_EQ(part->whole_dev, 8U << 20);
    EXPECT_EQ(part->first_sector, 4096U);
    EXPECT_EQ(part->sector_count, 5000U);
    for (const char* name : {"vg-root", "/dev/mapper/vg-root", "dm-3"}) {
        const auto disk = disks.find(name);
        ASSERT_TRUE(disk) << name;
        EXPECT_EQ(disk->dev, 253U << 20 | 3);
    }
}

TEST_F(DisksTest, WhatIsNoDiskIsNotFound) {
    const Disks disks(root_.path());
    for (const char* name : {"", "sdb", "..", ".", "/dev/", "/dev/null", "sda/../sda", "/etc/passwd"}) {
        EXPECT_FALSE(disks.find(name)) << name;
    }
}

}  // namespace
}  // namespace iolens
