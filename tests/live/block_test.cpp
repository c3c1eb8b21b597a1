// SPDX-License-Identifier: Apache-2.0
// iolens block on the running kernel, with devices created for the test.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/aio_abi.h>
#include <linux/blktrace_api.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <regex>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "iolens/block_state.h"
#include "iolens/slots.h"
#include "json.h"
#include "machine.h"

namespace iolens::test {
namespace {

class Block : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }

    static std::vector<Row> of_op(const std::vector<Row>& rows, const std::string& op) {
        std::vector<Row> some;
        std::ranges::copy_if(rows, std::back_inserter(some), [&](const Row& r) { return r.at("op") == op; });
        return some;
    }
};

/// Runs `work` in a child with its own comm and waits for it. Returns its process id.
pid_t in_child(const char* comm, const std::function<void()>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_NAME, comm);
        work();
        ::_exit(0);
    }
    ::waitpid(pid, nullptr, 0);
    return pid;
}

EXACT_TEST_F(Block, TwentyThreeWritesAreTwentyThreeRows) {
    const LoopDisk disk(64 * mib);
    pid_t pid = 0;
    const Traced t = trace({"-d", disk.name(), "--op", "write"}, [&] {
        pid = in_child("io lens\t23", [&] {
            for (u64 i = 0; i < 23; ++i) direct_io(disk.path(), true, i * 1000, static_cast<u32>(512 * (i + 1)));
        });
    });
    expect_whole(t);
    ASSERT_EQ(t.rows.size(), 23U);
    for (u64 i = 0; i < 23; ++i) {
        const Row& r = t.rows[i];
        EXPECT_EQ(r.at("sector"), std::to_string(i * 1000));
        EXPECT_EQ(r.at("bytes"), std::to_string(512 * (i + 1)));
        EXPECT_EQ(r.at("pid"), std::to_string(pid));
        EXPECT_EQ(r.at("tid"), std::to_string(pid));
        EXPECT_EQ(r.at("comm"), "io lens\t23");
        EXPECT_EQ(r.at("disk"), disk.name());
        EXPECT_EQ(r.at("rwbs"), "WS");
        EXPECT_EQ(r.at("error"), "");
        EXPECT_NE(r.at("queue_ns"), "");
        EXPECT_GT(std::stoull(r.at("device_ns")), 0U);
    }
}

/// Disks with their own queues and interrupts, if this machine has some to spare.
TRACED_TEST_F(Block, ADiskOfThisMachineIsTheSame) {
    NEEDS(have("fio"), "fio is not installed");
    NEEDS(!test_disks().empty(), "IOLENS_TEST_DISKS names no disk here");
    const u64 count = emulated() ? 1000 : 3000;
    for (const std::string& disk : test_disks()) {
        const std::string path = "/dev/" + disk;
        spit("/sys/block/" + disk + "/queue/nomerges", "2");
        pid_t pid = 0;
        Traced t = trace({"-d", disk, "--op", "write"}, [&] {
            pid = in_child("disk-test", [&] {
                for (u64 i = 0; i < 23; ++i) direct_io(path, true, i * 1000, static_cast<u32>(4096 * (i + 1)));
            });
        });
        expect_whole(t);
        EXPECT_EQ(t.rows.size(), 23U) << disk;
        for (u64 i = 0; i < t.rows.size(); ++i) {
            EXPECT_EQ(t.rows[i].at("sector"), std::to_string(i * 1000)) << disk;
            EXPECT_EQ(t.rows[i].at("bytes"), std::to_string(4096 * (i + 1))) << disk;
            EXPECT_EQ(t.rows[i].at("pid"), std::to_string(pid)) << disk;
        }
        // QEMU's NVMe controller occasionally misses a doorbell when several requests are in flight
        const std::string depth = emulated() && disk.starts_with("nvme") ? "1" : "32";
        t = trace({"-d", disk, "--comm", "fio"}, [&] {
            shell("fio --name=d --filename=" + path + " --direct=1 --rw=randrw --bs=4k --ioengine=libaio " +
                  "--iodepth=" + depth + " --size=64m --number_ios=" + std::to_string(count));
        });
        expect_whole(t);
        EXPECT_EQ(of_op(t.rows, "read").size() + of_op(t.rows, "write").size(), count) << disk;
    }
}

/// Times at which the steps of a request were seen (CLOCK_BOOTTIME, seconds). 0: not seen, or ambiguous.
struct Steps {
    double queued = 0;
    double issued = 0;
    double done = 0;
};

/// Requests as seen by a witness, by their properties; identical ones in the order of completion.
class Witness {
public:
    Witness() = default;
    explicit Witness(const std::vector<KernelTrace::Event>& events) {
        for (const auto& e : events) {
            // mark a discard, which may have the same sector as a write
            const std::string place = std::to_string(e.sector) + (e.rwbs.find('D') == std::string::npos ? "" : "D");
            if (e.name == "block_bio_queue") queued(place, e.time);
            if (e.name == "block_rq_issue") issued(place, e.time);
            if (e.name == "block_rq_complete") done(place, name(e.sector, e.sectors * 512, e.rwbs), e.time);
        }
    }
    static std::string name(u64 sector, u64 bytes, const std::string& rwbs) {
        return std::to_string(sector) + "+" + std::to_string(bytes) + rwbs;
    }

    /// An earlier bio queued at the same place was merged into another request, or has not been issued yet.
    void queued(const std::string& place, double time) {
        const auto [bio, alone] = queued_.try_emplace(place, time);
        if (!alone) bio->second = 0;
    }
    void issued(const std::string& place, double time) {
        const auto [request, alone] = open_.try_emplace(place, Steps{.issued = time});
        if (!alone) request->second = {};
        if (const auto bio = queued_.find(place); bio != queued_.end()) {
            if (alone) request->second.queued = bio->second;
            queued_.erase(bio);
        }
    }
    void done(const std::string& place, const std::string& name, double time) {
        Steps& steps = requests_[name].emplace_back();
        const auto request = open_.find(place);
        if (request == open_.end()) return;
        steps = request->second;
        steps.done = time;
        open_.erase(request);
    }

    [[nodiscard]] const std::map<std::string, std::vector<Steps>>& requests() const { return requests_; }
    /// The next request with that name.
    Steps next(const std::string& name) {
        const std::size_t n = taken_[name]++;
        const auto all = requests_.find(name);
        return all != requests_.end() && n < all->second.size() ? all->second[n] : Steps();
    }

private:
    std::map<std::string, double> queued_;
    std::map<std::string, Steps> open_;
    std::map<std::string, std::vector<Steps>> requests_;
    std::map<std::string, std::size_t> taken_;
};

