// SPDX-License-Identifier: Apache-2.0
// iolens fd --why: reproduces each cause of a slow call.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "json.h"
#include "machine.h"

namespace iolens::test {
namespace {

namespace fs = std::filesystem;

class Why : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// The calls of a shell command, with their explanations.
std::vector<Row> why(const std::string& words, std::vector<std::string> options = {"--min-ms", "0"}) {
    const Scratch scratch;
    std::vector<std::string> command{iolens_path(),
                                     "fd",
                                     "--why",
                                     "--format",
                                     "csv",
                                     "--ring-size",
                                     "32",
                                     "--columns",
                                     "comm,call,duration_ns,bytes,file,why",
                                     "-o",
                                     scratch.path("rows")};
    command.insert(command.end(), options.begin(), options.end());
    command.insert(command.end(), {"--", "sh", "-c", words});
    const Result r = run(command);
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_FALSE(lost(r)) << r.err;
    return parse_csv(slurp(scratch.path("rows")));
}

Json parsed(const Row& row) { return parse_json(row.at("why")); }

/// The waits of a call by reason, in ns.
u64 waited(const Row& row, const std::string& what) {
    const Json why = parsed(row);
    const Json& waits = why.at("waits");
    const auto is_for = [&](const Json& wait) { return wait.at("for").get<std::string>() == what; };
    EXPECT_LE(std::ranges::count_if(waits, is_for), 1) << row.at("why");
    const auto wait = std::ranges::find_if(waits, is_for);
    return wait == waits.end() ? 0 : number(wait->at("ns"));
}

u64 all_waits(const Row& row) {
    u64 sum = 0;
    const Json why = parsed(row);
    for (const Json& wait : why.at("waits")) {
        text_or_null(wait.at("function"));
        EXPECT_GT(number(wait.at("times")), 0U) << row.at("why");
        sum += number(wait.at("ns"));
    }
    return sum;
}

u64 running(const Row& row) { return number(parsed(row).at("running_ns")); }

struct Request {
    std::string disk;
    std::string op;
    u64 bytes = 0;
    bool caused = false;
    bool held_back = false;
    std::string comm;
    std::string file;
    std::set<std::string> beside;  // comms of concurrent requests on the disk
};

std::vector<Request> requests(const Row& row) {
    std::vector<Request> all;
    const Json why = parsed(row);
    for (const Json& request : why.at("requests")) {
        std::set<std::string> beside;
        u64 count = 0;
        for (const Json& other : request.at("beside_whose")) {
            beside.insert(other.at("comm").get<std::string>());
            count += number(other.at("requests"));
        }
        EXPECT_EQ(number(request.at("beside")), count) << row.at("why");
        all.push_back({request.at("disk").get<std::string>(), request.at("op").get<std::string>(),
                       number(request.at("bytes")), request.at("caused").get<bool>(),
                       request.at("held_back").get<bool>(), text_or_null(request.at("comm")),
                       text_or_null(request.at("file")), beside});
    }
    return all;
}

std::vector<Row> of_call(const std::vector<Row>& rows, const std::string& call, const std::string& file) {
    std::vector<Row> some;
    std::ranges::copy_if(rows, std::back_inserter(some),
                         [&](const Row& r) { return r.at("call") == call && r.at("file") == file; });
    return some;
}

/// A call's waits are within its duration and do not overlap.
void expect_waits_fit(const Row& row) { EXPECT_LE(all_waits(row), number(row, "duration_ns")) << row.at("why"); }

TRACED_TEST_F(Why, AColdReadWaitsForItsPages) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("cold");
    shell("dd if=/dev/urandom of=" + path + " bs=1M count=4 conv=fsync");
    drop_caches();
    const auto reads = of_call(why("cat " + path + " > /dev/null"), "read", path);
    ASSERT_GE(reads.size(), 2U);
    u64 bytes = 0;
    u64 waits = 0;
    for (const Row& row : reads) {
        expect_waits_fit(row);
        waits += waited(row, "page_cache");
        for (const Request& request : requests(row)) {
            EXPECT_EQ(request.disk, ext4.disk().name());
            EXPECT_EQ(request.file == path || request.file == "[metadata]", true) << request.file;
            if (request.caused && request.file == path) bytes += request.bytes;
        }
    }
    EXPECT_EQ(bytes, 4 * mib);
    EXPECT_GT(waits, 0U);
}

TRACED_TEST_F(Why, AWarmReadWaitsForNothing) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("warm");
    shell("dd if=/dev/urandom of=" + path + " bs=1M count=4 conv=fsync; cat " + path + " > /dev/null");
    const auto reads = of_call(why("cat " + path + " > /dev/null"), "read", path);
    ASSERT_GE(reads.size(), 2U);
    for (const Row& row : reads) {
        expect_waits_fit(row);
        EXPECT_EQ(waited(row, "page_cache"), 0U) << row.at("why");
        EXPECT_TRUE(requests(row).empty()) << row.at("why");
    }
}

