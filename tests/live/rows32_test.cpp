// SPDX-License-Identifier: Apache-2.0
// The calls of 32-bit programs have the rows that the same calls of a 64-bit program have.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/aio_abi.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <initializer_list>

#include "int80.h"
#include "json.h"
#include "machine.h"
#include "rows.h"

#if defined(__x86_64__)
namespace iolens::test {
namespace {

class Rows32 : public testing::Test {
protected:
    void SetUp() override {
        NEEDS(missing_for_tracing().empty(), missing_for_tracing());
        NEEDS(has_int80(), "the kernel has no system calls of 32-bit programs");
    }
};

/// Memory below 2 GiB. Each thing lies at the same address, whatever the size of pointers is.
class LowMemory {
public:
    LowMemory() {
        void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        if (at == MAP_FAILED) ::abort();
        begin_ = static_cast<char*>(at);
    }
    ~LowMemory() { ::munmap(begin_, size); }
    LowMemory(const LowMemory&) = delete;
    LowMemory& operator=(const LowMemory&) = delete;

    /// Forgets everything. Pointers have 4 bytes if `narrow`, else 8.
    void reset(bool narrow) {
        used_ = 0;
        narrow_ = narrow;
        std::memset(begin_, 0, size);
    }
    u32 space(std::size_t bytes, std::size_t alignment = 16) {
        used_ = (used_ + alignment - 1) / alignment * alignment;
        char* const at = begin_ + used_;
        used_ += bytes;
        if (used_ > size) ::abort();
        return static_cast<u32>(reinterpret_cast<u64>(at));
    }
    u32 bytes(const void* data, std::size_t count) {
        const u32 at = space(count);
        std::memcpy(pointer(at), data, count);
        return at;
    }
    u32 text(const std::string& words) { return bytes(words.c_str(), words.size() + 1); }
    u32 number(u64 value) { return bytes(&value, sizeof value); }
    /// Words of the size of a pointer.
    u32 words(std::initializer_list<u64> values) {
        const u32 at = space(values.size() * sizeof(u64));
        std::size_t place = 0;
        for (const u64 value : values) {
            std::memcpy(pointer(at) + place, &value, width());
            place += width();
        }
        return at;
    }
    /// Words of 32 bits, in which socketcall takes the arguments.
    u32 arguments(const Words& values) { return bytes(values.data(), sizeof values); }
    [[nodiscard]] u64 word(u32 at) const {
        u64 value = 0;
        std::memcpy(&value, pointer(at), width());
        return value;
    }
    static char* pointer(u32 at) { return reinterpret_cast<char*>(u64{at}); }  // NOLINT(performance-no-int-to-ptr)

private:
    [[nodiscard]] std::size_t width() const { return narrow_ ? 4 : 8; }

    static constexpr std::size_t size = 1 << 20;
    char* begin_ = nullptr;
    std::size_t used_ = 0;
    bool narrow_ = false;
};

using Arguments = std::array<u64, 6>;

/// A program that makes its calls as a 64-bit or a 32-bit one.
class Program {
public:
    Program(LowMemory& memory, bool narrow) : m(memory), narrow_(narrow) { m.reset(narrow); }

    /// The call's number and arguments in 64-bit programs, then in i386's.
    long call(long wide, const Arguments& a, long number, const Words& words) const {  // NOLINT
        if (narrow_) return int80(number, words);
        const long result = ::syscall(wide, a[0], a[1], a[2], a[3], a[4], a[5]);
        return result < 0 ? -errno : result;
    }
    /// A call that has the same arguments in both.
    long same(long wide, long number, const Arguments& a) const {  // NOLINT
        Words words{};
        std::ranges::transform(a, words.begin(), [](u64 value) { return static_cast<u32>(value); });
        return call(wide, a, number, words);
    }
    /// One that 32-bit programs make through socketcall.
    long socket_call(long wide, u32 which, const Arguments& a) const {
        Words words{};
        std::ranges::transform(a, words.begin(), [](u64 value) { return static_cast<u32>(value); });
        return call(wide, a, 102, {which, m.arguments(words)});
    }