/// Functions of a tracepoint run in the order of their registration. One witness registers before iolens, and one after
/// it: iolens reads the clock between them, no matter how long an interrupt or an emulator's host delays any of the
/// three. The microseconds are for rounding. Returns false if a witness is not sure about the request.
bool expect_between(const std::string& ns, const Steps& first, const Steps& last, double Steps::* begin,
                    double Steps::* end) {
    if (first.*begin == 0 || first.*end == 0 || last.*begin == 0 || last.*end == 0) return false;
    constexpr double rounding = 2e-6;
    const double seconds = std::stod(ns) / 1e9;
    EXPECT_GE(seconds, first.*end - last.*begin - rounding);
    EXPECT_LE(seconds, last.*end - first.*begin + rounding);
    return true;
}

/// Compares each request with the kernel's own events: sector, bytes, operation, error, and both times.
EXACT_TEST_F(Block, AgreesWithTheKernelsOwnEvents) {
    NEEDS(!tracefs().empty(), "no tracefs here");
    NEEDS(have("fio"), "fio is not installed");
    const LoopDisk disk(64 * mib);
    Witness first;
    Witness last;
    KernelTrace before;
    const Traced t = trace({"-d", disk.name()}, [&] {
        KernelTrace behind;
        before.clear();
        shell("fio --name=w --filename=" + disk.path() +
              " --direct=1 --rw=randrw --bs=4k-256k --size=32m --io_size=8m " +
              "--ioengine=libaio --iodepth=32 --iodepth_batch=32 --fsync=16");
        shell("blkdiscard -o 1048576 -l 1048576 " + disk.path());
        EXPECT_TRUE(wait_until_idle(disk.name()));
        first = Witness(before.events(kernel_dev(disk.path())));
        last = Witness(behind.events(kernel_dev(disk.path())));
    });
    expect_whole(t);
    const auto is_flush = [](const std::string& rwbs) { return rwbs.find_first_of("WRD") == std::string::npos; };
    std::multiset<std::string> theirs;
    for (const auto& [name, requests] : first.requests()) {
        const bool flush = is_flush(name);
        // Skip what was never issued to the device: the empty parent of a flush, which the kernel completes, too.
        if (!flush && name.find("+0") != std::string::npos) continue;
        for (std::size_t i = 0; i < requests.size(); ++i) theirs.insert(flush ? "F" : name);
    }
    std::multiset<std::string> ours;
    std::size_t devices = 0;
    std::size_t queues = 0;
    for (const Row& r : t.rows) {
        const bool flush = is_flush(r.at("rwbs"));
        const std::string name = flush ? "F" : Witness::name(number(r, "sector"), number(r, "bytes"), r.at("rwbs"));
        ours.insert(name);
        if (flush) continue;
        SCOPED_TRACE(name);
        const Steps a = first.next(name);
        const Steps b = last.next(name);
        devices += expect_between(r.at("device_ns"), a, b, &Steps::issued, &Steps::done) ? 1U : 0U;
        queues += expect_between(r.at("queue_ns"), a, b, &Steps::queued, &Steps::issued) ? 1U : 0U;
    }
    EXPECT_GT(ours.size(), 40U);
    EXPECT_TRUE(ours.contains("F"));
    EXPECT_EQ(ours, theirs);
    EXPECT_GE(devices, t.rows.size() / 2);
    EXPECT_GT(queues, 20U);
}

/// The writes in the output of blktrace, which has its own format.
Witness read_blktrace(const std::string& records) {
    const double boot = static_cast<double>(clock_ns(CLOCK_BOOTTIME)) - static_cast<double>(clock_ns(CLOCK_MONOTONIC));
    Witness all;
    blk_io_trace one{};
    std::vector<blk_io_trace> events;
    for (std::size_t at = 0; at + sizeof one <= records.size(); at += sizeof one + one.pdu_len) {
        std::memcpy(&one, records.data() + at, sizeof one);
        if (one.magic >> 8 != BLK_IO_TRACE_MAGIC >> 8) throw std::runtime_error("no record of blktrace");
        if ((one.action & BLK_TC_ACT(BLK_TC_NOTIFY)) == 0 && (one.action & BLK_TC_ACT(BLK_TC_WRITE)) != 0) {
            events.push_back(one);
        }
    }
    std::ranges::sort(events, {}, &blk_io_trace::time);  // they arrive per CPU
    for (const blk_io_trace& e : events) {
        const double time = (static_cast<double>(e.time) + boot) / 1e9;
        const std::string place = std::to_string(e.sector);
        if ((e.action & 0xffff) == __BLK_TA_ISSUE) all.issued(place, time);
        if ((e.action & 0xffff) == __BLK_TA_COMPLETE && e.bytes != 0) {
            all.done(place, Witness::name(e.sector, e.bytes, ""), time);
        }
    }
    return all;
}

TRACED_TEST_F(Block, AgreesWithBlktrace) {
    NEEDS(have("blktrace"), "blktrace is not installed");
    NEEDS(!tracefs().empty(), "no tracefs here");
    const LoopDisk disk(64 * mib);
    if (!std::filesystem::exists("/sys/kernel/debug/block")) {
        shell("mount -t debugfs debugfs /sys/kernel/debug");
        NEEDS(std::filesystem::exists("/sys/kernel/debug/block"), "no debugfs for blktrace");
    }
    const Scratch scratch;
    const Result probe = shell("cd " + scratch.path() + " && blktrace -w 1 -d " + disk.path() + " -o probe");
    NEEDS(probe.status == 0 && probe.err.find("FAILED") == std::string::npos,
          "blktrace does not work here: " + probe.err);
    // When tracing starts, the kernel writes the time, which blktrace passes to a pipe at once.
    const std::string there = "cd " + scratch.path() + "; ";
    shell(there + "timeout -s INT 300 blktrace -d " + disk.path() +
          " -o - > t 2>/dev/null & echo $! > pid; for i in $(seq 1000); do [ -s t ] && break; sleep 0.01; done");
    Witness last;
    const Traced t = trace({"-d", disk.name()}, [&] {
        KernelTrace behind;
        shell("dd if=/dev/zero of=" + disk.path() + " bs=16k count=101 oflag=direct 2>/dev/null");
        EXPECT_TRUE(wait_until_idle(disk.name()));
        last = Witness(behind.events(kernel_dev(disk.path())));
    });
    shell(there + "kill -INT $(cat pid); while [ -d /proc/$(cat pid) ]; do sleep 0.01; done");
    Witness first = read_blktrace(slurp(scratch.path("t")));
    expect_whole(t);
    const auto writes = of_op(t.rows, "write");
    EXPECT_EQ(writes.size(), 101U);
    EXPECT_EQ(first.requests().size(), 101U);
    for (const Row& r : writes) {
        const std::string name = Witness::name(number(r, "sector"), number(r, "bytes"), "");
        SCOPED_TRACE(name);
        EXPECT_TRUE(expect_between(r.at("device_ns"), first.next(name), last.next(name + r.at("rwbs")), &Steps::issued,
                                   &Steps::done));
    }
}

