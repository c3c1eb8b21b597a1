// SPDX-License-Identifier: Apache-2.0
// File attribution in iolens block: which file each request is for, and which process dirtied its pages.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "iolens/symbol_query.h"
#include "json.h"
#include "machine.h"
#include "probe/symbols.h"
#include "probe/target.h"

namespace iolens::test {
namespace {

class Attribution : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// Bytes of the requests of one operation, per target; "?" if unknown.
std::map<std::string, u64> by_file(const Traced& t, const std::string& op) {
    std::map<std::string, u64> sums;
    for (const Row& row : t.rows) {
        if (row.at("op") == op) sums[row.at("file").empty() ? "?" : row.at("file")] += number(row, "bytes");
    }
    return sums;
}

u64 bytes_of(const std::map<std::string, u64>& sums, const std::string& what) {
    const auto at = sums.find(what);
    return at == sums.end() ? 0 : at->second;
}

std::set<std::string> how_of(const Traced& t, const std::string& file) {
    std::set<std::string> all;
    for (const Row& row : t.rows) {
        if (row.at("file") == file) all.insert(row.at("file_how"));
    }
    return all;
}

void fill(const std::string& path, u64 bytes, int flags = 0) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | flags, 0600);
    ASSERT_GE(fd, 0) << path;
    EXPECT_EQ(::write(fd, aligned(bytes), bytes), static_cast<ssize_t>(bytes));
    ::close(fd);
}

struct Job {
    std::string engine;
    bool direct;
    std::string how;  // with direct
};

/// All engines at the same time, each on a file of its own: the rows of a file have the bytes that fio moved, no row
/// has another file, and none is unknown. One fio runs them all, because starting it takes most of the time.
void engines(const std::string& kind) {
    const FileSystem fs(kind);
    const u64 size = (emulated() ? 256 : 1024) * kib;
    const std::vector<Job> jobs{{"psync", false, "page"},    {"pvsync2", false, "page"},  {"libaio", false, "page"},
                                {"posixaio", false, "page"}, {"io_uring", false, "page"}, {"mmap", false, "page"},
                                {"psync", true, "dio"},      {"pvsync2", true, "dio"},    {"libaio", true, "aio"},
                                {"posixaio", true, "dio"},   {"io_uring", true, "uring"}};
    const auto file = [&](const Job& job) { return fs.path(job.engine + (job.direct ? "-direct" : "-buffered")); };
    for (const bool read : {false, true}) {
        for (const Job& job : jobs) fill(file(job), size);
        ::sync();
        const Traced t = trace({"-d", fs.disk().name(), "-A", "--ring-size", "64"}, [&] {
            drop_caches();
            std::string fio = fmt::format("fio --output-format=terse --bs=16k --size={} --fallocate=none --rw={}", size,
                                          read ? "randread" : "randwrite");
            for (const Job& job : jobs) {
                fio += " --name=" + job.engine + " --filename=" + file(job) + " --ioengine=" + job.engine +
                       " --direct=" + (job.direct ? "1" : "0");
            }
            const Result r = shell(fio, std::chrono::seconds(200));
            EXPECT_EQ(r.status, 0) << r.err << r.out;
            ::sync();
        });
        EXPECT_EQ(t.result.err.find("iolens: lost "), std::string::npos) << t.result.err;
        const std::string op = read ? "read" : "write";
        auto sums = by_file(t, op);
        for (const Job& job : jobs) {
            SCOPED_TRACE(kind + " " + op + " " + file(job));
            const u64 moved = bytes_of(sums, file(job));
            sums.erase(file(job));
            EXPECT_GE(moved, size);
            if (job.direct && kind != "btrfs") {
                EXPECT_EQ(how_of(t, file(job)), std::set<std::string>{job.how});
            }
            // the process that writes pages back may be another one than the author
            for (const Row& row : t.rows) {
                if (row.at("file") != file(job) || row.at("op") != "write" || row.at("file_how") != "page") continue;
                EXPECT_EQ(row.at("author"), "fio");
                EXPECT_NE(row.at("author_pid"), "");
            }
        }
        for (const auto& [what, bytes] : sums) {
            EXPECT_TRUE(what == "[journal]" || what == "[metadata]") << op << " " << what << ": " << bytes;
        }
    }
}

TRACED_TEST_F(Attribution, EveryEngineOnExt4) {
    NEEDS(have("fio"), "fio is not installed");
    engines("ext4");
}

TRACED_TEST_F(Attribution, EveryEngineOnXfs) {
    NEEDS(have("fio"), "fio is not installed");
    NEEDS(FileSystem::missing("xfs").empty(), FileSystem::missing("xfs"));
    engines("xfs");
}

TRACED_TEST_F(Attribution, EveryEngineOnBtrfs) {
    NEEDS(have("fio"), "fio is not installed");
    NEEDS(FileSystem::missing("btrfs").empty(), FileSystem::missing("btrfs"));
    engines("btrfs");
}

