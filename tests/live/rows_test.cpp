// SPDX-License-Identifier: Apache-2.0
// What a row of iolens fd says: where the data went, how much of it was moved, on which file, and which rows there are.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/aio_abi.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "json.h"
#include "machine.h"
#include "rows.h"

namespace iolens::test {
namespace {

class Rows : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

TRACED_TEST_F(Rows, AnAppendIsWhereTheDataWent) {
    const Scratch scratch;
    const std::string path = scratch.path("log");
    spit(path, "12345");
    const std::vector<Json> rows = rows_of("write,writev,pwrite64,pwritev,pwritev2", [&] {
        std::array<char, 16> bytes{};
        const std::array<iovec, 1> three{iovec{bytes.data(), 3}};
        const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND);
        static_cast<void>(::write(fd, bytes.data(), 3));       // 5
        static_cast<void>(::writev(fd, three.data(), 1));      // 8
        static_cast<void>(::pwrite(fd, bytes.data(), 4, 1));   // 11
        static_cast<void>(::pwritev(fd, three.data(), 1, 1));  // 15
        const int other = ::open(path.c_str(), O_WRONLY);
        static_cast<void>(::pwritev2(other, three.data(), 1, 2, RWF_APPEND));   // 18
        static_cast<void>(::pwritev2(other, three.data(), 1, -1, RWF_APPEND));  // 21
        static_cast<void>(::pwrite(other, bytes.data(), 4, 1));                 // 1
        static_cast<void>(::syscall(SYS_write, fd, nullptr, 3));                // EFAULT: nowhere
    });
    EXPECT_EQ(values_of(rows, "offset"), (Values{"5", "8", "11", "15", "18", "21", "1", "null"}));
}

// Two descriptions of one file: each row's offset is right, or not known.
TRACED_TEST_F(Rows, AppendsAtTheSameTimeDoNotOverlap) {
    const Scratch scratch;
    const std::string path = scratch.path("log");
    constexpr int writes = 200;
    constexpr std::size_t size = 64;
    const auto append = [&](char mark) {
        std::array<char, size> bytes{};
        bytes.fill(mark);
        const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
        for (int i = 0; i < writes; ++i) static_cast<void>(::write(fd, bytes.data(), size));
    };
    const std::vector<Json> rows = rows_of("write", [&] {
        const pid_t child = ::fork();
        append(child == 0 ? 'c' : 'p');
        if (child == 0) ::_exit(0);
        ::waitpid(child, nullptr, 0);
        // through one open file, from two threads
        const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND);
        const auto shared = [&](char mark) {
            std::array<char, size> bytes{};
            bytes.fill(mark);
            for (int i = 0; i < writes; ++i) static_cast<void>(::write(fd, bytes.data(), size));
        };
        std::thread first(shared, '1');
        shared('2');
        first.join();
    });
    const std::string text = slurp(path);
    ASSERT_EQ(rows.size(), 4U * writes);
    ASSERT_EQ(text.size(), rows.size() * size);
    std::map<u64, int> seen;
    std::map<std::string, std::set<char>> marks;  // of each thread, at the offsets of its rows
    std::size_t known = 0;
    for (const Json& row : rows) {
        if (row.at("offset").is_null()) continue;
        ++known;
        const u64 at = number(row.at("offset"));
        EXPECT_EQ(++seen[at], 1) << at;
        EXPECT_EQ(at % size, 0U);
        ASSERT_LT(at, text.size());
        // the main thread writes 'p', then '2'
        marks[row.at("tid").dump()].insert(text[at] == '2' ? 'p' : text[at]);
    }
    for (const auto& [tid, letters] : marks) EXPECT_EQ(letters.size(), 1U) << tid;
    // all of those of the processes of one thread
    EXPECT_GE(known, 2U * writes);
}