EXACT_TEST_F(Block, CountsWhatFioCounts) {
    NEEDS(have("fio"), "fio is not installed");
    const u64 count = emulated() ? 4001 : 20'011;
    const LoopDisk disk(64 * mib);
    std::string said;
    const Traced t = trace({"-d", disk.name(), "--comm", "fio", "--ring-size", "32"}, [&] {
        said = shell("fio --name=q --filename=" + disk.path() + " --direct=1 --rw=randread --bs=4k --ioengine=libaio " +
                     "--iodepth=32 --size=64m --io_size=" + std::to_string(count * 4096))
                   .out;
    });
    expect_whole(t);
    EXPECT_EQ(t.rows.size(), count) << said;
    for (const Row& r : t.rows) ASSERT_EQ(r.at("bytes"), "4096");
}

EXACT_TEST_F(Block, FlushAndDiscardHaveTheirOwnLetterAndCreator) {
    const LoopDisk disk(64 * mib);
    pid_t flusher = 0;
    pid_t discarder = 0;
    const Traced t = trace({"-d", disk.name()}, [&] {
        flusher = in_child("flusher", [&] {
            const int fd = ::open(disk.path().c_str(), O_WRONLY);
            ::fsync(fd);
        });
        discarder = in_child("discarder", [&] {
            const int fd = ::open(disk.path().c_str(), O_WRONLY);
            u64 range[2] = {mib, 2 * mib};
            ::ioctl(fd, BLKDISCARD, range);
        });
    });
    expect_whole(t);
    const auto flushes = of_op(t.rows, "flush");
    ASSERT_GE(flushes.size(), 1U);
    EXPECT_EQ(flushes[0].at("rwbs")[0], 'F');
    EXPECT_EQ(flushes[0].at("sector"), "");
    EXPECT_EQ(flushes[0].at("bytes"), "0");
    EXPECT_EQ(flushes[0].at("comm"), "flusher");
    EXPECT_EQ(flushes[0].at("pid"), std::to_string(flusher));
    const auto discards = of_op(t.rows, "discard");
    ASSERT_EQ(discards.size(), 1U);
    EXPECT_EQ(discards[0].at("rwbs")[0], 'D');
    EXPECT_EQ(discards[0].at("sector"), "2048");
    EXPECT_EQ(discards[0].at("bytes"), std::to_string(2 * mib));
    EXPECT_EQ(discards[0].at("pid"), std::to_string(discarder));
}

TRACED_TEST_F(Block, WriteZeroesIsNoWrite) {
    const LoopDisk disk(64 * mib);
    int error = 0;
    const Traced t = trace({"-d", disk.name()}, [&] {
        const int fd = ::open(disk.path().c_str(), O_RDWR);
        error = ::fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, mib) == 0 ? 0 : errno;
        ::close(fd);
    });
    NEEDS(error == 0, "this loop device takes no write-zeroes");
    expect_whole(t);
    const auto zeroes = of_op(t.rows, "write_zeroes");
    NEEDS(!zeroes.empty(), "the kernel wrote zeroes instead");
    EXPECT_EQ(zeroes[0].at("rwbs").substr(0, 2), "WZ");
    EXPECT_EQ(zeroes[0].at("bytes"), std::to_string(mib));
}

TRACED_TEST_F(Block, AFailedRequestSaysWhy) {
    const LoopDisk disk(64 * mib, false, mib);
    disk.fill();  // newer loop drivers report a partly written request as written
    int error = 0;
    const Traced t =
        trace({"-d", disk.name(), "--op", "write"}, [&] { error = direct_io(disk.path(), true, 32768, 2 * mib); });
    expect_whole(t);
    // the witness: the error that the program got; newer kernels return the filesystem's own error
    ASSERT_TRUE(error == EIO || error == ENOSPC) << error;
    const std::string name = error == EIO ? "EIO" : "ENOSPC";
    ASSERT_GE(t.rows.size(), 1U);
    const auto failed = std::ranges::find_if(t.rows, [](const Row& r) { return !r.at("error").empty(); });
    ASSERT_NE(failed, t.rows.end());
    EXPECT_EQ(failed->at("error"), name);
    EXPECT_GE(std::stoull(failed->at("sector")), 32768U);

    Tracer table({"block", "-d", disk.name(), "--op", "write"});
    direct_io(disk.path(), true, 65536, mib);
    const std::string text = table.stop().out;
    EXPECT_NE(text.find(name), std::string::npos) << text;
}

TRACED_TEST_F(Block, DmErrorAndDmLinearAreRowsOfTheirOwn) {
    NEEDS(have("dmsetup") && shell("dmsetup version").status == 0, "no device-mapper here");
    const LoopDisk disk(64 * mib);
    const std::string name = "iolens-test-" + std::to_string(::getpid());
    const Result made =
        shell("printf '0 2048 linear " + disk.path() + " 2048\\n2048 2048 error\\n' | dmsetup create " + name);
    NEEDS(made.status == 0, "device-mapper can't make this: " + made.err);
    const std::string path = "/dev/mapper/" + name;
    shell("dmsetup mknodes");
    int bad = 0;
    const Traced t = trace({}, [&] {
        direct_io(path, true, 8, 8192);
        bad = direct_io(path, false, 3000, 4096);
    });
    const Traced filtered = trace({"-d", name}, [&] { direct_io(path, true, 16, 4096); });
    const std::string dm =
        std::filesystem::read_symlink("/sys/dev/block/" + std::regex_replace(kernel_dev(path), std::regex(","), ":"))
            .filename();
    shell("dmsetup remove " + name);
    EXPECT_EQ(bad, EIO);
    const auto find = [&](const std::string& on, const std::string& sector) {
        return std::ranges::find_if(t.rows,
                                    [&](const Row& r) { return r.at("disk") == on && r.at("sector") == sector; });
    };
    const auto upper = find(dm, "8");
    ASSERT_NE(upper, t.rows.end());
    EXPECT_EQ(upper->at("bytes"), "8192");
    EXPECT_EQ(upper->at("pid"), std::to_string(::getpid()));
    const auto lower = find(disk.name(), "2056");
    ASSERT_NE(lower, t.rows.end());
    EXPECT_EQ(lower->at("bytes"), "8192");
    EXPECT_EQ(lower->at("pid"), std::to_string(::getpid()));
    EXPECT_GE(std::stoull(upper->at("device_ns")), std::stoull(lower->at("device_ns")));
    const auto failed = find(dm, "3000");
    ASSERT_NE(failed, t.rows.end());
    EXPECT_EQ(failed->at("error"), "EIO");
    ASSERT_EQ(filtered.rows.size(), 1U);
    EXPECT_EQ(filtered.rows[0].at("disk"), dm);
}