TRACED_TEST_F(Why, ASynchronousWriteWaitsForThePagesAndTheJournal) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("sync");
    const auto writes =
        of_call(why("dd if=/dev/zero of=" + path + " oflag=sync bs=64k count=4 2>/dev/null"), "write", path);
    ASSERT_EQ(writes.size(), 4U);
    bool journal = false;
    for (const Row& row : writes) {
        expect_waits_fit(row);
        EXPECT_GT(waited(row, "writeback") + waited(row, "journal"), 0U) << row.at("why");
        u64 bytes = 0;
        for (const Request& request : requests(row)) {
            if (request.file == path && request.caused) bytes += request.bytes;
            journal = journal || request.file == "[journal]";
        }
        EXPECT_EQ(bytes, 64 * kib) << row.at("why");
    }
    EXPECT_TRUE(journal) << writes[0].at("why");
}

/// The disk is busy with another process's writeback, and the row names that process.
TRACED_TEST_F(Why, AnFsyncBehindSomebodysWriteback) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("mine");
    std::atomic<bool> stop = false;
    std::thread other([&] {
        while (!stop) {
            shell("dd if=/dev/zero of=" + ext4.path("theirs") + " bs=1M count=64 oflag=dsync conv=notrunc 2>/dev/null");
        }
    });
    const auto rows =
        why("for i in $(seq 40); do dd if=/dev/zero of=" + path + " bs=64k count=1 conv=fsync 2>/dev/null; done");
    stop = true;
    other.join();
    const auto syncs = of_call(rows, "fsync", path);
    ASSERT_EQ(syncs.size(), 40U);
    bool said = false;
    for (const Row& row : syncs) {
        expect_waits_fit(row);
        EXPECT_GT(waited(row, "writeback") + waited(row, "journal") + waited(row, "device") + waited(row, "queue"), 0U)
            << row.at("why");
        for (const Request& request : requests(row)) said = said || request.beside.contains("dd");
    }
    EXPECT_TRUE(said);
}