TRACED_TEST_F(Rows, AnAppendOfLibaioIsWhereTheDataWent) {
    const Scratch scratch;
    const std::string path = scratch.path("log");
    spit(path, "12345");
    const std::vector<Json> rows = rows_of("aio:pwrite", [&] {
        std::array<char, 16> bytes{};
        aio_context_t context = 0;
        if (::syscall(SYS_io_setup, 4, &context) != 0) ::_exit(2);
        for (const bool appends : {true, false}) {
            iocb block{};
            block.aio_fildes = static_cast<u32>(::open(path.c_str(), O_WRONLY | (appends ? O_APPEND : 0)));
            block.aio_lio_opcode = IOCB_CMD_PWRITE;
            block.aio_buf = reinterpret_cast<u64>(bytes.data());
            block.aio_nbytes = 7;
            block.aio_offset = 1;
            block.aio_rw_flags = appends ? 0 : RWF_APPEND;
            iocb* blocks = &block;
            io_event done{};
            if (::syscall(SYS_io_submit, context, 1, &blocks) != 1) ::_exit(3);
            if (::syscall(SYS_io_getevents, context, 1, 1, &done, nullptr) != 1) ::_exit(4);
        }
    });
    EXPECT_EQ(values_of(rows, "offset"), (Values{"5", "12"}));
}

TRACED_TEST_F(Rows, OffsetsAreAsGiven) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(8192, 'x'));
    const std::vector<Json> rows = rows_of("pread64,readahead,fadvise64,sync_file_range", [&] {
        std::array<char, 16> bytes{};
        const int fd = ::open(path.c_str(), O_RDWR);
        static_cast<void>(::pread(fd, bytes.data(), 3, -1));
        static_cast<void>(::readahead(fd, 4096, 100));
        ::posix_fadvise(fd, 512, 1024, POSIX_FADV_WILLNEED);
        static_cast<void>(::sync_file_range(fd, 4096, 2048, SYNC_FILE_RANGE_WRITE));
    });
    EXPECT_EQ(values_of(rows, "offset"), (Values{"-1", "4096", "512", "4096"}));
    EXPECT_EQ(values_of(rows, "requested"), (Values{"3", "100", "1024", "2048"}));
}

TRACED_TEST_F(Rows, APeekMovesNothing) {
    const auto work = [] {
        std::array<int, 2> ends{};
        ::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data());
        std::array<char, 100> bytes{};
        for (int i = 0; i < 2; ++i) static_cast<void>(::send(ends[0], bytes.data(), 100, 0));
        static_cast<void>(::recv(ends[1], bytes.data(), 100, MSG_PEEK | MSG_DONTWAIT));
        iovec piece{bytes.data(), 100};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        static_cast<void>(::recvmsg(ends[1], &message, MSG_PEEK));
        static_cast<void>(::recv(ends[1], bytes.data(), 30, MSG_TRUNC));
        static_cast<void>(::recv(ends[1], bytes.data(), 100, 0));
        std::array<mmsghdr, 3> three{};
        for (mmsghdr& one : three) one.msg_hdr = message;
        ::sendmmsg(ends[0], three.data(), 3, MSG_NOSIGNAL);
        ::recvmmsg(ends[1], three.data(), 2, MSG_DONTWAIT, nullptr);
    };
    const std::vector<Json> rows = rows_of("recvfrom,recvmsg,recvmmsg,sendmmsg", work);
    EXPECT_EQ(values_of(rows, "result"), (Values{"100", "100", "100", "100", "3", "2"}));
    EXPECT_EQ(values_of(rows, "bytes"), (Values{"0", "0", "30", "100", "300", "200"}));
    EXPECT_EQ(values_of(rows, "flags"), (Values{"\"MSG_PEEK|MSG_DONTWAIT\"", "\"MSG_PEEK\"", "\"MSG_TRUNC\"", "\"0\"",
                                                "\"MSG_NOSIGNAL\"", "\"MSG_DONTWAIT\""}));
    for (const Json& object : objects_of(work, {"--op", "recvfrom,recvmsg", "--summary"})) {
        if (object.contains("read_bytes")) {
            EXPECT_EQ(number(object.at("read_bytes")), 130U);
        }
    }
}