TRACED_TEST_F(Block, ABioBasedDiskHasRows) {
    if (!std::filesystem::exists("/sys/block/zram0")) shell("modprobe zram");
    NEEDS(std::filesystem::exists("/sys/block/zram0") && slurp("/sys/block/zram0/disksize") == "0\n",
          "no free zram device");
    spit("/sys/block/zram0/disksize", "16777216");
    NEEDS(slurp("/sys/block/zram0/disksize") != "0\n", "zram can't be set up here");
    const Traced t = trace({"-d", "zram0"}, [&] {
        for (u64 i = 0; i < 7; ++i) direct_io("/dev/zram0", true, i * 16, 8192);
    });
    spit("/sys/block/zram0/reset", "1");
    expect_whole(t);
    const auto writes = of_op(t.rows, "write");
    ASSERT_EQ(writes.size(), 7U);
    for (u64 i = 0; i < 7; ++i) {
        EXPECT_EQ(writes[i].at("sector"), std::to_string(i * 16));
        EXPECT_EQ(writes[i].at("bytes"), "8192");
        EXPECT_EQ(writes[i].at("pid"), std::to_string(::getpid()));
    }
}

/// The copies of the programs, which handle runs that the kernel skips: behind programs that handle everything, they
/// add nothing, and without those, they do all of it.
TRACED_TEST_F(Block, CopiesHandleWhatTheProgramsMiss) {
    NEEDS(have("fio"), "fio is not installed");
    const LoopDisk disk(64 * mib);
    const FileSystem ext4("ext4");
    spit(ext4.path("data"), std::string(mib, 'x'));
    constexpr u64 count = 1000;
    for (const char* variant : {"copies", "only-copies"}) {
        const Variable forced("IOLENS_PROBE", variant);
        Traced t = trace({"-d", disk.name(), "--comm", "fio"}, [&] {
            shell(
                "fio --name=c --filename=" + disk.path() + " --direct=1 --rw=randrw --bs=4k --ioengine=libaio " +
                "--iodepth=8 --numjobs=3 --thread --group_reporting --size=32m --number_ios=" + std::to_string(count));
        });
        expect_whole(t);
        std::erase_if(t.rows, [](const Row& row) { return row.at("op") != "read" && row.at("op") != "write"; });
        EXPECT_EQ(t.rows.size(), 3 * count) << variant << "\n" << t.result.err;
        for (const Row& row : t.rows) {
            EXPECT_EQ(row.at("bytes"), "4096") << variant;
            EXPECT_NE(row.at("queue_ns"), "") << variant;
            EXPECT_GT(number(row, "device_ns"), 0U) << variant;
        }
        t = trace({"-d", ext4.disk().name(), "--op", "read"}, [&] {
            drop_caches();
            slurp(ext4.path("data"));
        });
        expect_whole(t);
        u64 bytes = 0;
        for (const Row& row : t.rows) {
            if (row.at("file") == ext4.path("data")) bytes += number(row, "bytes");
        }
        EXPECT_EQ(bytes, mib) << variant << "\n" << t.result.out;
    }
}

/// Likewise for disks whose operations are bios.
TRACED_TEST_F(Block, CopiesHandleTheBiosOfADiskWithoutRequests) {
    NEEDS(have("dmsetup") && shell("dmsetup version").status == 0, "no device-mapper here");
    const LoopDisk disk(8 * mib);
    const std::string name = "iolens-copies-" + std::to_string(::getpid());
    const Result made = shell("echo '0 16384 linear " + disk.path() + " 0' | dmsetup create " + name);
    NEEDS(made.status == 0, "device-mapper can't make this: " + made.err);
    shell("dmsetup mknodes");
    constexpr u64 count = 50;
    for (const char* variant : {"copies", "only-copies"}) {
        const Variable forced("IOLENS_PROBE", variant);
        const Traced t = trace({"-d", name, "--op", "write"}, [&] {
            for (u64 i = 0; i < count; ++i) direct_io("/dev/mapper/" + name, true, i * 16, 8192);
        });
        expect_whole(t);
        EXPECT_EQ(t.rows.size(), count) << variant << "\n" << t.result.err;
        for (u64 i = 0; i < t.rows.size(); ++i) {
            EXPECT_EQ(t.rows[i].at("sector"), std::to_string(i * 16)) << variant;
            EXPECT_EQ(t.rows[i].at("bytes"), "8192") << variant;
            EXPECT_EQ(t.rows[i].at("pid"), std::to_string(::getpid())) << variant;
            EXPECT_GT(number(t.rows[i], "device_ns"), 0U) << variant;
        }
    }
    shell("dmsetup remove --retry " + name);
}

TRACED_TEST_F(Block, WithoutIostatsAndInEveryScheduler) {
    const LoopDisk disk(64 * mib);
    const auto nine = [&] {
        for (u64 i = 0; i < 9; ++i) direct_io(disk.path(), true, i * 64, 4096);
    };
    spit(disk.sys("queue/iostats"), "0");
    Traced t = trace({"-d", disk.name(), "--op", "write"}, nine);
    expect_whole(t);
    EXPECT_EQ(t.rows.size(), 9U);
    spit(disk.sys("queue/iostats"), "1");
    std::string list = slurp(disk.sys("queue/scheduler"));
    std::erase_if(list, [](char c) { return c == '[' || c == ']' || c == '\n'; });
    for (const std::string& scheduler : split(list, ' ')) {
        spit(disk.sys("queue/scheduler"), scheduler);
        t = trace({"-d", disk.name(), "--op", "write"}, nine);
        expect_whole(t);
        EXPECT_EQ(t.rows.size(), 9U) << scheduler;
        for (const Row& r : t.rows) EXPECT_EQ(r.at("pid"), std::to_string(::getpid())) << scheduler;
    }
}

/// A bio that is too large for its disk is split; each part has the creator, and no entry is left in the maps.
TRACED_TEST_F(Block, SplitAndMergedRequestsKeepTheirCreator) {
    const LoopDisk disk(64 * mib);
    spit(disk.sys("queue/max_sectors_kb"), "128");
    const Traced t = trace({"-d", disk.name(), "--op", "write"}, [&] { direct_io(disk.path(), true, 0, 4 * mib); });
    expect_whole(t);
    u64 bytes = 0;
    for (const Row& r : t.rows) {
        EXPECT_EQ(r.at("pid"), std::to_string(::getpid()));
        EXPECT_LE(std::stoull(r.at("bytes")), 128U << 10);
        bytes += std::stoull(r.at("bytes"));
    }
    EXPECT_EQ(bytes, 4 * mib);
    EXPECT_EQ(t.counter("in flight"), 0U);

    spit(disk.sys("queue/max_sectors_kb"), "1280");
    spit(disk.sys("queue/nomerges"), "0");
    spit(disk.sys("queue/scheduler"), "mq-deadline");
    shell("echo 3 > /proc/sys/vm/drop_caches");
    const Traced merged = trace({"-d", disk.name(), "--op", "write"}, [&] {
        shell("dd if=/dev/zero of=" + disk.path() + " bs=4k count=2048 conv=fsync 2>/dev/null");
    });
    expect_whole(merged);
    bytes = 0;
    u64 bios = 0;
    for (const Row& r : merged.rows) {
        bytes += std::stoull(r.at("bytes"));
        bios += std::stoull(r.at("bios"));
    }
    EXPECT_EQ(bytes, 8 * mib);
    EXPECT_GT(bios, merged.rows.size());
    EXPECT_EQ(merged.counter("in flight"), 0U) << merged.result.err;
}

