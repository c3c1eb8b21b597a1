// SPDX-License-Identifier: Apache-2.0
// Accesses to watched files, however they are made and however they are traced.
#include "accesses.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "machine.h"
#include "uring.h"

namespace iolens::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class Accesses : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// The last component of each row's file.
Words names_of(const std::vector<Row>& rows) {
    Words names;
    for (const Row& row : rows) names.push_back(fs::path(row.at("file")).filename());
    return names;
}

/// Maps the first page of a file at an address, shared or private.
void map_page(char* at, const std::string& path, int how) {
    const int fd = ::open(path.c_str(), O_RDWR);
    EXPECT_EQ(::mmap(at, page, PROT_READ | PROT_WRITE, how | MAP_FIXED, fd, 0), at);
    ::close(fd);
}

TRACED_TEST_F(Accesses, MsyncIsAnFsyncOfTheFilesInItsRange) {
    const FileSystem ext4("ext4");
    for (const char* name : {"a", "b", "other", "private"}) make_file(ext4.path(name), page);
    constexpr std::size_t pages = 64;
    auto* const range =
        static_cast<char*>(::mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(range, MAP_FAILED);
    // mapped before tracing, in an order that leaves no two next to each other
    map_page(range + 3 * page, ext4.path("private"), MAP_PRIVATE);
    map_page(range + 5 * page, ext4.path("other"), MAP_SHARED);
    map_page(range + 8 * page, ext4.path("b"), MAP_SHARED);
    map_page(range + 60 * page, ext4.path("a"), MAP_SHARED);
    ::munmap(range + 10 * page, 40 * page);  // a hole
    each_probe(
        {ext4.path("a"), ext4.path("b"), ext4.path("private"), "--op", "fsync"},
        [&] {
            for (const std::size_t at : {3U, 5U, 8U, 60U}) range[at * page] = 'x';
            EXPECT_EQ(::msync(range, 10 * page, MS_ASYNC), 0);
            EXPECT_EQ(::msync(range, 7 * page, MS_SYNC), 0);
            EXPECT_NE(::msync(range + 1, page, MS_SYNC), 0);  // not the start of a page
            EXPECT_EQ(::msync(range, 10 * page, MS_SYNC), 0);
            EXPECT_NE(::msync(range, pages * page, MS_SYNC), 0);  // ENOMEM for the hole, behind it all the same
            EXPECT_EQ(::msync(range + 60 * page, 1, MS_SYNC | MS_INVALIDATE), 0);
        },
        [&](const Traced& t) {
            EXPECT_EQ(names_of(rows_of(t, "VFS", "fsync")), (Words{"b", "b", "a", "a"})) << t.result.out;
            for (const Row& row : t.rows) {
                EXPECT_EQ(row.at("address") + row.at("bytes") + row.at("requested"), "");
            }
        });
    // files of a directory
    each_probe(
        {ext4.path(), "--op", "fsync"}, [&] { EXPECT_EQ(::msync(range, 10 * page, MS_SYNC), 0); },
        [&](const Traced& t) { EXPECT_EQ(names_of(t.rows), (Words{"other", "b"})) << t.result.out; });
    ::munmap(range, pages * page);
}

/// fsync of io_uring and of libaio. sync_file_range makes nothing durable: it has the bios that it waits for, no row of
/// its own.
TRACED_TEST_F(Accesses, RequestsThatSyncAreRows) {
    NEEDS(Uring().here(), "no io_uring here");
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    make_file(path, 64 * kib);
    each_probe(
        {path, "--op", "fsync,write"},
        [&] {
            Uring ring;
            const int fd = ::open(path.c_str(), O_RDWR);
            const auto dirty = [&] { EXPECT_EQ(::pwrite(fd, "x", 1, 0), 1); };
            dirty();
            ring.add(IORING_OP_FSYNC, fd);
            ring.submit(1, 1);
            EXPECT_EQ(ring.result().res, 0);
            dirty();
            constexpr u32 write_and_wait = 7;
            io_uring_sqe& range = ring.add(IORING_OP_SYNC_FILE_RANGE, fd);
            range.len = 4096;
            range.sync_range_flags = write_and_wait;
            ring.submit(1, 1);
            EXPECT_EQ(ring.result().res, 0);
            dirty();
            EXPECT_EQ(::sync_file_range(fd, 0, 4096, write_and_wait), 0);
            dirty();
            aio_context_t context = 0;
            EXPECT_EQ(::syscall(SYS_io_setup, 4, &context), 0);
            iocb block{};
            block.aio_fildes = static_cast<u32>(fd);
            block.aio_lio_opcode = IOCB_CMD_FSYNC;
            iocb* blocks = &block;
            io_event done{};
            EXPECT_EQ(::syscall(SYS_io_submit, context, 1, &blocks), 1);
            EXPECT_EQ(::syscall(SYS_io_getevents, context, 1, 1, &done, nullptr), 1);
            ::syscall(SYS_io_destroy, context);
            ::close(fd);
        },
        [&](const Traced& t) {
            EXPECT_EQ(rows_of(t, "VFS", "fsync", path).size(), 2U) << t.result.out;
            EXPECT_EQ(rows_of(t, "VFS", "write", path).size(), 4U) << t.result.out;
            EXPECT_EQ(rows_of(t, "BLK", "write", path).size(), 4U) << t.result.out;
        });
}

TRACED_TEST_F(Accesses, AFallocateOfIoUringThatRemovesARangeIsADiscard) {
    NEEDS(Uring().here(), "no io_uring here");
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    make_file(path, 64 * kib);
    each_probe(
        {path, "--op", "discard"},
        [&] {
            Uring ring;
            const int fd = ::open(path.c_str(), O_RDWR);
            for (const int mode : {0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE}) {
                io_uring_sqe& entry = ring.add(IORING_OP_FALLOCATE, fd);
                entry.off = 8 * kib;
                entry.addr = 16 * kib;
                entry.len = static_cast<u32>(mode);
                entry.user_data = static_cast<u64>(mode);
                ring.submit(1, 1);
                EXPECT_EQ(ring.result().res, 0);
            }
            ::close(fd);
        },
        [&](const Traced& t) {
            ASSERT_EQ(t.rows.size(), 1U) << t.result.out;
            EXPECT_EQ(t.rows[0].at("op") + t.rows[0].at("address") + "+" + t.rows[0].at("bytes"), "discard8192+16384");
        });
}

TRACED_TEST_F(Accesses, BothSidesOfASpliceOfIoUring) {
    NEEDS(Uring().here(), "no io_uring here");
    const FileSystem ext4("ext4");
    const std::string from = ext4.path("from");
    const std::string to = ext4.path("to");
    for (const std::string op : {"read,write", "read", "write"}) {
        SCOPED_TRACE(op);
        make_file(from, 1000);
        make_file(to, 1000);
        each_probe(
            {from, to, "--level", "vfs", "--op", op},
            [&] {
                Uring ring;
                std::array<int, 2> pipe{};
                std::array<int, 2> copy{};
                ASSERT_EQ(::pipe(pipe.data()), 0);
                ASSERT_EQ(::pipe(copy.data()), 0);
                const int in = ::open(from.c_str(), O_RDONLY);
                const int out = ::open(to.c_str(), O_WRONLY);
                constexpr u64 none = ~0ULL;
                const auto move = [&](u8 opcode, int source, u64 at, int target, u64 target_at) {
                    static u64 number = 0;
                    io_uring_sqe& entry = ring.add(opcode, target);
                    entry.off = target_at;
                    entry.splice_fd_in = source;
                    entry.splice_off_in = at;
                    entry.len = 100;
                    entry.user_data = ++number;
                    ring.submit(1, 1);
                    EXPECT_EQ(ring.result().res, 100);
                };
                move(IORING_OP_SPLICE, in, 10, pipe[1], none);
                move(IORING_OP_TEE, pipe[0], 0, copy[1], 0);  // moves no bytes of a file
                move(IORING_OP_SPLICE, pipe[0], none, out, 50);
                for (const int fd : {pipe[0], pipe[1], copy[0], copy[1], in, out}) ::close(fd);
            },
            [&](const Traced& t) {
                Words seen;
                for (const Row& row : t.rows) {
                    seen.push_back(row.at("op") + " " + row.at("address") + " " + row.at("bytes") + " " +
                                   fs::path(row.at("file")).filename().string());
                }
                Words expected;
                if (op != "write") expected.emplace_back("read 10 100 from");
                if (op != "read") expected.emplace_back("write 50 100 to");
                EXPECT_EQ(seen, expected) << t.result.out;
            });
    }
}

/// ADDRESS of an append is where the data went, and appends one after the other are sequential.
TRACED_TEST_F(Accesses, AnAppendIsWhereTheDataWent) {
    const Scratch scratch;
    const std::string path = scratch.path("log");
    const auto work = [&] {
        spit(path, "12345");
        const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND);
        EXPECT_EQ(::write(fd, "bb\n", 3), 3);
        EXPECT_EQ(::write(fd, "ccc\n", 4), 4);
        EXPECT_EQ(::pwrite(fd, "d", 1, 0), 1);
        const int other = ::open(path.c_str(), O_WRONLY);
        iovec two{const_cast<char*>("ee"), 2};
        EXPECT_EQ(::pwritev2(other, &two, 1, 0, RWF_APPEND), 2);
        if (Uring ring; ring.here()) {
            for (const u64 offset : {~0ULL, 1ULL}) {
                io_uring_sqe& entry = ring.add(IORING_OP_WRITE, fd);
                entry.addr = reinterpret_cast<u64>("ffff");
                entry.len = 4;
                entry.off = offset;
                entry.user_data = offset;
                ring.submit(1, 1);
                EXPECT_EQ(ring.result().res, 4);
            }
        }
        ::close(fd);
        ::close(other);
    };
    work();
    each_probe({path, "--level", "vfs"}, work, [&](const Traced& t) {
        Words at;
        for (const Row& row : t.rows) at.push_back(row.at("address"));
        ASSERT_GE(at.size(), 5U);
        EXPECT_EQ(Words(at.begin(), at.begin() + 5), (Words{"0", "5", "8", "12", "13"})) << t.result.out;
        if (at.size() == 5) return;                                        // no io_uring here
        const bool unknown = at.at(5).empty() && !kernel_is_since(5, 18);  // its completion lacks the request
        EXPECT_EQ(Words(at.begin() + 5, at.end()), unknown ? (Words{"", ""}) : (Words{"15", "19"})) << t.result.out;
    });
    const auto append = [&] {
        const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND);
        for (int i = 0; i < 10; ++i) EXPECT_EQ(::write(fd, "line\n", 5), 5);
        ::close(fd);
    };
    for (const char* probe : {"fentry", "kprobe", "syscalls"}) {
        ::setenv("IOLENS_PROBE", probe, 1);
        Tracer tracer({"file", path, "--level", "vfs", "--summary"});
        append();
        const Result r = tracer.stop();
        EXPECT_NE(r.err.find("seq=1.0000 rand=0.0000"), std::string::npos) << probe << r.err;
    }
    ::unsetenv("IOLENS_PROBE");
}