/// Copies that bypass user memory, and a kernel thread that submits for the process.
TRACED_TEST_F(Attribution, OtherWaysInAreTheirFilesToo) {
    NEEDS(have("fio"), "fio is not installed");
    const FileSystem ext4("ext4");
    constexpr u64 size = 256 * kib;
    const auto copy = [&](const std::string& to, const auto& call) {
        const int from = ::open(ext4.path("from").c_str(), O_RDONLY);
        const int out = ::open(ext4.path(to).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        for (u64 left = size; left != 0;) {
            const ssize_t n = call(from, out, left);
            ASSERT_GT(n, 0) << to << ": " << std::strerror(errno);
            left -= static_cast<u64>(n);
        }
        ::close(from);
        ::close(out);
    };
    fill(ext4.path("from"), size);
    fill(ext4.path("polled"), size);
    ::sync();
    const Traced t = trace({"-d", ext4.disk().name(), "--ring-size", "32"}, [&] {
        drop_caches();
        copy("sendfile", [](int from, int out, u64 n) { return ::sendfile(out, from, nullptr, n); });
        copy("range", [](int from, int out, u64 n) { return ::copy_file_range(from, nullptr, out, nullptr, n, 0); });
        copy("splice", [](int from, int out, u64 n) {
            int pipe[2];
            if (::pipe(pipe) != 0) return ssize_t{-1};
            const ssize_t in = ::splice(from, nullptr, pipe[1], nullptr, std::min<u64>(n, 64 * kib), 0);
            const ssize_t moved =
                in <= 0 ? in : ::splice(pipe[0], nullptr, out, nullptr, static_cast<std::size_t>(in), 0);
            ::close(pipe[0]);
            ::close(pipe[1]);
            return moved;
        });
        const Result r = shell("fio --output-format=terse --name=x --filename=" + ext4.path("polled") +
                               " --ioengine=io_uring --sqthread_poll=1 --rw=read --bs=16k --size=256k --direct=1");
        EXPECT_EQ(r.status, 0) << r.err << r.out;
        ::sync();
    });
    const auto reads = by_file(t, "read");
    const auto writes = by_file(t, "write");
    EXPECT_EQ(bytes_of(reads, ext4.path("from")), size) << t.result.out;
    for (const char* to : {"sendfile", "range", "splice"}) EXPECT_EQ(bytes_of(writes, ext4.path(to)), size) << to;
    EXPECT_EQ(bytes_of(reads, ext4.path("polled")), size);
    EXPECT_EQ(how_of(t, ext4.path("polled")), std::set<std::string>{"uring"});
    EXPECT_EQ(bytes_of(reads, "?") + bytes_of(writes, "?"), 0U) << t.result.out;
}

/// With data journaling, data is first written to the journal, and then to the file.
TRACED_TEST_F(Attribution, JournalledDataIsTheJournalsFirst) {
    const FileSystem ext4("ext4");
    constexpr u64 size = 256 * kib;
    const Result again =
        shell("umount " + ext4.path() + " && mount -o data=journal " + ext4.device() + " " + ext4.path());
    ASSERT_EQ(again.status, 0) << again.err;
    const Traced t = trace({"-d", ext4.disk().name(), "--op", "write"}, [&] {
        std::filesystem::remove(ext4.path("x"));
        const int fd = ::open(ext4.path("x").c_str(), O_WRONLY | O_CREAT, 0600);
        EXPECT_EQ(::write(fd, aligned(size), size), static_cast<ssize_t>(size));
        EXPECT_EQ(::fsync(fd), 0);
        ::close(fd);
        ::sync();
    });
    const auto writes = by_file(t, "write");
    EXPECT_GE(bytes_of(writes, "[journal]"), size) << t.result.out;
    EXPECT_EQ(bytes_of(writes, ext4.path("x")), size) << t.result.out;
    EXPECT_EQ(bytes_of(writes, "?"), 0U) << t.result.out;
}

/// A reflink shares blocks: reads are attributed to the file that is read.
TRACED_TEST_F(Attribution, AReflinkIsAFileOfItsOwn) {
    NEEDS(FileSystem::missing("xfs").empty(), FileSystem::missing("xfs"));
    const FileSystem xfs("xfs");
    constexpr u64 size = 256 * kib;
    fill(xfs.path("from"), size);
    ::sync();
    const int from = ::open(xfs.path("from").c_str(), O_RDONLY);
    const int clone = ::open(xfs.path("clone").c_str(), O_RDWR | O_CREAT, 0600);
    const bool cloned = ::ioctl(clone, FICLONE, from) == 0;
    ::close(from);
    NEEDS(cloned, "this xfs clones no files");
    ::sync();
    const Traced t = trace({"-d", xfs.disk().name()}, [&] {
        drop_caches();
        EXPECT_EQ(::pread(clone, aligned(size), size, 0), static_cast<ssize_t>(size));
        EXPECT_EQ(::pwrite(clone, aligned(64 * kib), 64 * kib, 0), static_cast<ssize_t>(64 * kib));
        EXPECT_EQ(::fsync(clone), 0);
    });
    ::close(clone);
    EXPECT_EQ(bytes_of(by_file(t, "read"), xfs.path("clone")), size) << t.result.out;
    EXPECT_EQ(bytes_of(by_file(t, "write"), xfs.path("clone")), 64 * kib) << t.result.out;
    EXPECT_EQ(bytes_of(by_file(t, "read"), xfs.path("from")), 0U);
    EXPECT_EQ(bytes_of(by_file(t, "write"), xfs.path("from")), 0U);
}

/// The pages written to disk are not those of the file, and there are fewer of them.
TRACED_TEST_F(Attribution, CompressedDataIsItsFiles) {
    NEEDS(FileSystem::missing("btrfs").empty(), FileSystem::missing("btrfs"));
    const FileSystem btrfs("btrfs");
    const Result remount = shell("mount -o remount,compress-force=lzo " + btrfs.path());
    NEEDS(remount.status == 0, remount.err);
    const Traced t = trace({"-d", btrfs.disk().name()}, [&] {
        std::filesystem::remove(btrfs.path("x"));
        fill(btrfs.path("x"), mib);
        ::sync();
        drop_caches();
        EXPECT_EQ(shell("cat " + btrfs.path("x") + " > /dev/null").status, 0);
    });
    for (const char* op : {"write", "read"}) {
        const auto sums = by_file(t, op);
        EXPECT_GT(bytes_of(sums, btrfs.path("x")), 0U) << op << t.result.out;
        EXPECT_LT(bytes_of(sums, btrfs.path("x")), mib / 2) << op;
        EXPECT_EQ(bytes_of(sums, "?"), 0U) << op << t.result.out;
    }
}

/// Many files, several writers, reused names and inodes: no row has a file that does not own its sectors.
TRACED_TEST_F(Attribution, NoRowIsForAFileThatItsSectorsAreNotOf) {
    const FileSystem ext4("ext4");
    constexpr int writers = 4;
    constexpr int rounds = 60;
    const auto name = [&](int writer, int round) {
        return ext4.path("w" + std::to_string(writer) + "-" + std::to_string(round));
    };
    const Traced t = trace({"-d", ext4.disk().name(), "--op", "write", "--ring-size", "64"}, [&] {
        std::vector<pid_t> children;
        for (int writer = 0; writer < writers; ++writer) {
            const pid_t child = ::fork();
            if (child == 0) {
                for (int round = 0; round < rounds; ++round) {
                    // some are deleted before they are written back, and their inodes, pages and bios are reused
                    const bool kept = round % 3 == 0;
                    const std::string path = kept ? name(writer, round) : ext4.path("gone" + std::to_string(writer));
                    fill(path, (4 + static_cast<u64>(round * 7 + writer) % 40) * 4 * kib, round % 4 == 1 ? O_SYNC : 0);
                    if (!kept) ::unlink(path.c_str());
                }
                ::_exit(0);
            }
            children.push_back(child);
        }
        for (const pid_t child : children) ::waitpid(child, nullptr, 0);
        ::sync();
    });
    EXPECT_EQ(t.result.err.find("iolens: lost "), std::string::npos) << t.result.err;
    std::map<u64, std::string> owner;  // current owner of each 512-byte sector
    for (int writer = 0; writer < writers; ++writer) {
        for (int round = 0; round < rounds; round += 3) {
            for (const u64 sector : sectors_of(name(writer, round))) owner[sector] = name(writer, round);
        }
    }
    EXPECT_GT(owner.size(), 1000U);
    std::map<std::string, u64> seen;
    for (const Row& row : t.rows) {
        if (row.at("file_kind") != "file" || !std::filesystem::exists(row.at("file"))) continue;
        u64 own = 0;
        for (u64 at = 0; at < number(row, "bytes") / 512; ++at) {
            const auto found = owner.find(number(row, "sector") + at);
            if (found != owner.end() && found->second == row.at("file")) ++own;
        }
        if (row.at("file_more") == "0") {
            EXPECT_EQ(own, number(row, "bytes") / 512) << row.at("file") << " at " << row.at("sector");
        } else {
            EXPECT_GT(own, 0U) << row.at("file") << " + at " << row.at("sector");
        }
        seen[row.at("file")] += number(row, "bytes");
    }
    // each existing file was written: alone, or as an extra target of a merged request
    EXPECT_GT(seen.size(), 10U);
}

TRACED_TEST_F(Attribution, WhatBelongsToNoFileSaysWhatItIs) {
    const FileSystem ext4("ext4");
    const Traced t = trace({"-d", ext4.disk().name()}, [&] {
        for (int i = 0; i < 8; ++i) std::filesystem::create_directories(ext4.path("d" + std::to_string(i) + "/e"));
        fill(ext4.path("big"), 4 * mib);
        ::sync();
        std::filesystem::remove(ext4.path("big"));
        ::sync();
        EXPECT_EQ(shell("fstrim " + ext4.path()).status, 0);
    });
    const auto writes = by_file(t, "write");
    EXPECT_GT(bytes_of(writes, "[journal]"), 0U);
    EXPECT_GT(bytes_of(writes, "[metadata]"), 0U);
    EXPECT_GE(bytes_of(writes, ext4.path("big")), 4 * mib);
    EXPECT_EQ(bytes_of(writes, "?"), 0U);
    EXPECT_GT(bytes_of(by_file(t, "discard"), "[discard]"), 0U);
    for (const Row& row : t.rows) {
        if (row.at("op") == "flush") {
            EXPECT_EQ(row.at("file"), "[flush]");
        }
        // only the journal's thread and processes that wait for it write the journal
        if (row.at("file") == "[journal]") {
            EXPECT_EQ(row.at("op"), "write");
        }
    }
}

TRACED_TEST_F(Attribution, ABlockDeviceItselfIsRaw) {
    const LoopDisk disk(16 * mib);
    const Traced t = trace({"-d", disk.name()}, [&] {
        fill(disk.path(), 256 * kib, O_DIRECT);
        fill(disk.path(), 128 * kib);
        EXPECT_EQ(shell("sync; dd if=" + disk.path() + " of=/dev/null bs=64k count=3 iflag=direct").status, 0);
    });
    const std::string raw = "[raw " + disk.name() + "]";
    EXPECT_EQ(bytes_of(by_file(t, "write"), raw), 384 * kib);
    EXPECT_EQ(bytes_of(by_file(t, "write"), "?"), 0U);
    EXPECT_GE(bytes_of(by_file(t, "read"), raw), 192 * kib);
}

/// Pins the thread to its current CPU. The kernel collects recently touched pages in a per-CPU list, and reclaims only
/// those of its own CPU.
class OnOneProcessor {
public:
    OnOneProcessor() {
        EXPECT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(::sched_getcpu(), &one);
        EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    }
    OnOneProcessor(const OnOneProcessor&) = delete;
    OnOneProcessor& operator=(const OnOneProcessor&) = delete;
    ~OnOneProcessor() { EXPECT_EQ(::sched_setaffinity(0, sizeof before_, &before_), 0); }

private:
    cpu_set_t before_ = {};
};

/// Bytes written to a disk ("loop3") since it exists: the 7th field of its stat, in sectors.
u64 bytes_written_to(const std::string& disk) {
    std::ifstream file("/sys/block/" + disk + "/stat");
    u64 value = 0;
    for (int field = 1; field <= 7; ++field) file >> value;
    return value * 512;
}

/// Memory that a program releases is swapped out, and may be swapped in when it is touched.
void swap_to(const std::string& place, const std::string& disk) {
    NEEDS(shell("mkswap " + place).status == 0, "mkswap is not installed");
    constexpr int first = SWAP_FLAG_PREFER | 1000;
    NEEDS(::swapon(place.c_str(), first) == 0, std::string("swapon: ") + std::strerror(errno));
    const u64 size = 4 * mib;
    const Traced t = trace({"-d", disk}, [&] {
        const OnOneProcessor pinned;
        const u64 before = bytes_written_to(disk);
        auto* memory =
            static_cast<char*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        for (u64 at = 0; at < size; at += 4096)
            memory[at] = static_cast<char>(at / 4096 | 1);  // pages of zeros are not written
        // the kernel skips a page that has another reference at the moment
        EXPECT_TRUE(wait_until([&] {
            EXPECT_EQ(::madvise(memory, size, MADV_PAGEOUT), 0);
            return bytes_written_to(disk) >= before + size;
        }));
        EXPECT_TRUE(wait_until_idle(disk));
        int sum = 0;
        for (u64 at = 0; at < size; at += 4096) sum += memory[at];
        EXPECT_NE(sum, 1);
        ::munmap(memory, size);
    });
    EXPECT_EQ(::swapoff(place.c_str()), 0);
    const auto writes = by_file(t, "write");
    const auto reads = by_file(t, "read");
    EXPECT_GE(bytes_of(writes, "[swap]"), size);
    for (const auto& [what, bytes] : writes) {  // filesystem metadata may be written meanwhile
        EXPECT_TRUE(what == "[swap]" || what == "[journal]" || what == "[metadata]") << what << " " << bytes;
    }
    // pages that the kernel has not reclaimed yet are not read
    for (const auto& [what, bytes] : reads)
        EXPECT_TRUE(what == "[swap]" || what == "[metadata]") << what << " " << bytes;
}

TRACED_TEST_F(Attribution, SwapIsSwap) {
    const LoopDisk disk(64 * mib);
    swap_to(disk.path(), disk.name());
}

/// I/O to a swap file is swap, not file I/O.
TRACED_TEST_F(Attribution, SwapToAFileIsSwap) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("swap");
    shell("dd if=/dev/zero of=" + path + " bs=1M count=64 conv=fsync");
    ::chmod(path.c_str(), 0600);
    swap_to(path, ext4.disk().name());
}