TRACED_TEST_F(Block, FiltersDecideAtCreationAndNothingIsUncounted) {
    const LoopDisk disk(64 * mib);
    pid_t wanted = 0;
    const auto two = [&] {
        wanted = in_child("wanted", [&] {
            for (u64 i = 0; i < 11; ++i) direct_io(disk.path(), true, i * 64, 4096);
        });
        in_child("other", [&] {
            for (u64 i = 0; i < 13; ++i) direct_io(disk.path(), false, i * 64, 4096);
        });
    };
    for (const std::vector<std::string>& filter :
         {std::vector<std::string>{"--comm", "wanted"}, {"--op", "write"}, {"--comm", "wanted", "--op", "write"}}) {
        std::vector<std::string> options{"-d", disk.name()};
        options.insert(options.end(), filter.begin(), filter.end());
        const Traced t = trace(options, two);
        expect_whole(t);
        EXPECT_EQ(t.rows.size(), 11U) << filter[0];
        EXPECT_GE(t.counter("filtered"), 13U);
    }
    // filter by process: this one, not its children
    const Traced mine = trace({"-d", disk.name(), "-p", std::to_string(::getpid())}, [&] {
        two();
        direct_io(disk.path(), true, 0, 4096);
    });
    EXPECT_EQ(mine.rows.size(), 1U);
    const Traced by_tid = trace({"-d", disk.name(), "--tid", std::to_string(::gettid()), "--uid", "0"}, [&] {
        two();
        direct_io(disk.path(), true, 0, 4096);
    });
    EXPECT_EQ(by_tid.rows.size(), 1U);
    const Traced nobody = trace({"-d", disk.name(), "--uid", "65534"}, two);
    EXPECT_EQ(nobody.rows.size(), 0U);
    const Traced slow = trace({"-d", disk.name(), "-m", "100000"}, two);
    EXPECT_EQ(slow.rows.size(), 0U);
    EXPECT_GE(slow.counter("filtered"), 24U);
}

TRACED_TEST_F(Block, TheCgroupIsThatOfTheCreator) {
    const Cgroup cgroup;
    NEEDS(!cgroup.path().empty(), "no cgroup v2 hierarchy here");
    const LoopDisk disk(64 * mib);
    const auto work = [&] {
        in_child("inside", [&] {
            spit(cgroup.path() + "/cgroup.procs", std::to_string(::getpid()));
            for (u64 i = 0; i < 5; ++i) direct_io(disk.path(), true, i * 64, 4096);
        });
        for (u64 i = 0; i < 3; ++i) direct_io(disk.path(), true, i * 64, 4096);
    };
    const Traced t = trace({"-d", disk.name(), "-c", cgroup.path()}, work);
    expect_whole(t);
    ASSERT_EQ(t.rows.size(), 5U);
    const Result inode = shell("stat -c %i " + cgroup.path());
    for (const Row& r : t.rows) {
        EXPECT_EQ(r.at("comm"), "inside");
        EXPECT_EQ(r.at("cgroup_id") + "\n", inode.out);
    }
    // after attaching, iolens has dropped most of its capabilities
    Tracer grouped({"block", "-d", disk.name(), "--interval", "1000", "--group-by", "cgroup", "--format", "csv"});
    work();
    std::map<std::string, std::string> requests;
    for (const Row& r : parse_csv(grouped.stop().out)) requests[r.at("cgroup")] = r.at("requests");
    EXPECT_EQ(requests[cgroup.path()], "5");
}

TRACED_TEST_F(Block, APartitionIsItsSectors) {
    const LoopDisk disk(64 * mib, true);
    NEEDS(std::filesystem::exists(disk.path() + "p2"), "this kernel made no nodes for the loop device's partitions");
    const Traced t = trace({"-d", disk.name() + "p2", "--op", "write,flush"}, [&] {
        direct_io(disk.path() + "p1", true, 0, 4096);
        direct_io(disk.path() + "p2", true, 8, 4096);
    });
    expect_whole(t);
    const auto start = std::stoull(slurp(disk.sys(disk.name() + "p2/start")));
    const auto writes = of_op(t.rows, "write");
    ASSERT_EQ(writes.size(), 1U);
    EXPECT_EQ(writes[0].at("sector"), std::to_string(start + 8));
    EXPECT_EQ(writes[0].at("disk"), disk.name());
    EXPECT_EQ(writes[0].at("partition"), disk.name() + "p2");
}

/// Rows, with and without attribution, and a recording: each request has the partition that it was submitted to.
TRACED_TEST_F(Block, EachRequestHasItsPartition) {
    const LoopDisk disk(64 * mib, true);
    NEEDS(std::filesystem::exists(disk.path() + "p2"), "this kernel made no nodes for the loop device's partitions");
    const Scratch place;
    const std::string recording = place.path("recording");
    const auto work = [&] {
        direct_io(disk.path() + "p1", true, 0, 4096);
        direct_io(disk.path() + "p2", true, 8, 4096);
        direct_io(disk.path(), true, 0, 4096);
    };
    const auto partitions = [](const std::vector<Row>& rows) {
        std::vector<std::string> names;
        for (const Row& row : rows) names.push_back(row.at("partition"));
        return names;
    };
    const std::vector<std::string> expected{disk.name() + "p1", disk.name() + "p2", ""};
    const Traced t =
        trace({"-d", disk.name(), "--op", "write", "--no-file", "--columns", "sector,partition", "--record", recording},
              work);
    expect_whole(t);
    EXPECT_EQ(partitions(t.rows), expected);
    const auto replayed = [&](const std::string& selected) {
        return run({iolens_path(), "replay", recording, "--format", "csv", "--columns", "partition", "-d", selected})
            .out;
    };
    const bool recorded = kernel_is_since(5, 12);  // before, only /sys knows, and a replay does not ask it
    EXPECT_EQ(replayed(disk.name() + "p2"), recorded ? "partition\r\n" + disk.name() + "p2\r\n" : "partition\r\n");
}

/// Requests of other disks that find no place in the map are no loss of this one.
TRACED_TEST_F(Block, AnotherDisksLossIsNotReported) {
    const LoopDisk traced(64 * mib);
    const LoopDisk other(64 * mib);
    const Traced t = trace({"-d", traced.name(), "--op", "write", "--max-inflight", "64"}, [&] {
        const Result fio = shell("fio --name=other --filename=" + other.path() +
                                 " --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=256 --number_ios=3000 "
                                 "--output=/dev/null");
        EXPECT_EQ(fio.status, 0) << fio.err;
        direct_io(traced.path(), true, 8, 4096);
    });
    expect_whole(t);
    EXPECT_EQ(of_op(t.rows, "write").size(), 1U);
}