/// Lines of iotracer's format are in the order in which accesses started, those of one time in the order of addresses.
TRACED_TEST_F(Accesses, LinesOfIotracersFormatAreInTheOrderOfStarts) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    make_file(path, 4 * mib);
    const auto work = [&] {
        const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECT);
        for (int i = 0; i < 4; ++i) {
            EXPECT_EQ(::pread(fd, aligned(mib), mib, static_cast<off_t>(i) * static_cast<off_t>(mib)),
                      static_cast<ssize_t>(mib));
        }
        ::close(fd);
    };
    Tracer tracer({"file", path, "--format", "iotracer"});
    work();
    const Result live = tracer.stop();
    EXPECT_FALSE(lost(live)) << live.err;
    const auto check = [](const std::string& text) {
        std::vector<std::tuple<double, std::string, u64>> keys;
        std::size_t reads = 0;
        for (const std::string& line : split(text, '\n')) {
            const Words fields = split(line, ';');
            if (fields.size() < 7) continue;
            // BLK lines of one time are behind the access that they are of
            keys.emplace_back(std::stod(fields[0]), fields[4] == "VFS" ? "0" : "1", std::stoull(fields[2]));
            reads += fields[4] == "VFS" ? 1 : 0;
        }
        EXPECT_TRUE(std::ranges::is_sorted(keys)) << text;
        EXPECT_EQ(reads, 4U) << text;
        ASSERT_GE(keys.size(), 8U) << text;
        EXPECT_EQ(std::get<1>(keys.front()), "0") << "a read starts before its bios:\n" << text;
    };
    check(live.out);
    const Scratch place;
    Tracer recorded({"file", path, "--record", place.path("rec.iol"), "-o", "/dev/null"});
    work();
    EXPECT_EQ(recorded.stop().status, 0);
    check(run({iolens_path(), "replay", "--format", "iotracer", place.path("rec.iol")}).out);
}