/// A direct write from a mapping of another file is attributed to the file that is written.
TRACED_TEST_F(Attribution, ABufferThatIsAnotherFilesIsNotTheFile) {
    const FileSystem ext4("ext4");
    const std::string from = ext4.path("from");
    const std::string to = ext4.path("to");
    fill(from, 256 * kib);
    ::sync();
    const Traced t = trace({"-d", ext4.disk().name(), "--op", "write"}, [&] {
        const int source = ::open(from.c_str(), O_RDWR);
        void* map = ::mmap(nullptr, 256 * kib, PROT_READ, MAP_SHARED, source, 0);
        const int fd = ::open(to.c_str(), O_WRONLY | O_CREAT | O_DIRECT, 0600);
        EXPECT_EQ(::write(fd, map, 256 * kib), static_cast<ssize_t>(256 * kib));
        ::close(fd);
        ::munmap(map, 256 * kib);
        ::close(source);
        ::sync();
    });
    const auto sums = by_file(t, "write");
    EXPECT_EQ(bytes_of(sums, to), 256 * kib);
    EXPECT_EQ(bytes_of(sums, from), 0U);
}

std::size_t entries_of(const Fd& map) {
    std::size_t count = 0;
    u64 key = 0;
    for (const u64* from = nullptr; ::bpf_map_get_next_key(map.get(), from, &key) == 0; from = &key) ++count;
    return count;
}