TRACED_TEST_F(Rows, AnEmptyPathIsTheFd) {
    const Scratch scratch;
    const std::string path = std::filesystem::canonical(scratch.path()) / "data";
    spit(path, "x");
    const std::vector<Json> rows = rows_of("newfstatat,statx,utimensat,fchownat", [&] {
        const int fd = ::open(path.c_str(), O_RDWR);
        struct stat info{};
        struct statx more{};
        ::syscall(SYS_newfstatat, fd, "", &info, AT_EMPTY_PATH);
        ::syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &more);
        ::syscall(SYS_utimensat, fd, nullptr, nullptr, 0);
        ::syscall(SYS_fchownat, fd, "", -1, -1, AT_EMPTY_PATH);
        ::syscall(SYS_newfstatat, fd, path.c_str(), &info, AT_EMPTY_PATH);
        ::syscall(SYS_newfstatat, fd, "", &info, 0);
    });
    const std::string file = Json(path).dump();
    EXPECT_EQ(values_of(rows, "file"), (Values{file, file, file, file, "null", "null"}));
    EXPECT_EQ(rows.at(0).at("fd"), rows.at(3).at("fd"));
    EXPECT_TRUE(rows.at(4).at("fd").is_null());
}

TRACED_TEST_F(Rows, NamesAreThoseOfProc) {
    const Scratch scratch;
    const std::string names = scratch.path("names");
    const std::vector<Json> rows = rows_of("eventfd2,pidfd_open,openat,memfd_create", [&] {
        std::string text;
        for (const int fd :
             {::eventfd(0, 0), static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)),
              ::open("/proc/self/ns/net", O_RDONLY), ::open("/proc/self/ns/mnt", O_RDONLY), ::memfd_create("hi", 0)}) {
            text += std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)).string() + "\n";
        }
        spit(names, text);
    });
    ASSERT_GE(rows.size(), 5U);
    const std::vector<std::string> expected = split(slurp(names), '\n');
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(rows[i].at("file"), expected.at(i));
    EXPECT_EQ(rows[1].at("kind"), "anon");
    EXPECT_EQ(rows[2].at("kind"), "other");
}

TRACED_TEST_F(Rows, ADirectoryAboveAFileIsRenamed) {
    const Scratch scratch;
    const std::string names = scratch.path("names");
    std::filesystem::create_directories(scratch.path("a/b/c"));
    spit(scratch.path("a/b/c/file"), "hello");
    const std::vector<Json> rows = rows_of("pread64", [&] {
        const int fd = ::open(scratch.path("a/b/c/file").c_str(), O_RDONLY);
        std::string text;
        const auto read = [&] {
            char byte = 0;
            static_cast<void>(::pread(fd, &byte, 1, 0));
            text += std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)).string() + "\n";
        };
        read();
        for (const auto& [from, to] :
             {std::pair{"a/b/c", "a/b/d"}, {"a", "z"}, {"z/b", "z/e"}, {"z/e/d/file", "z/e/file"}}) {
            std::filesystem::rename(scratch.path(from), scratch.path(to));
            read();
        }
        spit(names, text);
    });
    const std::vector<std::string> expected = split(slurp(names), '\n');
    ASSERT_EQ(rows.size(), 5U);
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].at("file"), expected.at(i));
}

/// Likewise a directory above the mount point, or above the one of the filesystem that has the mount point.
TRACED_TEST_F(Rows, ADirectoryAboveAMountPointIsRenamed) {
    const Scratch scratch;
    const std::string names = scratch.path("names");
    std::filesystem::create_directories(scratch.path("a/outer"));
    if (::mount("outer", scratch.path("a/outer").c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "can't mount";
    std::filesystem::create_directories(scratch.path("a/outer/b/inner"));
    ASSERT_EQ(::mount("inner", scratch.path("a/outer/b/inner").c_str(), "tmpfs", 0, nullptr), 0);
    std::filesystem::create_directory(scratch.path("a/outer/b/inner/c"));
    spit(scratch.path("a/outer/b/inner/c/file"), "hello");
    const std::vector<Json> rows = rows_of("pread64", [&] {
        const int fd = ::open(scratch.path("a/outer/b/inner/c/file").c_str(), O_RDONLY);
        std::string text;
        const auto read = [&] {
            char byte = 0;
            static_cast<void>(::pread(fd, &byte, 1, 0));
            text += std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)).string() + "\n";
        };
        read();
        for (const auto& [from, to] : {std::pair{"a", "z"},
                                       {"z/outer/b", "z/outer/e"},
                                       {"z/outer/e/inner/c", "z/outer/e/inner/d"},
                                       {"z", "y"}}) {
            std::filesystem::rename(scratch.path(from), scratch.path(to));
            read();
        }
        spit(names, text);
        ::close(fd);
    });
    ::umount2(scratch.path("y/outer/e/inner").c_str(), MNT_DETACH);
    ::umount2(scratch.path("y/outer").c_str(), MNT_DETACH);
    const std::vector<std::string> expected = split(slurp(names), '\n');
    ASSERT_EQ(expected.size(), 5U);
    EXPECT_EQ(expected.back(), scratch.path("y/outer/e/inner/d/file"));
    ASSERT_EQ(rows.size(), 5U);
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].at("file"), expected.at(i));
}