/// Links that are made later, files that are moved out of a watched directory, and directories that are moved into a
/// tree or out of it.
TRACED_TEST_F(Accesses, FilesOfATreeAreThoseFoundInIt) {
    const FileSystem ext4("ext4");
    const std::string in = ext4.path("in");
    const std::string out = ext4.path("out");
    const auto read_some = [](const std::string& path, std::size_t bytes) {
        std::array<char, 64> data{};
        const int fd = ::open(path.c_str(), O_RDONLY);
        EXPECT_EQ(::read(fd, data.data(), bytes), static_cast<ssize_t>(bytes)) << path;
        ::close(fd);
    };
    const auto prepare = [&] {
        for (const std::string& directory : {in, out}) fs::remove_all(directory);
        fs::create_directories(in + "/sub");
        fs::create_directories(out + "/sub2");
        for (const std::string& path : {in + "/a", in + "/gone", in + "/sub/old", out + "/sub2/b"})
            make_file(path, 100);
    };
    const auto work = [&] {
        fs::create_hard_link(in + "/a", out + "/link");
        read_some(out + "/link", 1);
        fs::remove(in + "/a");
        read_some(out + "/link", 2);  // the same file
        make_file(in + "/a", 33);     // another one
        read_some(in + "/a", 3);
        fs::rename(in + "/sub", out + "/sub");
        read_some(out + "/sub/old", 4);   // found before
        make_file(out + "/sub/new", 34);  // not in the tree
        fs::rename(out + "/sub2", in + "/sub2");
        read_some(in + "/sub2/b", 5);
        const int held = ::open((in + "/gone").c_str(), O_RDONLY);
        fs::remove(in + "/gone");
        std::array<char, 6> data{};
        EXPECT_EQ(::read(held, data.data(), 6), 6);  // deleted, but open
        ::close(held);
        make_file(out + "/gone", 35);  // its inode number may be used again
        make_file(in + "/gone", 36);
    };
    prepare();
    for (const char* probe : {"fentry", "kprobe", "syscalls"}) {
        SCOPED_TRACE(probe);
        prepare();
        ::setenv("IOLENS_PROBE", probe, 1);
        const Traced t = trace({"--recursive", in, "--level", "vfs"}, work, "file");
        expect_whole(t);
        Words seen;
        for (const Row& row : t.rows) {
            seen.push_back(row.at("op") + " " + row.at("bytes") + " " +
                           row.at("file").substr(std::min(row.at("file").size(), ext4.path().size() + 1)));
        }
        EXPECT_EQ(seen,
                  (Words{"read 1 out/link", "read 2 out/link", "write 33 in/a", "read 3 in/a", "read 4 out/sub/old",
                         "read 5 in/sub2/b", "read 6 in/gone (deleted)", "write 36 in/gone"}))
            << t.result.out;
    }
    ::unsetenv("IOLENS_PROBE");
}