/// A driver with a full queue requeues requests: the extra targets of a merged one are stored meanwhile, and deleted
/// when it ends. Which requests are requeued depends on the machine's disk; the test records how many.
TRACED_TEST_F(Attribution, NothingOfARequestThatWasGivenBackIsLeft) {
    const Scratch scratch;
    const u64 files = emulated() ? 300 : 3000;
    const auto path = [&](u64 n) { return scratch.path("small" + std::to_string(n)); };
    Tracer tracer({"block", "--format", "json", "--op", "write"});
    const Fd extra_targets = map_named("extra_targets");
    ASSERT_TRUE(extra_targets);
    for (int turn = 0; turn < 2; ++turn) {
        for (u64 n = 0; n < files; ++n) fill(path(n), (1 + n % 5) * 4 * kib);
        ::sync();
        for (u64 n = static_cast<u64>(turn) % 2; n < files; n += 2) std::filesystem::remove(path(n));
    }
    EXPECT_TRUE(wait_until([&] { return entries_of(extra_targets) == 0; })) << entries_of(extra_targets) << " entries";
    const Result r = tracer.stop();
    int given_back = 0;
    int merged = 0;
    for (const Json& row : parse_json_lines(r.out)) {
        if (row["type"] != "block") continue;
        given_back += number(row["requeues"]) != 0 ? 1 : 0;
        if (number(row["bios"]) < 2 || !text_or_null(row["file"]).starts_with(scratch.path())) continue;
        ++merged;  // each file is one bio
        EXPECT_FALSE(row["files"].is_null()) << row;
    }
    EXPECT_GT(merged, 0) << "no request of several files";
    RecordProperty("given_back", given_back);
}