/// A cgroup's limit for the loop device, in the cgroup hierarchy of this machine.
class Throttle {
public:
    explicit Throttle(const std::string& dev, u64 bytes_per_second) {
        const std::string rate = std::to_string(bytes_per_second);
        const std::string v1 = "/sys/fs/cgroup/blkio";
        if (fs::exists(v1 + "/blkio.throttle.read_bps_device")) {
            directory_ = v1 + "/iolens-test-" + std::to_string(::getpid());
            fs::create_directory(directory_);
            spit(directory_ + "/blkio.throttle.read_bps_device", dev + " " + rate);
            spit(directory_ + "/blkio.throttle.write_bps_device", dev + " " + rate);
            return;
        }
        if (::mount("cgroup2", scratch_.path().c_str(), "cgroup2", 0, nullptr) != 0) return;
        mounted_ = true;
        spit(scratch_.path("cgroup.subtree_control"), "+io");
        directory_ = scratch_.path("iolens-test-" + std::to_string(::getpid()));
        fs::create_directory(directory_);
        spit(directory_ + "/io.max", dev + " rbps=" + rate + " wbps=" + rate);
        if (slurp(directory_ + "/io.max").empty()) {
            fs::remove(directory_);
            directory_.clear();
        }
    }
    ~Throttle() {
        // the last process may not have exited yet
        for (int i = 0; !directory_.empty() && i < 100 && ::rmdir(directory_.c_str()) != 0; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        if (mounted_) ::umount2(scratch_.path().c_str(), MNT_DETACH);
    }
    Throttle(const Throttle&) = delete;
    Throttle& operator=(const Throttle&) = delete;
    [[nodiscard]] bool works() const { return !directory_.empty(); }
    /// For a shell: moves it into the limited cgroup.
    [[nodiscard]] std::string enter() const { return "echo $$ > " + directory_ + "/cgroup.procs; "; }

private:
    Scratch scratch_;
    std::string directory_;
    bool mounted_ = false;
};

TRACED_TEST_F(Why, AThrottledDeviceHoldsRequestsBack) {
    const LoopDisk disk(64 * mib);
    std::string dev = slurp(disk.sys("dev"));
    dev.erase(dev.find('\n'));
    const Throttle throttle(dev, mib);
    NEEDS(throttle.works(), "no cgroup that limits I/O here");
    const auto rows =
        why(throttle.enter() + "dd if=" + disk.path() + " of=/dev/null bs=256k count=2 iflag=direct 2>/dev/null");
    const auto reads = of_call(rows, "read", disk.path());
    ASSERT_EQ(reads.size(), 2U);
    bool held_back = false;
    u64 slow = 0;
    for (const Row& row : reads) {
        expect_waits_fit(row);
        slow = std::max(slow, number(row, "duration_ns"));
        EXPECT_GT(waited(row, "direct_io") + waited(row, "device"), number(row, "duration_ns") / 2) << row.at("why");
        for (const Request& request : requests(row)) {
            EXPECT_EQ(request.disk, disk.name());
            held_back = held_back || request.held_back;
        }
    }
    EXPECT_GT(slow, 100'000'000U);
    EXPECT_TRUE(held_back) << reads[0].at("why");
}

/// A kernel setting; the destructor restores it.
class Setting {
public:
    Setting(std::string path, const std::string& value) : path_(std::move(path)), before_(slurp(path_)) {
        spit(path_, value);
    }
    ~Setting() {
        if (before_ != "0\n") spit(path_, before_);
    }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;

private:
    std::string path_;
    std::string before_;
};

TRACED_TEST_F(Why, AWriterWaitsForTheLimitOfDirtyPages) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("much");
    // bytes and ratio set the same limit: the ratios are restored last
    const Setting ratio("/proc/sys/vm/dirty_ratio", slurp("/proc/sys/vm/dirty_ratio"));
    const Setting background_ratio("/proc/sys/vm/dirty_background_ratio", slurp("/proc/sys/vm/dirty_background_ratio"));
    const Setting background("/proc/sys/vm/dirty_background_bytes", "65536");
    const Setting bytes("/proc/sys/vm/dirty_bytes", "262144");
    const auto writes = of_call(why("dd if=/dev/zero of=" + path + " bs=1M count=128 2>/dev/null"), "write", path);
    ASSERT_EQ(writes.size(), 128U);
    u64 waits = 0;
    for (const Row& row : writes) {
        expect_waits_fit(row);
        waits += waited(row, "dirty_pages");
    }
    EXPECT_GT(waits, 0U);
}

TRACED_TEST_F(Why, WhatIsNoDisksIsSaid) {
    const Scratch scratch;
    const auto rows = why("(sleep 0.25; echo x) | cat > " + scratch.path("out"));
    const auto slow = std::ranges::find_if(rows, [](const Row& r) {
        return r.at("comm") == "cat" && r.at("call") == "read" && number(r, "duration_ns") > 100'000'000;
    });
    ASSERT_NE(slow, rows.end());
    expect_waits_fit(*slow);
    EXPECT_GT(waited(*slow, "pipe"), 100'000'000U) << slow->at("why");
    EXPECT_TRUE(requests(*slow).empty()) << slow->at("why");
}

/// A process that appends with O_DIRECT sleeps with the lock until the disk has completed: the others sleep, too. (If
/// the owner were running, they would spin instead.)
TRACED_TEST_F(Why, WritersOfOneFileWaitForItsLock) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("shared");
    const u32 count = emulated() ? 40 : 100;  // on a fast machine the writers wait for less time
    const auto rows =
        why("for i in 1 2 3 4; do dd if=/dev/zero of=" + path + " bs=256k count=" + std::to_string(count) +
            " oflag=direct,append conv=notrunc 2>/dev/null & done; wait");
    const auto writes = of_call(rows, "write", path);
    ASSERT_EQ(writes.size(), std::size_t{4} * count);
    u64 waits = 0;
    for (const Row& row : writes) {
        expect_waits_fit(row);
        waits += waited(row, "lock");
    }
    EXPECT_GT(waits, 10'000'000U);
}