    LowMemory& m;  // NOLINT

private:
    bool narrow_;
};

constexpr u32 low(u64 value) { return static_cast<u32>(value); }
constexpr u32 high(u64 value) { return static_cast<u32>(value >> 32); }

/// Fds below are closed before the work.
constexpr unsigned first_fd = 200;

/// Expects that a program has the same rows whichever way it makes its calls. Returns the rows.
std::vector<Json> expect_same_rows(const std::string& calls, const std::function<void(const Program&)>& work,
                                   const std::vector<std::string>& options = {"-v"}) {
    LowMemory memory;
    const auto rows = [&](bool narrow) {
        const auto child = [&] {
            ::close_range(3, first_fd - 1, 0);  // new fds have the same numbers in both
            work(Program(memory, narrow));
        };
        return rows_of(calls, child, options);
    };
    const std::vector<Json> wide = rows(false);
    const std::vector<Json> narrow = rows(true);
    EXPECT_FALSE(wide.empty());
    EXPECT_EQ(narrow.size(), wide.size());
    for (std::size_t i = 0; i < std::min(narrow.size(), wide.size()); ++i) {
        for (const char* column : {"call", "dir", "fd", "offset", "requested", "bytes", "result", "error", "kind",
                                   "file", "peer", "peer_port", "address", "flags", "arguments", "end"}) {
            std::string ours = narrow[i].at(column).dump();
            std::string theirs = wide[i].at(column).dump();
            if (column == std::string_view("file")) {  // each round has its own pipes and sockets: pipe:[1234]
                ours.resize(std::min(ours.find('['), ours.size()));
                theirs.resize(std::min(theirs.find('['), theirs.size()));
            }
            EXPECT_EQ(ours, theirs) << column << " of " << wide[i].dump();
        }
    }
    return narrow;
}

TRACED_TEST_F(Rows32, OfFiles) {
    const Scratch scratch;
    const std::string path = std::filesystem::canonical(scratch.path()) / "data";
    const std::vector<Json> rows = expect_same_rows(
        "open,openat,creat,read,write,readv,writev,pread64,pwrite64,preadv,pwritev,preadv2,pwritev2,lseek,ftruncate,"
        "truncate,fallocate,fadvise64,readahead,sync_file_range,fsync,fdatasync,dup,dup2,fcntl,close,mmap,munmap,msync,"
        "statfs,fstatfs,stat,lstat,fstat,newfstatat,execve",
        [&](const Program& p) {
            constexpr u64 far = (5ULL << 32) + 7;
            constexpr u32 fd = 100;
            const u32 name = p.m.text(path);
            const u32 buffer = p.m.space(4096);
            const u32 iov = p.m.words({buffer, 5, buffer, 7});
            const u32 page = p.m.space(8192, 4096);
            p.same(SYS_creat, 8, {name, 0600});
            p.same(SYS_open, 5, {name, O_RDONLY, 0});
            p.same(SYS_openat, 295, {low(static_cast<u64>(AT_FDCWD)), name, O_RDWR, 0});
            // in 32-bit programs, files are small without O_LARGEFILE
            p.same(SYS_dup2, 63, {static_cast<u64>(::open(path.c_str(), O_RDWR)), fd});
            p.same(SYS_write, 4, {fd, buffer, 10});
            p.same(SYS_lseek, 19, {fd, static_cast<u64>(-3), SEEK_END});
            p.same(SYS_lseek, 19, {fd, static_cast<u64>(-3), SEEK_SET});  // EINVAL
            p.same(SYS_read, 3, {fd, buffer, 100});
            p.call(SYS_lseek, {fd, far, SEEK_SET}, 140, {fd, high(far), low(far), p.m.space(8), SEEK_SET});
            p.same(SYS_read, 3, {fd, buffer, 100});
            p.call(SYS_lseek, {fd, 0, SEEK_SET}, 140, {fd, 0, 0, p.m.space(8), SEEK_SET});
            p.call(SYS_pread64, {fd, buffer, 9, far}, 180, {fd, buffer, 9, low(far), high(far)});
            p.call(SYS_pread64, {fd, buffer, 9, ~0ULL}, 180, {fd, buffer, 9, ~0U, ~0U});  // EINVAL
            p.call(SYS_pwrite64, {fd, buffer, 9, far}, 181, {fd, buffer, 9, low(far), high(far)});
            p.same(SYS_writev, 146, {fd, iov, 2});
            p.same(SYS_readv, 145, {fd, iov, 1});
            p.same(SYS_readv, 145, {fd, 8, 1});  // EFAULT
            p.call(SYS_preadv, {fd, iov, 2, far}, 333, {fd, iov, 2, low(far), high(far)});
            p.call(SYS_pwritev, {fd, iov, 2, far}, 334, {fd, iov, 2, low(far), high(far)});
            p.call(SYS_preadv2, {fd, iov, 2, ~0ULL}, 378, {fd, iov, 2, ~0U, ~0U});
            p.call(SYS_pwritev2, {fd, iov, 2, 3, 0, RWF_APPEND}, 379, {fd, iov, 2, 3, 0, RWF_APPEND});
            p.same(SYS_ftruncate, 93, {fd, 8192});
            p.call(SYS_ftruncate, {fd, far}, 194, {fd, low(far), high(far)});
            p.call(SYS_truncate, {name, far}, 193, {name, low(far), high(far)});
            p.same(SYS_truncate, 92, {name, 8192});
            p.call(SYS_fallocate, {fd, 0, 4096, 8192}, 324, {fd, 0, 4096, 0, 8192, 0});
            p.call(SYS_fadvise64, {fd, far, 1024, 3}, 250, {fd, low(far), high(far), 1024, 3});
            p.call(SYS_fadvise64, {fd, far, far, 3}, 272, {fd, low(far), high(far), low(far), high(far), 3});
            p.call(SYS_readahead, {fd, far, 100}, 225, {fd, low(far), high(far), 100});
            p.call(SYS_sync_file_range, {fd, 4096, far, 2}, 314, {fd, 4096, 0, low(far), high(far), 2});
            p.same(SYS_fsync, 118, {fd});
            p.same(SYS_fdatasync, 148, {fd});
            p.same(SYS_close, 6, {static_cast<u64>(p.same(SYS_dup, 41, {fd}))});
            p.same(SYS_fcntl, 55, {fd, F_GETFL});
            p.same(SYS_fcntl, 221, {fd, F_GETFD});
            constexpr u64 shared = MAP_SHARED | MAP_FIXED;
            p.call(SYS_mmap, {page, 4096, PROT_READ, shared, fd, 4096}, 192, {page, 4096, PROT_READ, shared, fd, 1});
            p.same(SYS_msync, 144, {page, 4096, MS_SYNC});
            p.same(SYS_munmap, 91, {page, 4096});
            p.call(SYS_mmap, {page, 4096, PROT_READ, shared, fd, 4096}, 90,
                   {p.m.arguments({page, 4096, PROT_READ, shared, fd, 4096})});
            p.call(SYS_statfs, {name, buffer}, 268, {name, 84, buffer});
            const u32 null = p.m.text("/dev/null");
            p.same(SYS_stat, 195, {name, buffer});
            p.same(SYS_lstat, 107, {null, buffer});
            p.same(SYS_fstat, 197, {fd, buffer});
            p.same(SYS_fstat, 108, {fd, buffer});
            p.same(SYS_newfstatat, 300, {low(static_cast<u64>(AT_FDCWD)), null, buffer, 0});
            p.call(SYS_fstatfs, {fd, buffer}, 269, {fd, 84, buffer});
            p.same(SYS_execve, 11, {p.m.text("/nowhere"), p.m.words({p.m.text("one"), p.m.text("two"), 0}), 0});
            p.same(SYS_execve, 11, {p.m.text("/nowhere"), p.m.words({p.m.text("one"), 0}), 0});
        });
    std::set<std::string> results;
    for (const Json& row : rows) results.insert(row.at("call").get<std::string>() + " " + row.at("result").dump());
    for (const char* found : {"write 10", "read 3", "lseek 21474836487", "pwrite64 9", "writev 12", "pwritev2 12"}) {
        EXPECT_TRUE(results.contains(found)) << found;
    }
}

TRACED_TEST_F(Rows32, BetweenFiles) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(8192, 'x'));
    expect_same_rows("sendfile,splice,tee,copy_file_range,vmsplice,pipe,pipe2", [&](const Program& p) {
        const auto from = static_cast<u64>(::open(path.c_str(), O_RDONLY));
        const auto to = static_cast<u64>(::open((path + ".copy").c_str(), O_RDWR | O_CREAT, 0600));
        const u32 one = p.m.space(8);
        const u32 two = p.m.space(8);
        p.same(SYS_pipe, 42, {one});
        p.same(SYS_pipe2, 331, {two, O_CLOEXEC});
        std::array<s32, 2> first{};
        std::array<s32, 2> second{};
        std::memcpy(first.data(), LowMemory::pointer(one), sizeof first);
        std::memcpy(second.data(), LowMemory::pointer(two), sizeof second);
        const auto in = static_cast<u64>(first[1]);
        const auto out = static_cast<u64>(first[0]);
        p.same(SYS_sendfile, 187, {to, from, p.m.words({5}), 20});
        p.same(SYS_sendfile, 239, {to, from, p.m.number(6), 20});
        p.same(SYS_sendfile, 187, {to, from, 0, 20});
        p.same(SYS_splice, 313, {from, p.m.number(7), in, 0, 16, 0});
        p.same(SYS_tee, 315, {out, static_cast<u64>(second[1]), 10, 0});
        p.same(SYS_copy_file_range, 377, {from, p.m.number(8), to, p.m.number(9), 100, 0});
        p.same(SYS_vmsplice, 316, {in, p.m.words({p.m.space(64), 40}), 1, 0});
    });
}