TEST_F(Attribution, AddressesAreThoseOfKallsyms) {
    const std::vector<std::string_view> names = target_symbols();
    const KernelAddresses addresses(names);
    const KernelSymbols listed("/proc/kallsyms", names);
    std::size_t found = 0;
    for (const std::string_view name : names) {
        EXPECT_LT(name.size(), std::size_t{IOLENS_QUERY_NAME_LEN}) << name;
        EXPECT_EQ(addresses.of(name), listed.address(name)) << name;
        found += addresses.of(name) != 0 ? 1 : 0;
    }
    EXPECT_GT(found, 10U);
    EXPECT_FALSE(addresses.hidden());
    EXPECT_EQ(addresses.of("no_such_symbol"), 0U);
    // more names than fit in one query come from /proc/kallsyms
    std::vector<std::string> many;
    for (int i = 0; i <= IOLENS_SYMBOL_QUERIES; ++i) many.push_back("no_such_symbol_" + std::to_string(i));
    many.emplace_back(target_functions[0]);
    const std::vector<std::string_view> views(many.begin(), many.end());
    EXPECT_EQ(KernelAddresses(views).of(target_functions[0]), listed.address(target_functions[0]));
}

/// Without kernel addresses direct I/O can't be recognized. Its file is then unknown, but never a wrong one; I/O
/// through the page cache is still attributed.
TRACED_TEST_F(Attribution, WithoutTheKernelsAddressesNoFileIsWrong) {
    const std::string restriction = "/proc/sys/kernel/kptr_restrict";
    const std::string before = slurp(restriction);
    spit(restriction, "2");
    NEEDS(slurp(restriction) == "2\n", "can't hide the kernel's addresses");
    const FileSystem ext4("ext4");
    const std::string other = ext4.path("other");
    const std::string direct = ext4.path("direct");
    const std::string buffered = ext4.path("buffered");
    constexpr u64 size = 256 * kib;
    fill(other, size);
    fill(buffered, size);
    fill(direct, size);
    ::sync();
    for (const bool read : {false, true}) {
        const Traced t = trace({"-d", ext4.disk().name(), "--op", read ? "read" : "write"}, [&] {
            drop_caches();
            const int source = ::open(other.c_str(), O_RDWR);
            void* map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, source, 0);
            const int fd = ::open(direct.c_str(), O_RDWR | O_DIRECT);
            EXPECT_EQ(read ? ::read(fd, map, size) : ::write(fd, map, size), static_cast<ssize_t>(size));
            ::close(fd);
            const int cached = ::open(buffered.c_str(), O_RDWR);
            std::vector<char> bytes(size);
            EXPECT_EQ(read ? ::read(cached, bytes.data(), size) : ::write(cached, bytes.data(), size),
                      static_cast<ssize_t>(size));
            if (!read) ::fsync(cached);
            ::close(cached);
            ::munmap(map, size);
            ::close(source);
        });
        EXPECT_NE(t.result.err.find("direct I/O is not attributed to files"), std::string::npos) << t.result.err;
        const auto sums = by_file(t, read ? "read" : "write");
        EXPECT_GE(bytes_of(sums, "?") + bytes_of(sums, ""), size);
        EXPECT_EQ(bytes_of(sums, direct), 0U);
        // populating the buffer, as MAP_POPULATE does, is a read of its own file
        EXPECT_EQ(bytes_of(sums, other), read ? size : 0U);
        EXPECT_EQ(bytes_of(sums, buffered), size);
    }
    spit(restriction, before);
}