TRACED_TEST_F(Rows, AnIpv4PeerInIpv6IsTheSamePeer) {
    std::set<std::string> files;
    u64 bytes = 0;
    for (const Json& object : objects_of(
             [] {
                 const int server = ::socket(AF_INET, SOCK_DGRAM, 0);
                 sockaddr_in local{};
                 local.sin_family = AF_INET;
                 local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                 socklen_t length = sizeof local;
                 ::bind(server, reinterpret_cast<sockaddr*>(&local), length);
                 ::getsockname(server, reinterpret_cast<sockaddr*>(&local), &length);
                 const int plain = ::socket(AF_INET, SOCK_DGRAM, 0);
                 static_cast<void>(::sendto(plain, "abc", 3, 0, reinterpret_cast<sockaddr*>(&local), sizeof local));
                 const int both = ::socket(AF_INET6, SOCK_DGRAM, 0);
                 sockaddr_in6 mapped{};
                 mapped.sin6_family = AF_INET6;
                 mapped.sin6_port = local.sin_port;
                 ::inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
                 static_cast<void>(::sendto(both, "abc", 3, 0, reinterpret_cast<sockaddr*>(&mapped), sizeof mapped));
             },
             {"--op", "sendto", "--summary"})) {
        if (!object.contains("write_bytes")) continue;
        files.insert(text_or_null(object.at("file")));
        bytes += number(object.at("write_bytes"));
    }
    EXPECT_EQ(files.size(), 1U);
    EXPECT_EQ(bytes, 6U);
}

TRACED_TEST_F(Rows, FailedCallsOnly) {
    const std::vector<Json> rows = rows_of("openat,close,read",
                                           [&] {
                                               static_cast<void>(::open("/nowhere", O_RDONLY));
                                               ::close(::open("/dev/null", O_RDONLY));
                                               static_cast<void>(::close(999));
                                           },
                                           {"--failed", "--not-op", "read"});
    EXPECT_EQ(values_of(rows, "error"), (Values{"\"ENOENT\"", "\"EBADF\""}));
}

TRACED_TEST_F(Rows, SelectionDoesNotChangeTheFileOfAMapping) {
    const Scratch scratch;
    const std::string path = std::filesystem::canonical(scratch.path()) / "data";
    spit(path, std::string(8192, 'x'));
    const auto work = [&] {
        const int fd = ::open(path.c_str(), O_RDWR);
        void* const at = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ::close(fd);
        std::memset(at, 'y', 8192);
        ::msync(at, 8192, MS_SYNC);
    };
    EXPECT_EQ(values_of(rows_of("msync", work), "file"), Values{Json(path).dump()});
    EXPECT_EQ(values_of(rows_of("msync", work, {"--why", "--min-ms", "0"}), "file"), Values{Json(path).dump()});
    // the call of mmap is not long enough for a row
    const std::vector<Json> slow = rows_of("msync,mmap", work, {"--min-ms", "0.0001"});
    for (const Json& row : slow) {
        if (row.at("call") == "msync") {
            EXPECT_EQ(row.at("file"), path);
        }
    }
}

}  // namespace
}  // namespace iolens::test
