// SPDX-License-Identifier: Apache-2.0
// Totals and histograms that the BPF programs keep, compared with the rows of the same requests and with fio's counts.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <map>

#include "json.h"
#include "machine.h"

namespace iolens::test {
namespace {

class Totals : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// An interval without an end: one summary, at the end, on standard output.
const std::vector<std::string> at_the_end{"--interval", "1000", "--format", "json"};

std::vector<std::string> with(std::vector<std::string> options, const std::vector<std::string>& more) {
    options.insert(options.end(), more.begin(), more.end());
    return options;
}

/// The objects of a type, by a value of theirs.
std::map<std::string, Json> by(const std::string& key, const std::string& type, const std::string& lines) {
    std::map<std::string, Json> found;
    for (const Json& object : parse_json_lines(lines)) {
        if (object.at("type") == type) found.emplace(text_or_null(object.at(key)), object);
    }
    return found;
}

/// The sum of a histogram's counts, by operation.
std::map<std::string, u64> sums(const std::string& lines) {
    std::map<std::string, u64> sum;
    for (const Json& object : parse_json_lines(lines)) {
        if (object.at("type") == "histogram") sum[text_or_null(object.at("op"))] += number(object.at("requests"));
    }
    return sum;
}

/// Reads, writes, flushes and discards.
void mixed_load(const LoopDisk& disk) {
    for (u64 i = 0; i < 400; ++i) direct_io(disk.path(), i % 3 == 0, i * 16, i % 2 == 0 ? 4096 : 8192);
    const iolens::Fd fd(::open(disk.path().c_str(), O_WRONLY | O_CLOEXEC));
    for (int i = 0; i < 5; ++i) ::fsync(fd.get());
    u64 range[2] = {mib, 2 * mib};
    ::ioctl(fd.get(), BLKDISCARD, range);
}

TRACED_TEST_F(Totals, AreThoseOfTheRows) {
    const LoopDisk disk(64 * mib);
    const Scratch scratch;
    const std::string recording = scratch.path("r.iol");
    Tracer totals(with({"block", "-d", disk.name()}, at_the_end));
    const Traced recorded =
        trace({"-d", disk.name(), "-o", "/dev/null", "--record", recording}, [&] { mixed_load(disk); });
    const Result result = totals.stop();
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_FALSE(lost(result)) << result.err;
    const Result replayed = run({iolens_path(), "replay", "--summary", "--format", "json", recording});
    const auto rows = by("op", "summary", replayed.out);
    const auto ours = by("op", "summary", result.out);
    EXPECT_EQ(rows.size(), 4U) << replayed.out;
    ASSERT_EQ(ours.size(), rows.size()) << result.out;
    for (const auto& [op, row] : rows) {
        const Json& mine = ours.at(op);
        for (const char* key : {"disk", "requests", "bytes", "errors"}) EXPECT_EQ(mine.at(key), row.at(key)) << op;
        // two programs read the clock one after the other
        for (const char* key : {"device_p50_ns", "device_p90_ns"}) {
            const auto expected = static_cast<double>(number(row.at(key)));
            EXPECT_NEAR(static_cast<double>(number(mine.at(key))), expected, expected * 0.2 + 3000) << op << key;
        }
        EXPECT_GE(number(mine.at("device_max_ns")), number(mine.at("device_p99_ns"))) << op;
    }
}

TRACED_TEST_F(Totals, CountWhatFioCounts) {
    NEEDS(have("fio"), "fio is not installed");
    const u64 ios = emulated() ? 4001 : 40'009;
    const LoopDisk disk(64 * mib);
    Tracer totals(with({"block", "-d", disk.name(), "--comm", "fio"}, at_the_end));
    Tracer histogram({"block", "-d", disk.name(), "--comm", "fio", "--hist", "--format", "json"});
    const std::string job = "fio --name=q --filename=" + disk.path() +
                            " --direct=1 --rw=randrw --bs=4k --ioengine=libaio " +
                            "--iodepth=32 --size=64m --io_size=" + std::to_string(ios * 4096) + " --output-format=json";
    const Json fio = parse_json(shell(job, std::chrono::seconds(200)).out).at("jobs").at(0);
    const Result result = totals.stop();
    const auto ours = by("op", "summary", result.out);
    const std::map<std::string, u64> slots = sums(histogram.stop().out);
    for (const char* op : {"read", "write"}) {
        const u64 requests = number(fio.at(op).at("total_ios"));
        EXPECT_EQ(number(ours.at(op).at("requests")), requests) << result.err;
        EXPECT_EQ(number(ours.at(op).at("bytes")), requests * 4096);
        EXPECT_EQ(slots.at(op), requests);
    }
}

/// Each interval has what was new in it.
TRACED_TEST_F(Totals, IntervalsAddUp) {
    const LoopDisk disk(64 * mib);
    Tracer tracer({"block", "-d", disk.name(), "--interval", "0.2", "--format", "json"});
    u64 written = 0;
    for (int round = 0; round < 4; ++round) {
        for (u64 i = 0; i < 25; ++i) written += direct_io(disk.path(), true, i * 8, 4096) == 0 ? 1 : 0;
        ::usleep(250'000);
    }
    const Result result = tracer.stop();
    u64 sum = 0;
    u64 intervals = 0;
    for (const Json& object : parse_json_lines(result.out)) {
        if (object.at("type") != "summary" || object.at("op") != "write") continue;
        sum += number(object.at("requests"));
        ++intervals;
    }
    EXPECT_EQ(sum, written) << result.out;
    EXPECT_GE(intervals, 2U);
}

TRACED_TEST_F(Totals, AHistogramIsBiolatencysPicture) {
    const LoopDisk disk(64 * mib);
    Tracer tracer({"block", "-d", disk.name(), "--hist"});
    for (u64 i = 0; i < 50; ++i) direct_io(disk.path(), true, i * 8, 4096);
    const Result result = tracer.stop();
    const std::vector<std::string> lines = split(result.out, '\n');
    ASSERT_GE(lines.size(), 4U) << result.out;
    EXPECT_EQ(lines[0], "");
    EXPECT_EQ(lines[1], "disk = " + disk.name() + ", op = write");
    EXPECT_EQ(lines[2], "     usecs               : count     distribution");
    EXPECT_EQ(lines[3].substr(0, 26), "         0 -> 1          :");
    for (const std::string& line : lines) EXPECT_LE(line.size(), 80U);
}

/// The same histogram from rows: by a key, and of a recording.
TRACED_TEST_F(Totals, HistogramsOfRowsAgree) {
    const LoopDisk disk(64 * mib);
    const Scratch scratch;
    const std::string recording = scratch.path("r.iol");
    Tracer grouped({"block", "-d", disk.name(), "--hist", "--group-by", "disk", "--format", "csv"});
    trace({"-d", disk.name(), "-o", "/dev/null", "--record", recording}, [&] { mixed_load(disk); });
    u64 of_group = 0;
    for (const Row& row : parse_csv(grouped.stop().out)) {
        EXPECT_EQ(row.at("disk"), disk.name());
        of_group += number(row, "requests");
    }
    const std::map<std::string, u64> replayed =
        sums(run({iolens_path(), "replay", "--hist", "--format", "json", recording}).out);
    u64 of_recording = 0;
    for (const auto& [op, requests] : replayed) of_recording += requests;
    EXPECT_GE(of_recording, 406U);
    EXPECT_EQ(of_group, of_recording);
}

/// Disks without a place in the map are counted together.
TRACED_TEST_F(Totals, FurtherDisksAreOne) {
    const Variable few("IOLENS_PROBE", "few-totals");
    const LoopDisk first(64 * mib);
    const LoopDisk second(64 * mib);
    Tracer totals(with({"block", "--comm", "iolens-live-tes"}, at_the_end));
    for (u64 i = 0; i < 30; ++i) {
        direct_io(first.path(), true, i * 8, 4096);
        direct_io(second.path(), true, i * 8, 4096);
    }
    const Result result = totals.stop();
    std::map<std::string, u64> requests;
    for (const Json& object : parse_json_lines(result.out)) {
        if (object.at("op") == "write") requests[text_or_null(object.at("disk"))] += number(object.at("requests"));
    }
    EXPECT_EQ(requests[first.name()], 30U) << result.out;
    EXPECT_EQ(requests["(others)"], 30U) << result.out;
}

}  // namespace
}  // namespace iolens::test