TRACED_TEST_F(Rows32, OfSockets) {
    // in this process: their ports are the same in both rounds
    constexpr int server = first_fd;
    constexpr int client = first_fd + 1;
    const int made = ::socket(AF_INET, SOCK_DGRAM, 0);
    const int other_made = ::socket(AF_INET, SOCK_DGRAM, 0);
    ASSERT_EQ(::dup2(made, server), server);
    ASSERT_EQ(::dup2(other_made, client), client);
    ::close(made);
    ::close(other_made);
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof local;
    ASSERT_EQ(::bind(server, reinterpret_cast<sockaddr*>(&local), length), 0);
    ASSERT_EQ(::getsockname(server, reinterpret_cast<sockaddr*>(&local), &length), 0);
    // a datagram arrives in a softirq, which ksoftirqd may run later
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ASSERT_EQ(::setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    const std::vector<Json> rows = expect_same_rows(
        "socket,socketpair,connect,bind,listen,accept,accept4,sendto,recvfrom,sendmsg,recvmsg,sendmmsg,recvmmsg,"
        "shutdown,getsockopt,getsockname",
        [&](const Program& p) {
            const auto from = static_cast<u64>(client);
            const auto to = static_cast<u64>(server);
            const u32 address = p.m.bytes(&local, sizeof local);
            const u32 buffer = p.m.space(256);
            const u32 sender = p.m.space(sizeof local);
            const u32 size = p.m.number(sizeof local);
            const u32 iov = p.m.words({buffer, 5, buffer, 7});
            // name, its length, iov, its length, control, its length, flags; then the length of struct mmsghdr
            const u32 message = p.m.words({address, sizeof local, iov, 2, 0, 0, 0});
            const u32 received = p.m.words({sender, sizeof local, iov, 2, 0, 0, 0});
            const u32 messages = p.m.words({address, sizeof local, iov, 1, 0, 0, 0, 0,  //
                                            address, sizeof local, iov, 2, 0, 0, 0, 0});
            const u32 got = p.m.words({sender, sizeof local, iov, 2, 0, 0, 0, 0,  //
                                       sender, sizeof local, iov, 2, 0, 0, 0, 0});
            p.socket_call(SYS_sendto, 11, {from, buffer, 20, MSG_NOSIGNAL, address, sizeof local});
            p.socket_call(SYS_recvfrom, 12, {to, buffer, 100, 0, sender, size});
            p.same(SYS_sendto, 369, {from, buffer, 21, 0, address, sizeof local});
            p.same(SYS_recvfrom, 371, {to, buffer, 100, 0, sender, size});
            p.socket_call(SYS_sendmsg, 16, {from, message, 0});
            p.socket_call(SYS_recvmsg, 17, {to, received, 0});
            p.same(SYS_sendmsg, 370, {from, message, 0});
            p.same(SYS_recvmsg, 372, {to, received, 0});
            p.socket_call(SYS_sendmmsg, 20, {from, messages, 2, 0});
            p.socket_call(SYS_recvmmsg, 19, {to, got, 2, 0, 0});
            p.same(SYS_sendmmsg, 345, {from, messages, 2, 0});
            p.same(SYS_recvmmsg, 337, {to, got, 2, 0, 0});

            const auto stream =
                static_cast<u64>(p.socket_call(SYS_socket, 1, {AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0}));
            p.socket_call(SYS_bind, 2, {stream, address, sizeof local});
            p.socket_call(SYS_listen, 4, {stream, 1});
            p.socket_call(SYS_accept, 5, {stream, 0, 0});  // EAGAIN
            p.socket_call(SYS_accept4, 18, {stream, 0, 0, SOCK_CLOEXEC});
            p.socket_call(SYS_getsockname, 6, {stream, sender, size});
            const u64 other = static_cast<u64>(p.same(SYS_socket, 359, {AF_INET, SOCK_DGRAM, 0}));
            p.socket_call(SYS_connect, 3, {other, address, sizeof local});
            p.socket_call(SYS_getsockopt, 15, {other, SOL_SOCKET, SO_TYPE, buffer, p.m.number(4)});
            const u32 ends = p.m.space(8);
            p.socket_call(SYS_socketpair, 8, {AF_UNIX, SOCK_STREAM, 0, ends});
            std::array<s32, 2> pair{};
            std::memcpy(pair.data(), LowMemory::pointer(ends), sizeof pair);
            p.call(SYS_sendto, {static_cast<u64>(pair[0]), buffer, 30}, 102,
                   {9, p.m.arguments({low(static_cast<u64>(pair[0])), buffer, 30, 0})});  // send
            p.call(SYS_recvfrom, {static_cast<u64>(pair[1]), buffer, 40}, 102,
                   {10, p.m.arguments({low(static_cast<u64>(pair[1])), buffer, 40, 0})});  // recv
            p.socket_call(SYS_shutdown, 13, {static_cast<u64>(pair[0]), SHUT_WR});
        });
    ::close(server);
    ::close(client);
    EXPECT_EQ(std::ranges::count_if(rows, [](const Json& row) { return row.at("bytes") == 12; }), 4);
    EXPECT_EQ(std::ranges::count_if(rows, [](const Json& row) { return row.at("bytes") == 17; }), 4);
}

TRACED_TEST_F(Rows32, OfLibaio) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(8192, 'x'));
    const std::vector<Json> rows =
        expect_same_rows("aio",
                         [&](const Program& p) {
                             iocb block{};
                             block.aio_fildes = static_cast<u32>(::open(path.c_str(), O_RDWR));
                             block.aio_lio_opcode = IOCB_CMD_PREAD;
                             block.aio_buf = p.m.space(4096);
                             block.aio_nbytes = 100;
                             block.aio_offset = (5LL << 32) + 7;
                             const u32 one = p.m.bytes(&block, sizeof block);
                             block.aio_lio_opcode = IOCB_CMD_PREADV;
                             block.aio_buf = p.m.words({p.m.space(64), 40, p.m.space(64), 24});
                             block.aio_nbytes = 2;
                             block.aio_offset = 4096;
                             const u32 two = p.m.bytes(&block, sizeof block);
                             block.aio_fildes = 999;  // refused
                             const u32 three = p.m.bytes(&block, sizeof block);
                             const u32 context = p.m.space(8);
                             if (p.same(SYS_io_setup, 245, {4, context}) != 0) ::_exit(2);
                             const u64 id = p.m.word(context);
                             if (p.same(SYS_io_submit, 248, {id, 3, p.m.words({one, two, three})}) != 2) ::_exit(3);
                             if (p.same(SYS_io_getevents, 247, {id, 2, 2, p.m.space(2 * sizeof(io_event)), 0}) != 2)
                                 ::_exit(4);
                         },
                         {});
    EXPECT_EQ(values_of(rows, "requested"), (std::vector<std::string>{"100", "64"}));
    EXPECT_EQ(values_of(rows, "result"), (std::vector<std::string>{"0", "64"}));
}

/// x32: the calls have rows even if the kernel refuses them.
TRACED_TEST_F(Rows32, OfX32) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, "x");
    LowMemory memory;
    memory.reset(true);
    const u32 iov = memory.words({memory.space(64), 40, memory.space(64), 24});
    const std::vector<Json> rows = rows_of("write,writev,preadv,io_setup", [&] {
        constexpr long x32 = 0x40000000;
        const int fd = ::open(path.c_str(), O_RDWR);
        ::syscall(x32 | SYS_write, fd, iov, 3);
        ::syscall(x32 | 516, fd, iov, 2);
        ::syscall(x32 | 534, fd, iov, 2, 5, 0);
        ::syscall(x32 | 543, 0, 0);
    });
    using Values = std::vector<std::string>;
    EXPECT_EQ(values_of(rows, "call"), (Values{"\"write\"", "\"writev\"", "\"preadv\"", "\"io_setup\""}));
    EXPECT_EQ(values_of(rows, "requested"), (Values{"3", "64", "64", "null"}));
    EXPECT_EQ(rows.at(0).at("kind"), "file");
}

}  // namespace
}  // namespace iolens::test
#endif