/// The maps that a process has open, by name.
std::map<std::string, bpf_map_info> maps_of(pid_t pid) {
    std::map<std::string, bpf_map_info> maps;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fdinfo")) {
        const std::string text = slurp(entry.path());
        const std::size_t at = text.find("map_id:");
        if (at == std::string::npos) continue;
        const Fd map(::bpf_map_get_fd_by_id(static_cast<u32>(std::stoul(text.substr(at + 7)))));
        bpf_map_info info{};
        u32 size = sizeof info;
        if (!map || ::bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) continue;
        maps[static_cast<const char*>(info.name)] = info;
    }
    return maps;
}

/// `serve` reserves no memory for files and names that nobody has added yet, where the kernel allows that.
TRACED_TEST_F(Accesses, AServerReservesLittleMemory) {
    shell("modprobe -q fuse");
    NEEDS(fs::exists("/dev/fuse"), "there is no /dev/fuse");
    const Scratch place;
    Background server({iolens_path(), "file", "serve", place.path("tree")});
    ASSERT_TRUE(server.wait_for_line("serving")) << server.err();
    const bool allocates = slurp("/sys/kernel/btf/vmlinux").find("bpf_mem_alloc") != std::string::npos;
    const auto maps = maps_of(server.pid());
    for (const std::string name : {"watched", "watched_names", "watched_below"}) {
        ASSERT_TRUE(maps.contains(name)) << name;
        const bpf_map_info& info = maps.at(name);
        const bool lru = name == "watched_below";
        EXPECT_EQ((info.map_flags & BPF_F_NO_PREALLOC) != 0, allocates && !lru) << name;
        if (lru || (!allocates && name == "watched_names")) {
            EXPECT_LE(info.max_entries, std::max(16384U, 256U * static_cast<u32>(::sysconf(_SC_NPROCESSORS_CONF))))
                << name;
        }
    }
    EXPECT_EQ(server.stop(SIGTERM).status, 0);
}

}  // namespace
}  // namespace iolens::test