/// The creator has exited when its I/O completes: the row still has its name, and no other.
TRACED_TEST_F(Block, ACreatorThatExitsBeforeTheEnd) {
    const LoopDisk disk(64 * mib);
    pid_t pid = 0;
    const Traced t = trace({"-d", disk.name(), "--op", "write"}, [&] {
        pid = in_child("short-lived", [&] {
            const int fd = ::open(disk.path().c_str(), O_WRONLY | O_DIRECT);
            aio_context_t context = 0;
            ::syscall(SYS_io_setup, 8, &context);
            iocb control{};
            control.aio_lio_opcode = IOCB_CMD_PWRITE;
            control.aio_fildes = static_cast<u32>(fd);
            control.aio_buf = reinterpret_cast<std::uintptr_t>(aligned(mib));
            control.aio_nbytes = mib;
            control.aio_offset = 0;
            iocb* list = &control;
            ::syscall(SYS_io_submit, context, 1, &list);
            ::kill(::getpid(), SIGKILL);
        });
        EXPECT_TRUE(wait_until_idle(disk.name()));
    });
    expect_whole(t);
    ASSERT_GE(t.rows.size(), 1U);
    for (const Row& r : t.rows) {
        EXPECT_EQ(r.at("comm"), "short-lived");
        EXPECT_EQ(r.at("pid"), std::to_string(pid));
    }
}

/// A cgroup's limit delays a bio, and a kernel worker submits it later: the row never names the worker.
TRACED_TEST_F(Block, AThrottledRequestIsNotTheThrottlersOwn) {
    const LoopDisk disk(64 * mib);
    const std::string dev = std::regex_replace(kernel_dev(disk.path()), std::regex(","), ":");
    const std::string v1 = "/sys/fs/cgroup/blkio";
    const Cgroup v2;
    std::string place;
    if (std::filesystem::exists(v1 + "/blkio.throttle.write_bps_device")) {
        place = v1 + "/iolens-test-" + std::to_string(::getpid());
        std::filesystem::create_directory(place);
        spit(place + "/blkio.throttle.write_bps_device", dev + " 65536\n");
    } else if (!v2.path().empty()) {
        spit(std::filesystem::path(v2.path()).parent_path().string() + "/cgroup.subtree_control", "+io\n");
        if (std::filesystem::exists(v2.path() + "/io.max")) {
            place = v2.path();
            spit(place + "/io.max", dev + " wbps=65536\n");
        }
    }
    NEEDS(!place.empty(), "no cgroup here limits block I/O (blkio.throttle, io.max)");
    const auto start = std::chrono::steady_clock::now();
    const Traced t = trace({"-d", disk.name(), "--op", "write"}, [&] {
        in_child("throttled", [&] {
            spit(place + "/cgroup.procs", std::to_string(::getpid()));
            for (u64 i = 0; i < 6; ++i) direct_io(disk.path(), true, i * 64, 16384);
        });
    });
    EXPECT_GT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(800)) << "nothing was throttled";
    if (place != v2.path()) std::filesystem::remove(place);
    expect_whole(t);
    ASSERT_EQ(t.rows.size(), 6U);
    u64 unknown = 0;
    for (const Row& r : t.rows) {
        EXPECT_TRUE(r.at("comm") == "throttled" || r.at("comm").empty()) << r.at("comm");
        unknown += r.at("comm").empty() ? 1U : 0U;
    }
    EXPECT_EQ(t.counter("creator"), unknown);
}

TEST_F(Block, NothingOutlivesAHundredThousandRequests) {
    NEEDS(have("fio"), "fio is not installed");
    const u64 count = emulated() ? 5'000 : 100'000;
    const LoopDisk disk(64 * mib, false, 24 * mib);
    const std::string fio =
        "fio --name=a --filename=" + disk.path() + " --direct=1 --bs=4k --ioengine=libaio --iodepth=64 ";
    Tracer tracer({"block", "--format", "csv", "-d", disk.name(), "--ring-size", "64"});
    shell(fio + "--rw=randrw --fsync=64 --size=32m --io_size=" + std::to_string(count * 4096),
          std::chrono::seconds(200));
    // the second half exceeds the space
    shell(fio + "--rw=randwrite --offset=32m --size=32m --io_size=16m --continue_on_error=all");
    shell("blkdiscard " + disk.path());
    Traced t;
    t.result = tracer.stop();
    t.rows = parse_csv(t.result.out);
    EXPECT_EQ(t.rows.size(), t.counter("delivered"));
    // losses are allowed here if they are counted: with this many requests any rare event may happen
    EXPECT_GE(t.rows.size() + t.counter("lost"), count) << t.result.err;
    EXPECT_TRUE(std::ranges::any_of(t.rows, [](const Row& r) { return !r.at("error").empty(); }));
    EXPECT_FALSE(of_op(t.rows, "flush").empty());
    EXPECT_EQ(t.counter("in flight"), 0U) << t.result.err;
}

/// Freezes a filesystem during its lifetime.
class Frozen {
public:
    explicit Frozen(const std::string& path) : place_(::open(path.c_str(), O_RDONLY)) {
        EXPECT_EQ(::ioctl(place_, FIFREEZE, 0), 0);
    }
    ~Frozen() {
        EXPECT_EQ(::ioctl(place_, FITHAW, 0), 0);
        ::close(place_);
    }
    Frozen(const Frozen&) = delete;
    Frozen& operator=(const Frozen&) = delete;

private:
    int place_;
};

/// Creates a file of 8 MiB and a loop device on it. Returns its path.
std::string loop_on(const std::string& image) {
    shell("dd if=/dev/zero of=" + image + " bs=1M count=8 conv=fsync");
    std::string loop = shell("losetup --find --show " + image).out;
    loop.erase(std::min(loop.find('\n'), loop.size()));
    return loop;
}

/// A disk that doesn't answer, because its file's filesystem is frozen. Requests that it still has when tracing ends
/// are not lost, unlike those that the disk has no longer; they have rows if requested.
TEST_F(Block, WhatIsUnderWayAtTheEndIsNoLoss) {
    const FileSystem ext4("ext4");
    const std::string loop = loop_on(ext4.path("image"));
    ASSERT_TRUE(loop.starts_with("/dev/loop")) << loop;
    const std::string name = loop.substr(std::string("/dev/").size());
    Result table;
    Result json;
    Result csv;
    std::thread writer;
    {
        Tracer first({"block", "-d", name});
        Tracer second({"block", "--format", "json", "--unfinished", "-d", name});
        Tracer third({"block", "--format", "csv", "-d", name});
        const Frozen frozen(ext4.path());
        writer = std::thread(
            [&] { shell("dd if=/dev/zero of=" + loop + " bs=4k count=1 seek=7 oflag=direct conv=notrunc"); });
        const auto waiting = [&] { return slurp("/sys/block/" + name + "/inflight").find('1') != std::string::npos; };
        EXPECT_TRUE(wait_until(waiting));
        table = first.stop();
        json = second.stop();
        csv = third.stop();
    }
    writer.join();
    shell("losetup -d " + loop);
    for (const Result* r : {&table, &json, &csv}) {
        EXPECT_EQ(r->err.find("iolens: lost "), std::string::npos) << r->err;
        EXPECT_NE(r->err.find("in flight 1\n"), std::string::npos) << r->err;
    }
    EXPECT_EQ(table.out.find("dd"), std::string::npos) << table.out;
    EXPECT_EQ(csv.out.find("dd"), std::string::npos) << csv.out;
    std::vector<Json> rows = parse_json_lines(json.out);
    std::erase_if(rows, [](const Json& row) { return row["op"] != "write"; });
    ASSERT_EQ(rows.size(), 1U) << json.out;
    EXPECT_EQ(rows[0]["end"], "pending");
    EXPECT_EQ(rows[0]["comm"], "dd");
    EXPECT_EQ(rows[0]["sector"], 56);
    EXPECT_EQ(rows[0]["bytes"], 4096);
    EXPECT_TRUE(rows[0]["device_ns"].is_null());
}

