// SPDX-License-Identifier: Apache-2.0
#include "resolve/extents.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/fd.h"
#include "run.h"

namespace iolens {
namespace {

/// A file with `bytes` of data at each multiple of `stride`, flushed so that all of it is allocated.
void make_sparse(const std::string& path, u64 count, u64 stride, std::size_t bytes) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const std::string data(bytes, 'x');
    for (u64 i = 0; i < count; ++i) {
        ASSERT_EQ(::pwrite(fd.get(), data.data(), bytes, static_cast<off_t>(i * stride)), static_cast<ssize_t>(bytes));
    }
    ASSERT_EQ(::fsync(fd.get()), 0);
}

bool holds(const std::vector<Extent>& extents, u64 offset) {
    return std::ranges::any_of(extents,
                               [&](const Extent& e) { return e.logical <= offset && offset < e.logical + e.length; });
}

TEST(Extents, AreSortedAndSkipHoles) {
    const test::Scratch scratch;
    // more extents than one FIEMAP call returns
    constexpr u64 pieces = 600;
    constexpr u64 stride = 64 << 10;
    make_sparse(scratch.path("sparse"), pieces, stride, 4096);
    const auto extents = read_extents(scratch.path("sparse"));
    if (!extents) GTEST_SKIP() << "no FIEMAP here: " << strerror(errno);
    for (u64 i = 0; i < pieces; ++i) {
        ASSERT_TRUE(holds(*extents, i * stride)) << i;
        ASSERT_FALSE(holds(*extents, i * stride + stride / 2)) << i;
    }
    for (std::size_t i = 1; i < extents->size(); ++i) {
        ASSERT_GE((*extents)[i].logical, (*extents)[i - 1].logical + (*extents)[i - 1].length) << i;
    }
}

TEST(Extents, AnEmptyFileHasNone) {
    const test::Scratch scratch;
    test::spit(scratch.path("empty"), "");
    const auto extents = read_extents(scratch.path("empty"));
    if (!extents) GTEST_SKIP() << "no FIEMAP here: " << strerror(errno);
    EXPECT_TRUE(extents->empty());
}

TEST(Extents, FilesWithoutExtentsFailWithoutBlocking) {
    const test::Scratch scratch;
    errno = 0;
    EXPECT_FALSE(read_extents(scratch.path("missing")));
    EXPECT_EQ(errno, ENOENT);
    // opening a FIFO must not wait for a writer
    ASSERT_EQ(::mkfifo(scratch.path("fifo").c_str(), 0600), 0);
    for (const std::string& path : {scratch.path("fifo"), std::string("/proc/self/status"), std::string("/dev/null")}) {
        errno = 0;
        EXPECT_FALSE(read_extents(path)) << path;
        EXPECT_NE(errno, 0) << path;
    }
}

TEST(Sectors, CoverTheRequestedBytes) {
    const std::vector<Extent> extents{{.logical = 0, .physical = 1 << 20, .length = 8192},
                                      {.logical = 16384, .physical = 4096, .length = 4096}};
    EXPECT_EQ(sectors_of(extents, 0, 4096), (Ranges{{2048, 2056}}));
    EXPECT_EQ(sectors_of(extents, 4000, 4200), (Ranges{{2055, 2057}}));
    EXPECT_EQ(sectors_of(extents, 8192, 16384), Ranges{});  // a hole
    EXPECT_EQ(sectors_of(extents, 0, 1 << 20), (Ranges{{2048, 2064}, {8, 16}}));
    EXPECT_EQ(sectors_of(extents, 8191, 16385), (Ranges{{2063, 2064}, {8, 9}}));
    EXPECT_EQ(sectors_of(extents, 0, ~u64{0}).size(), 2U);
}

TEST(Sectors, AreEmptyForAnEmptyRange) {
    const std::vector<Extent> extents{{.logical = 0, .physical = 1 << 20, .length = 8192}};
    EXPECT_EQ(sectors_of({}, 0, 4096), Ranges{});
    EXPECT_EQ(sectors_of(extents, 4096, 4096), Ranges{});
    EXPECT_EQ(sectors_of(extents, 5000, 4000), Ranges{});
    EXPECT_EQ(sectors_of(extents, 8192, ~u64{0}), Ranges{});
}

TEST(Ranges, UnitedMergesOverlaps) {
    EXPECT_EQ(united({}), Ranges{});
    EXPECT_EQ(united({{7, 7}, {9, 8}}), Ranges{});
    EXPECT_EQ(united({{10, 20}, {0, 5}, {20, 25}, {22, 24}, {7, 7}}), (Ranges{{0, 5}, {10, 25}}));
    EXPECT_EQ(united({{0, 100}, {10, 20}, {50, 101}}), (Ranges{{0, 101}}));
    EXPECT_EQ(united({{0, ~u64{0}}, {1, 2}}), (Ranges{{0, ~u64{0}}}));
}

TEST(Ranges, CoveredCountsTheOverlap) {
    const Ranges all{{0, 5}, {10, 25}};
    EXPECT_EQ(total(all), 20U);
    EXPECT_EQ(total({}), 0U);
    EXPECT_EQ(covered({{0, 100}}, all), 20U);
    EXPECT_EQ(covered({{4, 11}, {24, 30}}, all), 3U);
    EXPECT_EQ(covered({{5, 10}, {25, 26}}, all), 0U);
    EXPECT_EQ(covered({{12, 12}}, all), 0U);
    EXPECT_EQ(covered({}, all), 0U);
    EXPECT_EQ(covered({{0, 100}}, {}), 0U);
}

}  // namespace
}  // namespace iolens