/// Two programs on one CPU: a runnable one waits for the other. Together the reads take several time slices.
TRACED_TEST_F(Why, ABusyProcessorIsWaitedFor) {
    const auto reads = of_call(why("taskset -p 1 $$ > /dev/null; (while :; do :; done) & busy=$!; dd if=/dev/zero "
                                   "of=/dev/null bs=64M count=30 "
                                   "2>/dev/null; kill $busy"),
                               "read", "/dev/zero");
    ASSERT_EQ(reads.size(), 30U);
    u64 ready = 0;
    for (const Row& row : reads) {
        expect_waits_fit(row);
        ready += waited(row, "processor");
        EXPECT_EQ(all_waits(row), waited(row, "processor")) << row.at("why");
    }
    EXPECT_GT(ready, 10'000'000U);
}

/// Calls that the program times itself. `running_ns` is a call's duration without its waits: the witness is the
/// thread's CPU time in the kernel.
struct Timed {
    std::vector<Row> rows;
    u64 running = 0;
    u64 duration = 0;
    std::size_t agreeing = 0;  // calls
    std::string text;          // of all calls
};

Timed timed(const std::string& call, const std::string& path, u64 bytes, std::size_t count,
            const std::string& before = {}, const std::string& after = {}) {
    const Scratch scratch;
    const std::string directory = fs::canonical(scratch.path());
    Timed t;
    t.rows = why(before + helper() + " timed " + directory + " " + call + " " + path + " " + std::to_string(bytes) +
                 " " + std::to_string(count) + after);
    std::erase_if(t.rows, [&](const Row& r) {
        return r.at("comm") != "iolens-libc-pro" || r.at("call") != call ||
               (path == "-" ? !r.at("file").starts_with("pipe:") : r.at("file") != path);
    });
    std::vector<std::string> times = split(slurp(directory + "/times"), '\n');
    EXPECT_EQ(t.rows.size(), count);
    EXPECT_EQ(times.size(), count);
    times.resize(t.rows.size());
    for (std::size_t i = 0; i < t.rows.size(); ++i) {
        const Row& row = t.rows[i];
        expect_waits_fit(row);
        const double ours = static_cast<double>(running(row));
        const double theirs = static_cast<double>(std::strtoull(times[i].c_str(), nullptr, 10));
        // theirs includes the probes and the kernel's entry and exit code, ours includes interrupts and steal time
        const double tolerance = emulated() ? theirs / 2 + 3e6 : theirs / 5 + 300e3;
        t.agreeing += std::abs(ours - theirs) <= tolerance ? 1U : 0U;
        t.running += running(row);
        t.duration += number(row, "duration_ns");
        t.text += "\n" + times[i] + " ns on the processor, " + row.at("duration_ns") + " ns in all: " + row.at("why");
    }
    return t;
}

/// Single calls may be delayed by a long interrupt.
void expect_agreement(const Timed& t) { EXPECT_GE(t.agreeing * 4, t.rows.size() * 3) << t.text; }

TRACED_TEST_F(Why, RunningIsTheProcessorTimeOfACallThatWaits) {
    NEEDS(fs::exists(helper()), "the program to look at was not built");
    const Timed pipe = timed("read", "-", 1, 5, "for i in 1 2 3 4 5; do sleep 0.06; echo; done | ");
    expect_agreement(pipe);
    EXPECT_LT(pipe.running, pipe.duration / 4) << pipe.text;
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    const Timed writes = timed("write", path, mib, 8);
    expect_agreement(writes);
    EXPECT_LT(writes.running, writes.duration) << writes.text;
    const Timed cold = timed("read", path, mib, 8, "sync; echo 3 > /proc/sys/vm/drop_caches; ");
    expect_agreement(cold);
    EXPECT_LT(cold.running, cold.duration) << cold.text;
}

TRACED_TEST_F(Why, RunningIsTheProcessorTimeOfACallThatRuns) {
    NEEDS(fs::exists(helper()), "the program to look at was not built");
    const Timed zeroes = timed("read", "/dev/zero", 16 * mib, 16);
    expect_agreement(zeroes);
    EXPECT_GT(zeroes.running, 0U);
}

TRACED_TEST_F(Why, RunningIsTheProcessorTimeOfACallThatIsPreempted) {
    NEEDS(fs::exists(helper()), "the program to look at was not built");
    const Timed zeroes = timed("read", "/dev/zero", 64 * mib, 32,
                               "taskset -p 1 $$ > /dev/null; (while :; do :; done) & busy=$!; ", "; kill $busy");
    expect_agreement(zeroes);
    EXPECT_LT(zeroes.running, zeroes.duration * 3 / 4) << zeroes.text;
}