/// Small files are adjacent on the disk, and written back in one request.
TRACED_TEST_F(Attribution, AMergedRequestNamesItsFiles) {
    const FileSystem ext4("ext4");
    constexpr int files = 24;
    const auto path = [&](int n) { return ext4.path("small" + std::to_string(n)); };
    spit(ext4.disk().sys("queue/nomerges"), "0");
    const Traced t =
        trace({"-d", ext4.disk().name(), "--op", "write", "--columns", "sector,bytes,file_more,file,files,op"}, [&] {
            for (int n = 0; n < files; ++n) {
                std::filesystem::remove(path(n));
                fill(path(n), (1 + static_cast<u64>(n) % 3) * 4 * kib);
                if (n == 5) ::sync();  // few at first
            }
            ::sync();
        });
    expect_whole(t);
    std::map<std::string, u64> moved;
    std::size_t merged = 0;
    std::size_t max = 0;
    for (const Row& row : t.rows) {
        const std::string& list = row.at("files");
        const u64 more = number(row, "file_more");
        EXPECT_EQ(list.empty(), more == 0);
        if (list.empty()) {
            moved[row.at("file")] += number(row, "bytes");
            continue;
        }
        u64 at = number(row, "sector");
        u64 sum = 0;
        std::size_t count = 0;
        const Json extras = parse_json(list);
        for (const Json& extra : extras) {
            const std::string file = text_or_null(extra.at("file"));
            const u64 bytes = number(extra.at("bytes"));
            EXPECT_EQ(count == 0, file == row.at("file")) << list;
            // the witness: the location of the file according to the filesystem
            if (file.find("small") != std::string::npos) {
                EXPECT_TRUE(sectors_of(file).contains(at)) << file << " at " << at;
                ++merged;
            }
            moved[file] += bytes;
            at += bytes / 512;
            sum += bytes;
            ++count;
        }
        max = std::max(max, count);
        EXPECT_EQ(count, std::min<u64>(more, 7) + 1) << list;
        if (more <= 7) {
            EXPECT_EQ(sum, number(row, "bytes")) << list;
        } else {
            EXPECT_LT(sum, number(row, "bytes")) << list;
        }
    }
    EXPECT_GT(merged, 8U);
    EXPECT_EQ(max, 8U) << "no request of more than eight files: make more of them";
    for (int n = 0; n < files; ++n) {
        const auto at = moved.find(path(n));
        if (at == moved.end()) continue;  // beyond the eight targets of a request
        EXPECT_EQ(at->second, (1 + static_cast<u64>(n) % 3) * 4 * kib) << path(n);
    }
}

TRACED_TEST_F(Attribution, NamesAreThoseOfNow) {
    const FileSystem ext4("ext4");
    const std::string first = ext4.path("first name");
    const std::string second = ext4.path("second\nname");
    const std::string below = ext4.path("old/directory/file");
    const std::string moved = ext4.path("new/directory/file");
    const Traced t = trace({"-d", ext4.disk().name(), "--op", "write"}, [&] {
        std::filesystem::remove_all(ext4.path("new"));
        std::filesystem::create_directories(ext4.path("old/directory"));
        fill(below, 64 * kib, O_SYNC);
        std::filesystem::rename(ext4.path("old"), ext4.path("new"));
        fill(moved, 64 * kib, O_SYNC);
        ::unlink(second.c_str());
        fill(first, 64 * kib, O_SYNC);
        ::rename(first.c_str(), second.c_str());
        fill(second, 64 * kib, O_SYNC);
        const int fd = ::open(second.c_str(), O_WRONLY);
        ::unlink(second.c_str());
        EXPECT_EQ(::pwrite(fd, second.data(), 4, 0), 4);
        ::fsync(fd);
        ::close(fd);
    });
    const auto sums = by_file(t, "write");
    EXPECT_EQ(bytes_of(sums, first), 64 * kib);
    EXPECT_EQ(bytes_of(sums, second), 64 * kib);
    EXPECT_EQ(bytes_of(sums, second + " (deleted)"), 4 * kib);
    EXPECT_EQ(bytes_of(sums, below), 64 * kib);
    EXPECT_EQ(bytes_of(sums, moved), 64 * kib);
}

/// Written back, where there is no open file, and directly.
TRACED_TEST_F(Attribution, ADirectoryAboveTheMountPointIsRenamed) {
    const FileSystem ext4("ext4");
    const Scratch scratch;
    ASSERT_EQ(::umount2(ext4.path().c_str(), 0), 0);
    std::filesystem::create_directories(scratch.path("a/mounted"));
    ASSERT_EQ(::mount(ext4.device().c_str(), scratch.path("a/mounted").c_str(), "ext4", 0, nullptr), 0);
    std::map<std::string, u64> expected;
    const Traced t = trace({"-d", ext4.disk().name(), "--op", "write"}, [&] {
        const int fd = ::open(scratch.path("a/mounted/file").c_str(), O_RDWR | O_CREAT, 0600);
        const int direct = ::open(scratch.path("a/mounted/direct").c_str(), O_RDWR | O_CREAT | O_DIRECT, 0600);
        alignas(4096) static std::array<char, 4096> block{};
        const auto write = [&](u64 blocks) {
            for (u64 i = 0; i < blocks; ++i) {
                EXPECT_EQ(::pwrite(fd, block.data(), block.size(), static_cast<off_t>(i * block.size())), 4096);
                EXPECT_EQ(::pwrite(direct, block.data(), block.size(), static_cast<off_t>(i * block.size())), 4096);
            }
            ::fdatasync(fd);
            for (const int each : {fd, direct}) {
                expected[std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(each)).string()] += blocks;
            }
        };
        write(3);
        std::filesystem::rename(scratch.path("a"), scratch.path("b"));
        write(5);
        ::close(direct);
        ::close(fd);
    });
    EXPECT_EQ(::umount2(scratch.path("b/mounted").c_str(), 0), 0);
    ASSERT_EQ(expected.size(), 4U);
    const auto sums = by_file(t, "write");
    for (const auto& [path, blocks] : expected) EXPECT_EQ(bytes_of(sums, path), blocks * 4 * kib) << path;
}