/// The number of operations in the state of the last tracer that was started.
u64 count_in_flight() {
    const Fd states = map_named("inflight");
    const Fd keys = map_named("inflight_keys");
    bpf_map_info info{};
    u32 size = sizeof info;
    EXPECT_EQ(::bpf_obj_get_info_by_fd(states.get(), &info, &size), 0);
    u64 count = 0;
    if (info.type != BPF_MAP_TYPE_ARRAY) {
        u64 key = 0;
        for (const u64* last = nullptr; ::bpf_map_get_next_key(states.get(), last, &key) == 0; last = &key) ++count;
        return count;
    }
    iolens_slot_keys bucket{};
    for (u32 i = 0; i < info.max_entries / IOLENS_SLOTS_BUCKET; ++i) {
        if (::bpf_map_lookup_elem(keys.get(), &i, &bucket) != 0) continue;
        for (const u64 key : bucket.key) count += key != 0 ? 1 : 0;
    }
    return count;
}

/// Disks that don't answer, because their files' filesystem is frozen, have all these requests at once.
TEST_F(Block, TenThousandRequestsInFlight) {
    NEEDS(have("fio"), "fio is not installed");
    constexpr u64 disks = 5;
    const u64 per_disk = emulated() ? 100 : 2000;  // not every kernel of the matrix has mq-deadline
    const FileSystem ext4("ext4");
    std::vector<std::string> loops;
    std::string jobs;
    for (u64 i = 0; i < disks; ++i) {
        const std::string loop = loop_on(ext4.path("image" + std::to_string(i)));
        ASSERT_TRUE(loop.starts_with("/dev/loop")) << loop;
        const std::string queue = "/sys/block/" + loop.substr(std::string("/dev/").size()) + "/queue/";
        spit(queue + "scheduler", "mq-deadline");
        spit(queue + "nr_requests", "2048");
        spit(queue + "nomerges", "2");
        jobs += " --name=d" + std::to_string(i) + " --filename=" + loop;
        loops.push_back(loop);
    }
    Tracer tracer({"block", "--format", "csv", "--comm", "fio", "--ring-size", "16"});
    std::thread load;
    u64 highest = 0;
    {
        const Frozen frozen(ext4.path());
        const std::string each = std::to_string(per_disk);
        load = std::thread([&, each] {
            shell("fio --thread --rw=write --bs=4k --size=8m --direct=1 --ioengine=libaio --iodepth=" + each +
                  " --iodepth_batch=" + each + " --number_ios=" + each + jobs);
        });
        EXPECT_TRUE(wait_until([&] { return (highest = std::max(highest, count_in_flight())) >= disks * per_disk; }))
            << highest;
    }
    load.join();
    Traced t;
    t.result = tracer.stop();
    t.rows = parse_csv(t.result.out);
    EXPECT_EQ(of_op(t.rows, "write").size(), disks * per_disk) << t.result.err;
    EXPECT_EQ(t.counter("lost"), 0U) << t.result.err;
    EXPECT_EQ(t.counter("in flight"), 0U) << t.result.err;
    for (const std::string& loop : loops) shell("losetup -d " + loop);
}

/// An entry that a test puts into the state of a tracer: a slot, or an entry of a hash map.
class PutInFlight {
public:
    PutInFlight(u64 key, const iolens_block_state& state) : key_(key) {
        bpf_map_info info{};
        u32 size = sizeof info;
        EXPECT_EQ(::bpf_obj_get_info_by_fd(states_.get(), &info, &size), 0);
        slots_ = info.type == BPF_MAP_TYPE_ARRAY;
        bucket_ = info.max_entries / IOLENS_SLOTS_BUCKET - 1;
        const u32 slot = bucket_ * IOLENS_SLOTS_BUCKET;
        EXPECT_EQ(
            ::bpf_map_update_elem(states_.get(), slots_ ? static_cast<const void*>(&slot) : &key, &state, BPF_ANY), 0);
        const iolens_slot_keys keys{.key = {key}};
        if (!slots_) return;
        EXPECT_EQ(::bpf_map_update_elem(keys_.get(), &bucket_, &keys, BPF_ANY), 0);
    }
    [[nodiscard]] bool is_there() const {
        iolens_slot_keys keys{};
        iolens_block_state state{};
        if (!slots_) return ::bpf_map_lookup_elem(states_.get(), &key_, &state) == 0;
        return ::bpf_map_lookup_elem(keys_.get(), &bucket_, &keys) == 0 && keys.key[0] == key_;
    }

private:
    u64 key_;
    Fd states_ = map_named("inflight");
    Fd keys_ = map_named("inflight_keys");
    bool slots_ = false;
    u32 bucket_ = 0;
};

/// A request whose completion was not seen.
TEST_F(Block, AMissedEndIsARow) {
    const LoopDisk disk(8 * mib);
    // not a Tracer: the start of this request was not counted
    Background iolens({iolens_path(), "block", "--format", "csv", "-d", disk.name()});
    ASSERT_TRUE(iolens.wait_for_rows(1)) << iolens.err();  // the header: it is attached
    iolens_block_state state{};
    const std::vector<std::string> dev = split(kernel_dev(disk.path()), ',');
    state.e.dev = static_cast<u32>(std::stoul(dev[0]) << 20 | std::stoul(dev[1]));
    state.e.op = IOLENS_OP_WRITE;
    state.e.sector = 80;
    state.e.tgid = state.e.tid = 77;
    state.size = 8192;
    state.created = clock_ns(CLOCK_BOOTTIME) - 3'000'000'000;
    state.issued = state.created + 1'000'000;
    const PutInFlight put(4096, state);
    EXPECT_TRUE(iolens.wait_for_line("missed"));
    EXPECT_FALSE(put.is_there());
    Traced t;
    t.result = iolens.stop();
    t.rows = parse_csv(t.result.out);
    std::erase_if(t.rows, [](const Row& row) { return row.at("end").empty(); });
    ASSERT_EQ(t.rows.size(), 1U) << t.result.out;
    EXPECT_EQ(t.rows[0].at("pid"), "77");
    EXPECT_EQ(t.rows[0].at("sector"), "80");
    EXPECT_EQ(t.rows[0].at("bytes"), "8192");
    EXPECT_EQ(t.rows[0].at("queue_ns"), "1000000");
    EXPECT_EQ(t.rows[0].at("device_ns"), "");
    EXPECT_EQ(number(t.rows[0], "time_ns"), state.issued);
    EXPECT_NE(t.result.err.find("1 row without a latency"), std::string::npos) << t.result.err;
}