TRACED_TEST_F(Why, ATableAJsonTreeAndAReplayAgree) {
    const FileSystem ext4("ext4");
    const Scratch scratch;
    const std::string path = ext4.path("x");
    const std::string command = " -- dd if=/dev/zero of=" + path + " bs=64k count=3 oflag=sync";
    const Result live = shell("iolens fd --why --min-ms 0 --op write --format json --record " + scratch.path("rec") +
                              " -o " + scratch.path("live") + command);
    EXPECT_EQ(live.status, 0) << live.err;
    const Result again = shell("iolens replay --why --min-ms 0 --op write --format json " + scratch.path("rec"));
    EXPECT_EQ(again.status, 0) << again.err;
    const auto rows = [](const std::string& text) {
        std::vector<Json> some;
        for (Json& row : parse_json_lines(text)) {
            if (row.at("type") != "fd") continue;
            EXPECT_EQ(row.erase("unix_ns"), 1U);  // the clock may be changed
            some.push_back(std::move(row));
        }
        return some;
    };
    EXPECT_GE(rows(again.out).size(), 3U);
    EXPECT_EQ(rows(slurp(scratch.path("live"))), rows(again.out));
    const Result table = shell("iolens replay --why --min-ms 0 --op write " + scratch.path("rec"));
    EXPECT_NE(table.out.find(" ms waiting for "), std::string::npos) << table.out;
    EXPECT_NE(table.out.find(" for " + path), std::string::npos) << table.out;
    // without --why it is a recording of calls
    const Result plain = shell("iolens replay --op write --columns call,bytes " + scratch.path("rec"));
    EXPECT_EQ(plain.status, 0) << plain.err;
    EXPECT_EQ(plain.out.find("waiting"), std::string::npos) << plain.out;
}

/// The file is extended before each fsync, which therefore has to commit.
TRACED_TEST_F(Why, TheFirstCallsOfARunningProcessHaveTheirRequests) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("log");
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    std::atomic<bool> stop = false;
    std::atomic<u64> syncs = 0;
    std::thread writer([&] {
        const std::string block(4 * kib, 'x');
        for (u64 i = 0; !stop; ++i) {
            EXPECT_EQ(::pwrite(fd.get(), block.data(), block.size(), static_cast<off_t>(i % 8192 * block.size())),
                      static_cast<ssize_t>(block.size()));
            if (i % 8192 == 8191) {
                EXPECT_EQ(::ftruncate(fd.get(), 0), 0);
            }
            EXPECT_EQ(::fsync(fd.get()), 0);
            ++syncs;
        }
    });
    // all calls that began after the first probe was attached; later ones are shown while it ends
    Tracer tracer({"fd", "--why", "--min-ms", "0", "--op", "fsync", "--ring-size", "32", "--format", "csv", "--columns",
                   "call,duration_ns,file,why", "-p", std::to_string(::getpid())});
    const u64 attached = syncs;
    const bool more = wait_until([&] { return syncs > attached + 100; });
    const Result r = tracer.stop();
    stop = true;
    writer.join();
    EXPECT_TRUE(more);
    const auto rows = of_call(parse_csv(r.out), "fsync", path);
    EXPECT_GE(rows.size(), 100U) << r.err;
    for (const Row& row : rows) EXPECT_FALSE(requests(row).empty()) << row.at("why");
}

/// What a call is on must not depend on which other calls are selected, or how long they took.
TRACED_TEST_F(Why, AnMsyncIsOnItsFile) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("mapped");
    const std::string command = "echo | " + helper() + " msync " + path;
    for (const bool plain : {false, true}) {
        if (plain) ::setenv("IOLENS_PROBE", "plain", 1);
        for (const std::vector<std::string>& options :
             {std::vector<std::string>{"--min-ms", "0.1"}, {"--min-ms", "0.1", "--op", "msync"}}) {
            const auto rows = of_call(why(command, options), "msync", path);
            ASSERT_EQ(rows.size(), 1U) << plain << options.size();
            EXPECT_GT(all_waits(rows[0]), 0U);
            EXPECT_FALSE(requests(rows[0]).empty()) << rows[0].at("why");
        }
        ::unsetenv("IOLENS_PROBE");
    }
}

