// SPDX-License-Identifier: Apache-2.0
#include "lens/file/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <numeric>
#include <random>
#include <utility>

#include "import/iotracer_log.h"
#include "sink/iotracer.h"

namespace iolens {
namespace {

LoggedAccess access(u64 start, u64 address = 0) {
    LoggedAccess a;
    a.start = start;
    a.address = address;
    return a;
}

std::vector<u64> starts(LogSnapshot snapshot) {
    std::vector<u64> some;
    for (auto next = snapshot.next(); !next.empty(); next = snapshot.next()) {
        for (const LoggedAccess& a : next) some.push_back(a.start);
    }
    return some;
}

TEST(AccessLog, TheOldestIsDropped) {
    AccessLog log(3);
    for (u64 i = 1; i <= 5; ++i) log.add(access(i));
    EXPECT_EQ(log.size(), 3U);
    EXPECT_EQ(starts(log.since(0)), (std::vector<u64>{3, 4, 5}));
    EXPECT_EQ(log.bytes(), 3 * sizeof(LoggedAccess));
}

TEST(AccessLog, AReaderGoesOnBehindWhatItHad) {
    AccessLog log(10);
    log.add(access(1));
    const u64 next = log.next();
    EXPECT_TRUE(starts(log.since(next)).empty());
    log.add(access(2));
    log.clear();
    log.add(access(3));
    EXPECT_EQ(starts(log.since(next)), (std::vector<u64>{3}));
    EXPECT_TRUE(starts(log.since(log.next() + 5)).empty());
}

TEST(AccessLog, IsInTheOrderOfStarts) {
    AccessLog log(10);
    for (const u64 start : std::initializer_list<u64>{5, 3, 9, 4}) log.add(access(start));
    EXPECT_EQ(starts(log.since(0)), (std::vector<u64>{3, 4, 5, 9}));
}

TEST(AccessLog, AnotherSizeKeepsTheNewest) {
    AccessLog log(4);
    for (u64 i = 1; i <= 4; ++i) log.add(access(i));
    log.resize(2);
    EXPECT_EQ(starts(log.since(0)), (std::vector<u64>{3, 4}));
    log.resize(3);
    log.add(access(5));
    EXPECT_EQ(starts(log.since(0)), (std::vector<u64>{3, 4, 5}));
    log.resize(0);
    log.add(access(6));
    EXPECT_EQ(log.size(), 0U);
}

TEST(AccessLog, ASnapshotOfManyIsWholeAndSorted) {
    std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
    for (const std::size_t buffer : {1U, 15U, 16U, 17U, 1000U, 100'000U}) {
        AccessLog log(buffer);
        std::deque<u64> all;
        for (u64 end = 1000; end < 31'000; ++end) {
            // most are short; a few are long, or never end
            const u64 length = random() % 5000 == 0 ? end : random() % 100 == 0 ? random() % 1000 : random() % 4;
            log.add(access(end - length));
            all.push_back(end - length);
            if (all.size() > buffer) all.pop_front();
            if (random() % 3000 != 0) continue;
            const u64 skip = random() % (all.size() + 1);
            std::vector<u64> want(all.begin() + static_cast<std::ptrdiff_t>(skip), all.end());
            std::ranges::sort(want);
            ASSERT_EQ(starts(log.since(log.next() - all.size() + skip)), want) << buffer << ' ' << end;
        }
        EXPECT_EQ(log.size(), all.size());
    }
}

TEST(AccessLog, ASnapshotDoesNotChangeWithTheLog) {
    AccessLog log(100);
    for (u64 i = 0; i < 100; ++i) log.add(access(i));
    const LogSnapshot whole = log.since(0);
    for (u64 i = 100; i < 150; ++i) log.add(access(i));
    const LogSnapshot later = log.since(0);
    log.clear();
    std::vector<u64> want(100);
    std::iota(want.begin(), want.end(), 0);
    EXPECT_EQ(starts(whole), want);
    std::iota(want.begin(), want.end(), 50);
    EXPECT_EQ(starts(later), want);
    EXPECT_TRUE(starts(log.since(0)).empty());
}

/// The ring is not read while a snapshot is taken.
TEST(AccessLog, ASnapshotIsTakenWithoutACopy) {
    constexpr u64 many = 2'000'000;
    AccessLog log(many);
    const auto time_of = [](const auto& work) {
        const auto start = std::chrono::steady_clock::now();
        work();
        return std::chrono::steady_clock::now() - start;
    };
    for (u64 i = 0; i < many; ++i) log.add(access(i));
    LogSnapshot snapshot;
    const auto taking = time_of([&] { snapshot = log.since(0); });
    const auto reading = time_of([&] { EXPECT_EQ(starts(std::move(snapshot)).size(), many); });
    EXPECT_LT(taking * 10, reading);
}

struct Given {
    const char* text;
    int error;
    const char* path = "";
    u64 max = 0;
};

TEST(Control, CommandsAreReadAsIotracerReadThem) {
    const std::string longest = "add /" + std::string(4096 + 19 - 5, 'x');
    const std::string too_long = longest + "y";
    for (const Given& g : {Given{"add /tmp/x\n", 0, "/tmp/x"},
                           Given{"  add   /tmp/x  ", 0, "/tmp/x"},
                           Given{"add /tmp/x 20", 0, "/tmp/x", 20},
                           Given{"add /tmp/x  20\n", 0, "/tmp/x", 20},
                           Given{"add /a b c", 0, "/a b c"},
                           Given{"add /a 1 2", 0, "/a 1", 2},
                           Given{"add /a 010", 0, "/a", 8},
                           Given{"add /a 09", EINVAL},
                           Given{"add /a 0", EINVAL},
                           Given{"add /a -5", 0, "/a -5"},
                           Given{"add /a 10000000", 0, "/a", 10000000},
                           Given{"add /a 10000001", ERANGE},
                           Given{"add /a 9223372036854775808", ERANGE},
                           Given{"add /a 99999999999999999999999", ERANGE},
                           Given{"add 5", 0, "5"},
                           Given{"add /a\nb", 0, "/a\nb"},
                           Given{"add", EINVAL},
                           Given{"add ", EINVAL},
                           Given{"", EINVAL},
                           Given{"\n", EINVAL},
                           Given{"addx /a", EINVAL},
                           Given{"Add /a", EINVAL},
                           Given{"remove /a 5", 0, "/a 5"},
                           Given{longest.c_str(), 0, longest.c_str() + 4},
                           Given{too_long.c_str(), EINVAL}}) {
        ControlCommand command;
        SCOPED_TRACE(g.text);
        EXPECT_EQ(parse_control(g.text, command), g.error);
        if (g.error != 0) continue;
        EXPECT_EQ(command.path, g.path);
        EXPECT_EQ(command.max_events, g.max);
        EXPECT_EQ(command.what == ControlCommand::What::remove, std::string_view(g.text).starts_with("remove"));
    }
    ControlCommand command;
    EXPECT_EQ(parse_control(std::string_view("add /a\0b", 8), command), EINVAL);
}

TEST(Control, APathStaysOnItsLine) {
    EXPECT_EQ(line_path("/a b"), "/a b");
    EXPECT_EQ(line_path("/a\nb\\c\x1b"), "/a\\012b\\134c\\033");
}

TEST(IotracerLine, IsWhatTheModulePrinted) {
    Buffer out;
    append_iotracer_line(out, {.since_ns = 86'525'308'709,
                               .rw = "W",
                               .address = 3547136,
                               .bytes = 524288,
                               .level = "BLK",
                               .comm = "dd",
                               .pid = 1847});
    append_iotracer_line(out, {.since_ns = 5, .rw = "R", .level = "VFS", .comm = "a;b\n\x1b", .pid = 1});
    EXPECT_EQ(std::string(out.data(), out.size()),
              "86.525308709;W;3547136;524288;BLK;dd;1847\n0.000000005;R;0;0;VFS;a?b??;1\n");
}

TEST(IotracerLine, IsReadBack) {
    iolens_vfs_event e{};
    ASSERT_TRUE(parse_iotracer_line("61633.318652058;R;1879048192;16384;VFS;ATA-0;14272", e));
    EXPECT_EQ(e.start, 61633'318'652'058U);
    EXPECT_EQ(e.op, IOLENS_VFS_READ);
    EXPECT_EQ(e.address, 1879048192U);
    EXPECT_EQ(e.requested, 16384U);
    EXPECT_EQ(e.level, IOLENS_LEVEL_VFS);
    EXPECT_EQ(text_of(e.comm), "ATA-0");
    EXPECT_EQ(e.tgid, 14272U);
    ASSERT_TRUE(parse_iotracer_line("0.5;W;1;2;BLK;a;b;7", e));  // the module prints names unescaped
    EXPECT_EQ(text_of(e.comm), "a;b");
    EXPECT_EQ(e.start, 500'000'000U);
    for (const char* bad : {"", ";", "1;R;0;0;VFS;x;1", "1.0;X;0;0;VFS;x;1", "1.0;R;-1;0;VFS;x;1", "1.0;R;0;0;FS;x;1",
                            "1.0;R;0;0;VFS;x", "1.0;R;0;0;VFS;x;99999999999", "1.0000000001;R;0;0;VFS;x;1",
                            "99999999999999999999.0;R;0;0;VFS;x;1", "1.0;R;99999999999999999999;0;VFS;x;1"}) {
        EXPECT_FALSE(parse_iotracer_line(bad, e)) << bad;
    }
}

}  // namespace
}  // namespace iolens