/// A reader that sleeps: events that don't fit are counted exactly, and the traced program is not delayed.
TEST_F(Block, AFullRingIsCountedToTheEvent) {
    NEEDS(have("fio"), "fio is not installed");
    const LoopDisk disk(64 * mib);
    Tracer tracer({"block", "--format", "csv", "-d", disk.name(), "--comm", "fio", "--ring-size", "1"});
    ::kill(tracer.pid(), SIGSTOP);
    shell("fio --name=f --filename=" + disk.path() +
              " --direct=1 --rw=randread --bs=4k --ioengine=libaio --iodepth=32 " +
              "--size=64m --io_size=" + std::to_string(30011 * 4096),
          std::chrono::seconds(200));
    ::kill(tracer.pid(), SIGCONT);
    Traced t;
    t.result = tracer.stop();
    t.rows = parse_csv(t.result.out);
    EXPECT_EQ(t.result.status, 0);
    EXPECT_GT(t.counter("lost"), 0U);
    EXPECT_EQ(t.rows.size(), t.counter("delivered"));
    // the ledger also counts completions that the probes could not see
    EXPECT_EQ(t.rows.size() + t.counter("lost"), 30011U) << t.result.err;
    EXPECT_NE(t.result.out.find("#loss"), std::string::npos);
    EXPECT_NE(t.result.err.find("ring buffer full"), std::string::npos);
}

TEST_F(Block, AFullStateMapIsCounted) {
    NEEDS(have("fio"), "fio is not installed");
    const LoopDisk disk(64 * mib);
    Tracer tracer({"block", "--format", "csv", "-d", disk.name(), "--max-inflight", "64", "--ring-size", "16"});
    shell("fio --name=f --filename=" + disk.path() +
          " --direct=1 --rw=randread --bs=4k --ioengine=libaio --iodepth=128 " +
          "--number_ios=5000 --iodepth_batch=128");
    Traced t;
    t.result = tracer.stop();
    t.rows = parse_csv(t.result.out);
    EXPECT_EQ(t.counter("lost") > 0, t.result.err.find("--max-inflight") != std::string::npos) << t.result.err;
    EXPECT_GE(t.counter("seen"), 5000U);
}

TRACED_TEST_F(Block, TwoAtOnceAreIndependent) {
    const LoopDisk disk(64 * mib);
    Tracer other({"block", "--format", "csv", "-d", disk.name(), "--op", "write"});
    const Traced t = trace({"-d", disk.name(), "--op", "write"}, [&] {
        for (u64 i = 0; i < 17; ++i) direct_io(disk.path(), true, i * 8, 4096);
    });
    EXPECT_EQ(t.rows.size(), 17U);
    EXPECT_GE(parse_csv(other.stop().out).size(), 17U);
}

TRACED_TEST_F(Block, ARecordingShowsTheSameRows) {
    const LoopDisk disk(64 * mib);
    const Scratch scratch;
    const Traced t = trace({"-d", disk.name(), "--record", scratch.path("r.iol")}, [&] {
        for (u64 i = 0; i < 19; ++i) direct_io(disk.path(), i % 2 == 0, i * 8, 4096);
    });
    expect_whole(t);
    const Result replayed = run({iolens_path(), "replay", "--format", "csv", scratch.path("r.iol")});
    EXPECT_EQ(replayed.status, 0) << replayed.err;
    // the wall clock of a live row follows changes of the clock; everything else is the same
    auto again = parse_csv(replayed.out);
    auto live = t.rows;
    for (auto* rows : {&again, &live}) {
        for (Row& r : *rows) r.erase("unix_ns");
    }
    EXPECT_EQ(again, live);
}

TEST_F(Block, EndsByCountDurationAndSignal) {
    const LoopDisk disk(64 * mib);
    Tracer counted({"block", "-d", disk.name(), "--count", "3", "--no-header"});
    for (u64 i = 0; i < 9; ++i) direct_io(disk.path(), true, i * 8, 4096);
    const Result three = counted.stop(0);
    EXPECT_EQ(three.status, 0);
    EXPECT_EQ(split(three.out, '\n').size(), 3U);
    EXPECT_EQ(run({iolens_path(), "block", "0.2"}).status, 0);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        Tracer tracer({"block", "-d", disk.name()});
        EXPECT_EQ(tracer.stop(signal).status, 0) << signal;
    }
}

/// A signal while it loads its programs: the kernel's verifier stops on signals.
TEST_F(Block, EndsByASignalAtEachMoment) {
    const Scratch scratch;
    int early = 0;
    const int moments = emulated() ? 8 : 12;
    for (int i = 0; i < moments; ++i) {
        const char* lens = i % 2 == 0 ? "block" : "fd";
        const int ms = (emulated() ? 180 : 25) * i;
        const Result r = shell(std::string("timeout -s INT --preserve-status ") + std::to_string(ms / 1000.0 + 0.01) +
                               " " + iolens_path() + " " + lens + " -o " + scratch.path("rows"));
        const bool before = r.err.find("interrupted before tracing began") != std::string::npos;
        early += before ? 1 : 0;
        EXPECT_TRUE(r.status == 0 || r.status == 128 + SIGINT || (r.status == 1 && before))
            << ms << ": " << r.status << r.err;
        EXPECT_EQ(r.err.find("can't load"), std::string::npos) << r.err;
    }
    RecordProperty("early", early);
}

TEST_F(Block, AKilledOneLeavesNothingAttached) {
    const std::vector<u32> before = loaded_programs();  // those of another iolens
    Tracer tracer({"block"});
    std::vector<u32> own_programs = loaded_programs();
    std::erase_if(own_programs, [&](u32 id) { return std::ranges::find(before, id) != before.end(); });
    EXPECT_FALSE(own_programs.empty());
    tracer.stop(SIGKILL);
    // the kernel frees them after a grace period
    std::vector<u32> left = own_programs;
    for (int i = 0; i < 500 && !left.empty(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        const std::vector<u32> now = loaded_programs();
        std::erase_if(left, [&](u32 id) { return std::ranges::find(now, id) == now.end(); });
    }
    EXPECT_TRUE(left.empty()) << left.size() << " programs are still loaded";
}

}  // namespace
}  // namespace iolens::test