/// A page fault is no system call, but its wait has a row. Its file is that of the request that it submitted.
TRACED_TEST_F(Why, ASlowPageFaultIsARow) {
    const FileSystem ext4("ext4", false, false);  // waits of less than 10 µs have no rows
    const std::string path = ext4.path("mapped");
    constexpr std::size_t pages = 64;
    spit(path, std::string(pages * 64 * kib, 'x'));
    shell("sync");
    drop_caches();
    const Scratch scratch;
    const auto rows = of_call(why(helper() + " faults " + path + " > " + scratch.path("sleeps")), "fault", path);
    // a page that is ready before the thread sleeps is not waited for: on a busy machine, many are
    const std::size_t sleeps = std::stoul(slurp(scratch.path("sleeps")));
    EXPECT_GT(sleeps, 0U);
    EXPECT_GE(rows.size() + 4, sleeps);
    EXPECT_LE(rows.size(), sleeps);
    for (const Row& row : rows) {
        expect_waits_fit(row);
        EXPECT_GT(waited(row, "page_cache"), 0U) << row.at("why");
        u64 bytes = 0;
        for (const Request& request : requests(row)) {
            EXPECT_EQ(request.disk, ext4.disk().name());
            if (request.file == path && request.caused) bytes += request.bytes;
        }
        EXPECT_GE(bytes, 4096U) << row.at("why");
    }
    drop_caches();
    EXPECT_TRUE(of_call(why(helper() + " faults " + path, {"--min-ms", "0", "--op", "read"}), "fault", path).empty());
    drop_caches();
    EXPECT_FALSE(of_call(why(helper() + " faults " + path, {"--min-ms", "0", "--op", "fault"}), "fault", path).empty());
}

/// No thread waits for a request of io_uring or libaio: its row has its time and the block requests for its file.
TRACED_TEST_F(Why, ASlowRequestIsARow) {
    NEEDS(have("fio"), "fio is not installed");
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    spit(path, std::string(mib, 'x'));
    shell("sync");
    for (const auto& [engine, call] : {std::pair("io_uring", "io_uring:read"), std::pair("libaio", "aio:pread")}) {
        const std::string fio = "fio --name=r --filename=" + path + " --size=1m --bs=64k --rw=read --direct=1 " +
                                "--iodepth=4 --output=/dev/null --ioengine=" + engine;
        if (shell(fio).status != 0) {
            std::printf("not here: %s\n", engine);
            continue;
        }
        const auto rows = of_call(why(fio, {"--min-ms", "0.001"}), call, path);
        EXPECT_EQ(rows.size(), 16U) << engine;
        for (const Row& row : rows) {
            EXPECT_GE(number(row, "duration_ns"), 1000U);
            EXPECT_EQ(row.at("bytes"), "65536");
            EXPECT_EQ(all_waits(row), 0U);
            EXPECT_TRUE(parsed(row).at("running_ns").is_null());
            u64 bytes = 0;
            for (const Request& request : requests(row)) {
                EXPECT_EQ(request.disk, ext4.disk().name());
                EXPECT_EQ(request.file, path);
                if (request.caused) bytes += request.bytes;
            }
            EXPECT_GE(bytes, 65536U) << row.at("why");
        }
        EXPECT_TRUE(of_call(why(fio, {"--min-ms", "60000"}), call, path).empty()) << engine;
    }
}

/// Without -p and a command, the slow calls of all processes have rows, with their waits and requests.
TRACED_TEST_F(Why, TheWholeMachineIsTraced) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("mapped");
    const std::string other = ext4.path("written");
    Tracer tracer({"fd", "--why", "--min-ms", "0.1", "--ring-size", "32", "--format", "csv", "--columns",
                   "comm,call,duration_ns,bytes,file,why"});
    EXPECT_EQ(shell("echo | " + helper() + " msync " + path).status, 0);
    EXPECT_EQ(shell("dd if=/dev/zero of=" + other + " bs=1M count=4 conv=fsync 2>/dev/null").status, 0);
    const Result r = tracer.stop();
    EXPECT_EQ(r.status, 0) << r.err;
    const auto rows = parse_csv(r.out);
    for (const auto& [call, file] : {std::pair("msync", path), std::pair("fsync", other)}) {
        const auto items = of_call(rows, call, file);
        ASSERT_EQ(items.size(), 1U) << r.out;
        EXPECT_GT(all_waits(items[0]), 0U);
        EXPECT_FALSE(requests(items[0]).empty()) << items[0].at("why");
    }
}

TRACED_TEST_F(Why, NonsenseIsRefused) {
    EXPECT_EQ(shell("iolens fd --why --domains ALL -- true").status, 125);
    EXPECT_EQ(shell("iolens fd --why -i /dev/null").status, 2);
}

}  // namespace
}  // namespace iolens::test