/// The author is the process that dirtied the page, not the one that writes it back; of several authors the last one is
/// shown, and the row says that there are more.
EXACT_TEST_F(Attribution, TheAuthorIsWhoMadeThePagesDirty) {
    const FileSystem ext4("ext4");
    const auto write_as = [&](const std::string& who, const std::string& file, u64 skip) {
        const pid_t child = ::fork();
        if (child == 0) {
            std::ofstream("/proc/self/comm") << who;
            const int fd = ::open(ext4.path(file).c_str(), O_WRONLY | O_CREAT, 0600);
            const std::vector<char> data(64 * kib, 'x');
            ::_exit(::pwrite(fd, data.data(), data.size(), static_cast<off_t>(skip)) == 65536 ? 0 : 1);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
        return child;
    };
    pid_t one = 0;
    pid_t two = 0;
    const Traced t = trace({"-d", ext4.disk().name(), "--op", "write", "-A"}, [&] {
        std::filesystem::remove(ext4.path("alone"));
        std::filesystem::remove(ext4.path("shared"));
        one = write_as("writer one", "alone", 0);
        write_as("writer one", "shared", 0);
        two = write_as("writer two", "shared", 64 * kib);
        ::sync();
    });
    u64 rows = 0;
    for (const Row& row : t.rows) {
        if (row.at("file") == ext4.path("alone")) {
            EXPECT_EQ(row.at("author") + " " + row.at("author_pid") + " " + row.at("authors"),
                      "writer one " + std::to_string(one) + " 1");
            ++rows;
        } else if (row.at("file") == ext4.path("shared")) {
            EXPECT_EQ(row.at("author") + " " + row.at("author_pid") + " " + row.at("authors"),
                      "writer two " + std::to_string(two) + " 2");
            ++rows;
        } else {
            EXPECT_EQ(row.at("author"), "") << row.at("file");
        }
    }
    EXPECT_GE(rows, 2U);
}

/// With a filesystem in a file, the rows of both disks have a file: the inner file, and the file that contains the
/// disk.
TRACED_TEST_F(Attribution, ALoopDevicesFileIsTheOuterDisksFile) {
    const FileSystem outer("ext4");
    const std::string image = outer.path("inner.img");
    EXPECT_EQ(shell("truncate -s 32M " + image + "; mkfs.ext4 -q -F " + image).status, 0);
    const Result loop = shell("losetup --show -f " + image);
    ASSERT_EQ(loop.status, 0) << loop.err;
    const std::string device = loop.out.substr(0, loop.out.find('\n'));
    const Scratch scratch;
    EXPECT_EQ(shell("mount " + device + " " + scratch.path()).status, 0);
    const Traced t = trace({"--op", "write", "--columns", "disk,op,bytes,file"}, [&] {
        fill(scratch.path("data"), mib);
        ::sync();
        EXPECT_EQ(shell("sync " + image).status, 0);
    });
    EXPECT_EQ(shell("umount " + scratch.path() + "; losetup -d " + device).status, 0);
    u64 inner = 0;
    u64 below = 0;
    for (const Row& row : t.rows) {
        if (row.at("disk") == device.substr(5) && row.at("file") == scratch.path("data")) inner += number(row, "bytes");
        if (row.at("disk") == outer.disk().name() && row.at("file") == image) below += number(row, "bytes");
    }
    EXPECT_GE(inner, mib);
    EXPECT_GE(below, mib);
}

/// A filesystem on a device that passes its bios on to a disk: the disk's requests are for the same files.
void expect_passed_on(const std::string& device, const LoopDisk& disk) {
    const Scratch scratch;
    const Result made = shell("mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 " + device + " && mount " +
                              device + " " + scratch.path());
    ASSERT_EQ(made.status, 0) << made.err;
    const Traced written = trace({"-d", disk.name(), "--op", "write"}, [&] {
        std::filesystem::remove(scratch.path("direct"));
        std::filesystem::remove(scratch.path("buffered"));
        fill(scratch.path("direct"), mib, O_DIRECT);
        fill(scratch.path("buffered"), mib);
        ::sync();
    });
    const Traced read = trace({"-d", disk.name(), "--op", "read"}, [&] {
        drop_caches();
        shell("dd if=" + scratch.path("direct") + " of=/dev/null bs=256k iflag=direct; cat " +
              scratch.path("buffered") + " > /dev/null");
    });
    EXPECT_EQ(shell("umount " + scratch.path()).status, 0);
    for (const auto& [op, t] : {std::pair{"write", &written}, std::pair{"read", &read}}) {
        const auto sums = by_file(*t, op);
        EXPECT_EQ(bytes_of(sums, scratch.path("direct")), mib) << t->result.out;
        EXPECT_EQ(bytes_of(sums, scratch.path("buffered")), mib) << t->result.out;
        EXPECT_EQ(bytes_of(sums, "?"), 0U) << t->result.out;
    }
}

/// A device-mapper device with one table, removed by the destructor.
class Mapped {
public:
    explicit Mapped(const std::string& table) : name_("iolens-test-" + std::to_string(::getpid())) {
        made_ = shell("dmsetup create " + name_ + " --table '" + table + "'");
        shell("dmsetup mknodes " + name_);
    }
    ~Mapped() { shell("dmsetup remove --retry " + name_); }
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;
    [[nodiscard]] const Result& made() const { return made_; }
    [[nodiscard]] std::string path() const { return "/dev/mapper/" + name_; }

private:
    std::string name_;
    Result made_;
};

TRACED_TEST_F(Attribution, DeviceMapperPassesTheFileOn) {
    const LoopDisk disk(64 * mib);
    NEEDS(have("dmsetup") && shell("dmsetup version").status == 0, "this kernel has no device-mapper");
    const Mapped linear("0 131072 linear " + disk.path() + " 0");
    NEEDS(linear.made().status == 0, "dmsetup: " + linear.made().err);
    expect_passed_on(linear.path(), disk);
}

/// The pages written are separate, encrypted ones.
TRACED_TEST_F(Attribution, EncryptedRequestsAreForTheirFiles) {
    const LoopDisk disk(64 * mib);
    NEEDS(have("dmsetup") && shell("dmsetup version").status == 0, "this kernel has no device-mapper");
    const Mapped crypt("0 131072 crypt aes-xts-plain64 " + std::string(128, 'a') + " 0 " + disk.path() + " 0");
    NEEDS(crypt.made().status == 0, "dmsetup: " + crypt.made().err);
    expect_passed_on(crypt.path(), disk);
}

TRACED_TEST_F(Attribution, AMirrorsRequestsAreForTheirFiles) {
    NEEDS(have("mdadm"), "mdadm is not installed");
    const LoopDisk first(64 * mib);
    const LoopDisk second(64 * mib);
    const std::string device = "/dev/md77";
    const Result made = shell("mdadm --build " + device + " --run --assume-clean --level=1 --raid-devices=2 " +
                              first.path() + " " + second.path());
    NEEDS(made.status == 0, "mdadm: " + made.err);
    const Traced written = trace({"-d", second.name(), "--op", "write"}, [&] { fill(device, 256 * kib, O_DIRECT); });
    EXPECT_EQ(bytes_of(by_file(written, "write"), "[raw md77]"), 256 * kib) << written.result.out;
    // a mirror reads from one of the two: only writes are on both
    {
        const Scratch scratch;
        EXPECT_EQ(shell("mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 " + device + " && mount " + device +
                        " " + scratch.path())
                      .status,
                  0);
        for (const LoopDisk* disk : {&first, &second}) {
            const Traced t = trace({"-d", disk->name(), "--op", "write"}, [&] {
                std::filesystem::remove(scratch.path("direct"));
                std::filesystem::remove(scratch.path("buffered"));
                fill(scratch.path("direct"), mib, O_DIRECT);
                fill(scratch.path("buffered"), mib);
                ::sync();
            });
            const auto sums = by_file(t, "write");
            EXPECT_EQ(bytes_of(sums, scratch.path("direct")), mib) << t.result.out;
            EXPECT_EQ(bytes_of(sums, scratch.path("buffered")), mib) << t.result.out;
            EXPECT_EQ(bytes_of(sums, "?"), 0U) << t.result.out;
        }
        EXPECT_EQ(shell("umount " + scratch.path()).status, 0);
    }
    EXPECT_EQ(shell("mdadm --stop " + device).status, 0);
}

TRACED_TEST_F(Attribution, GroupsAddUpTheRows) {
    const FileSystem ext4("ext4");
    const Scratch scratch;
    const std::string out = scratch.path("rows");
    const auto rows_of = [&](const std::string& file) {
        return std::ranges::count_if(parse_csv(slurp(out)), [&](const Row& row) { return row.at("file") == file; });
    };
    const auto work = [&] {
        fill(ext4.path("b"), mib / 2, O_DIRECT);
        fill(ext4.path("a"), mib, O_DIRECT);
        EXPECT_TRUE(wait_until([&] { return rows_of(ext4.path("a")) == 1; }));  // its interval has ended
        fill(ext4.path("a"), mib, O_DIRECT);
    };
    // one row per file and interval: "a" has two
    Traced t = trace({"-d", ext4.disk().name(), "--group-by", "file", "--interval", "0.5", "-o", out}, work);
    t.rows = parse_csv(slurp(out));
    std::map<std::string, u64> sums;
    std::map<std::string, int> intervals;
    for (const Row& row : t.rows) {
        sums[row.at("file")] += number(row, "other_bytes");
        intervals[row.at("file")] += 1;
        EXPECT_GT(number(row, "unix_ns"), 1'700'000'000'000'000'000U);
    }
    EXPECT_EQ(sums[ext4.path("a")], 2 * mib);
    EXPECT_EQ(sums[ext4.path("b")], mib / 2);
    EXPECT_EQ(intervals[ext4.path("a")], 2);
    for (const auto& [options, hint] :
         {std::pair{std::vector<std::string>{"--group-by", "x", "--summary"}, "file, author, comm, cgroup and disk"},
          std::pair{std::vector<std::string>{"--group-by", "file", "--no-summary"}, "--summary, --interval or --hist"},
          std::pair{std::vector<std::string>{"--group-by", "author", "--summary", "--no-file"}, "omit --no-file"}}) {
        std::vector<std::string> command{iolens_path(), "block"};
        command.insert(command.end(), options.begin(), options.end());
        const Result r = run(command);
        EXPECT_EQ(r.status, 2);
        EXPECT_NE(r.err.find(hint), std::string::npos) << r.err;
    }
}

TRACED_TEST_F(Attribution, WithoutFilesNothingOfThemIsThere) {
    const LoopDisk disk(16 * mib);
    const Traced t = trace({"-d", disk.name(), "--no-file"}, [&] { fill(disk.path(), 64 * kib, O_DIRECT); });
    ASSERT_GE(t.rows.size(), 1U);
    EXPECT_FALSE(t.rows[0].contains("file"));
    EXPECT_FALSE(t.rows[0].contains("file_kind"));
    const Result r = run({iolens_path(), "block", "--no-file", "--author"});
    EXPECT_EQ(r.status, 2);
    EXPECT_NE(r.err.find("--author needs file attribution"), std::string::npos) << r.err;
}

}  // namespace
}  // namespace iolens::test
