// SPDX-License-Identifier: Apache-2.0
// Requests of io_uring that are not "one request, one completion, one fd".
#include "uring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "machine.h"

namespace iolens::test {
namespace {

// not in the headers of every machine that builds the tests
constexpr u16 accept_multishot = 1;
constexpr u16 recv_multishot = 2;
constexpr u32 poll_multi = 1;
constexpr u8 read_multishot = 49;
constexpr u16 buffer_group = 7;

class UringRequests : public testing::Test {
protected:
    void SetUp() override {
        NEEDS(missing_for_tracing().empty(), missing_for_tracing());
        NEEDS(Uring().here(), "no io_uring here");
    }
};

/// Runs `work` with a ring in a child, which is traced. Returns the rows of io_uring.
Traced trace_ring(const std::function<void(Uring&)>& work) {
    const auto in_child = [&] {
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(60);
            {
                Uring ring;
                work(ring);
            }
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    };
    Traced traced = trace({"-v", "-p", std::to_string(::getpid()), "--op", "io_uring", "--columns",
                           "call,fd,offset,requested,bytes,result,error,file,end"},
                          in_child, "fd");
    EXPECT_EQ(traced.counter("in flight"), 0U) << traced.result.err;
    std::erase_if(traced.rows, [](const Row& row) { return !row.at("call").starts_with("io_uring:"); });
    return traced;
}

std::vector<std::string> results_of(const Traced& traced, const std::string& call) {
    std::vector<std::string> results;
    for (const Row& row : traced.rows) {
        if (row.at("call") == call) results.push_back(row.at("result"));
    }
    return results;
}

/// Provides eight buffers.
void provide_buffers(Uring& ring) {
    constexpr u32 bytes = 4096;
    constexpr int count = 8;
    static std::array<char, std::size_t{bytes} * count> buffers;
    io_uring_sqe& entry = ring.add(IORING_OP_PROVIDE_BUFFERS, count);
    entry.addr = reinterpret_cast<u64>(buffers.data());
    entry.len = bytes;
    entry.buf_group = buffer_group;
    ring.submit(1, 1);
    if (ring.result().res < 0) ::_exit(3);
}

void receive(Uring& ring, int fd, u64 user_data) {
    io_uring_sqe& entry = ring.add(IORING_OP_RECV, fd);
    entry.ioprio = recv_multishot;
    entry.flags = IOSQE_BUFFER_SELECT;
    entry.buf_group = buffer_group;
    entry.user_data = user_data;
}

void put(int fd, std::size_t bytes) {
    const std::string text(bytes, 'x');
    if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(bytes)) ::_exit(4);
}

/// Ends a request; when the ring is closed, a kernel thread does so at any time after it.
void cancel(Uring& ring, u64 user_data) {
    ring.add(IORING_OP_ASYNC_CANCEL, -1).addr = user_data;
    ring.submit(1, 2);
    ring.result();
    ring.result();
}

/// Each completion of a multishot receive is a row. The last one ends it.
TRACED_TEST_F(UringRequests, MultishotReceive) {
    NEEDS(kernel_is_since(6, 0), "this kernel has no IORING_RECV_MULTISHOT");
    const Traced traced = trace_ring([](Uring& ring) {
        std::array<int, 2> ends{};
        ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data());
        provide_buffers(ring);
        receive(ring, ends[1], 1);
        ring.submit(1, 0);
        for (const std::size_t bytes : {111U, 222U, 333U}) {
            put(ends[0], bytes);
            ring.result();
        }
        ::close(ends[0]);
        if (ring.result().res != 0) ::_exit(5);
    });
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    EXPECT_EQ(results_of(traced, "io_uring:recv"), (std::vector<std::string>{"111", "222", "333", "0"}))
        << traced.result.out;
    for (const Row& row : traced.rows) EXPECT_EQ(row.at("file").substr(0, 5), "unix:") << traced.result.out;
}

/// A multishot accept has a row, with its file, for each new socket.
TRACED_TEST_F(UringRequests, MultishotAccept) {
    NEEDS(kernel_is_since(5, 19), "this kernel has no IORING_ACCEPT_MULTISHOT");
    const Traced traced = trace_ring([](Uring& ring) {
        const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        socklen_t length = sizeof(sa_family_t);
        ::bind(listener, reinterpret_cast<sockaddr*>(&address), length);  // to a name that the kernel chooses
        ::listen(listener, 8);
        length = sizeof address;
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
        ring.add(IORING_OP_ACCEPT, listener).ioprio = accept_multishot;
        ring.submit(1, 0);
        for (int i = 0; i < 3; ++i) {
            const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
            if (::connect(client, reinterpret_cast<sockaddr*>(&address), length) != 0) ::_exit(3);
            if (ring.result().res < 0) ::_exit(4);
        }
        cancel(ring, 0);
    });
    ASSERT_EQ(traced.rows.size(), 4U) << traced.result.out;
    for (const Row& row : traced.rows) {
        EXPECT_EQ(row.at("file").substr(0, 1), "@") << traced.result.out;
        // the last one is cancelled: it has the listener's fd, not that of the third socket
        const bool ended = row.at("error") == "ECANCELED";
        EXPECT_EQ(row.at("fd") == traced.rows[2].at("fd"), &row == &traced.rows[2]) << traced.result.out;
        EXPECT_EQ(row.at("fd") == row.at("result"), !ended) << traced.result.out;
    }
}

/// A multishot poll, and a multishot read of a pipe.
TRACED_TEST_F(UringRequests, MultishotPollAndRead) {
    NEEDS(kernel_is_since(6, 7), "this kernel has no IORING_OP_READ_MULTISHOT");
    const Traced traced = trace_ring([](Uring& ring) {
        std::array<int, 2> polled{};
        std::array<int, 2> read{};
        if (::pipe(polled.data()) != 0 || ::pipe(read.data()) != 0) ::_exit(3);
        provide_buffers(ring);
        io_uring_sqe& poll = ring.add(IORING_OP_POLL_ADD, polled[0]);
        poll.len = poll_multi;
        poll.poll32_events = POLLIN;
        poll.user_data = 1;
        ring.submit(1, 0);
        io_uring_sqe& entry = ring.add(read_multishot, read[0]);
        entry.flags = IOSQE_BUFFER_SELECT;
        entry.buf_group = buffer_group;
        entry.user_data = 2;
        ring.submit(1, 0);
        for (std::size_t i = 1; i <= 3; ++i) {
            put(polled[1], 1);
            ring.result();
            put(read[1], i);
            ring.result();
        }
        cancel(ring, 1);
        cancel(ring, 2);
    });
    const auto ended_well = [&](const std::string& call) {
        return std::ranges::count_if(traced.rows, [&](const Row& row) {
            return row.at("call") == call && row.at("error").empty() && row.at("end").empty();
        });
    };
    EXPECT_EQ(ended_well("io_uring:poll_add"), 3) << traced.result.out;
    EXPECT_EQ(ended_well("io_uring:read_multishot"), 3) << traced.result.out;
}

/// Requests on slots of the ring's file table have the slot's file and no fd.
TRACED_TEST_F(UringRequests, DirectDescriptors) {
    NEEDS(kernel_is_since(5, 19), "this kernel has no IORING_FILE_INDEX_ALLOC");
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1000, 'x'));
    const Traced traced = trace_ring([&](Uring& ring) {
        constexpr u32 slot = 2;
        std::array<int, 4> none{-1, -1, -1, -1};
        std::array<char, 100> buffer{};
        ::syscall(SYS_io_uring_register, ring.fd(), IORING_REGISTER_FILES, none.data(), none.size());
        const auto open = [&](const std::string& what, u32 index) {
            io_uring_sqe& entry = ring.add(IORING_OP_OPENAT, AT_FDCWD);
            entry.addr = reinterpret_cast<u64>(what.c_str());
            entry.file_index = index;
            ring.submit(1, 1);
            return ring.result().res;
        };
        if (open(path, slot + 1) != 0) ::_exit(3);
        io_uring_sqe& read = ring.add(IORING_OP_READ, slot);
        read.flags = IOSQE_FIXED_FILE;
        read.addr = reinterpret_cast<u64>(buffer.data());
        read.len = buffer.size();
        ring.submit(1, 1);
        if (ring.result().res != static_cast<s32>(buffer.size())) ::_exit(4);
        ring.add(IORING_OP_CLOSE, 0).file_index = slot + 1;
        ring.submit(1, 1);
        if (ring.result().res != 0) ::_exit(5);
        if (open(path, ~0U) < 0) ::_exit(6);  // the kernel chooses a slot
        if (open(path + "/none", 0) >= 0) ::_exit(7);
        ring.add(IORING_OP_CLOSE, 0).file_index = 1;  // the slot is empty
        ring.submit(1, 1);
        if (ring.result().res >= 0) ::_exit(8);
    });
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    ASSERT_EQ(traced.rows.size(), 6U) << traced.result.out;
    for (std::size_t i = 0; i < traced.rows.size(); ++i) {
        EXPECT_EQ(traced.rows[i].at("fd"), "") << traced.result.out;
        EXPECT_EQ(traced.rows[i].at("file"), i < 4 ? path : "") << traced.result.out;
        EXPECT_EQ(traced.rows[i].at("error").empty(), i < 4) << traced.result.out;
    }
}

/// Opens a file into slot 2 of a ring's own table, and reads from it. Returns false if this kernel can't (5.15).
bool open_into_slot(Uring& ring, const std::string& path) {
    constexpr u32 slot = 2;
    std::array<int, 4> none{-1, -1, -1, -1};
    std::array<char, 100> buffer{};
    ::syscall(SYS_io_uring_register, ring.fd(), IORING_REGISTER_FILES, none.data(), none.size());
    io_uring_sqe& open = ring.add(IORING_OP_OPENAT, AT_FDCWD);
    open.addr = reinterpret_cast<u64>(path.c_str());
    open.file_index = slot + 1;
    ring.submit(1, 1);
    if (ring.result().res != 0) return false;
    io_uring_sqe& read = ring.add(IORING_OP_READ, slot);
    read.flags = IOSQE_FIXED_FILE;
    read.addr = reinterpret_cast<u64>(buffer.data());
    read.len = buffer.size();
    ring.submit(1, 1);
    return ring.result().res == static_cast<s32>(buffer.size());
}

TRACED_TEST_F(UringRequests, AnOpenIntoASlotHasNoFd) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1000, 'x'));
    {
        Uring ring;
        NEEDS(open_into_slot(ring, path), "this kernel opens no file into a slot");
    }
    const Traced traced = trace_ring([&](Uring& ring) {
        if (!open_into_slot(ring, path)) ::_exit(3);
    });
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    ASSERT_EQ(traced.rows.size(), 2U) << traced.result.out;
    for (const Row& row : traced.rows) {
        EXPECT_EQ(row.at("fd"), "") << traced.result.out;
        EXPECT_EQ(row.at("file"), path) << traced.result.out;
    }
}

/// A request whose success has no completion has the file of its slot, too.
TRACED_TEST_F(UringRequests, SkippedCompletionOfASlot) {
    NEEDS(kernel_is_since(6, 1), "this kernel does not keep the number of a request's slot");
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1 << 16, 'x'));
    const Traced traced = trace_ring([&](Uring& ring) {
        constexpr u8 skip_success = 1U << 6;
        std::array<int, 1> files{::open(path.c_str(), O_RDONLY)};
        ::syscall(SYS_io_uring_register, ring.fd(), IORING_REGISTER_FILES, files.data(), files.size());
        ring.read(0, IOSQE_FIXED_FILE | skip_success, 0);
        ring.read(0, IOSQE_FIXED_FILE, 1);
    });
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    ASSERT_EQ(traced.rows.size(), 2U) << traced.result.out;
    EXPECT_EQ(std::ranges::count(traced.rows, "missed", [](const Row& row) { return row.at("end"); }), 1);
    for (const Row& row : traced.rows) EXPECT_EQ(row.at("file"), path) << traced.result.out;
}

/// Requests without an offset are at the position of the file, and appends at its end, whatever offset they have.
TRACED_TEST_F(UringRequests, OffsetsThatTheKernelChooses) {
    NEEDS(kernel_is_since(5, 18), "this kernel does not pass the request with its completion");
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1000, 'x'));
    const Traced traced = trace_ring([&](Uring& ring) {
        static std::array<char, 100> buffer{};
        const auto move = [&](u8 opcode, int fd, u64 offset, int rw_flags = 0) {
            io_uring_sqe& entry = ring.add(opcode, fd);
            entry.addr = reinterpret_cast<u64>(buffer.data());
            entry.len = buffer.size();
            entry.off = offset;
            entry.rw_flags = static_cast<u32>(rw_flags);
            entry.flags = IOSQE_IO_LINK;  // one after the other
        };
        constexpr u64 position = ~0ULL;
        constexpr int rwf_append = 0x10;
        const int fd = ::open(path.c_str(), O_RDWR);
        const int appends = ::open(path.c_str(), O_WRONLY | O_APPEND);
        ::lseek(fd, 300, SEEK_SET);
        move(IORING_OP_READ, fd, position);
        move(IORING_OP_READ, fd, position);
        move(IORING_OP_READ, fd, 7);
        move(IORING_OP_WRITE, appends, 5);
        move(IORING_OP_WRITE, appends, position);
        move(IORING_OP_WRITE, fd, 5, rwf_append);
        move(IORING_OP_WRITE, fd, 5);
        ring.submit(7, 7);
        for (int i = 0; i < 7; ++i) {
            if (ring.result().res != static_cast<s32>(buffer.size())) ::_exit(3);
        }
    });
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    std::vector<std::string> offsets;
    for (const Row& row : traced.rows) offsets.push_back(row.at("offset"));
    EXPECT_EQ(offsets, (std::vector<std::string>{"300", "400", "7", "1000", "1100", "1200", "5"})) << traced.result.out;
}

/// A splice has a row for each of its two sides.
TRACED_TEST_F(UringRequests, BothSidesOfASplice) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1000, 'x'));
    const Traced traced = trace_ring([&](Uring& ring) {
        constexpr u64 none = ~0ULL;
        constexpr u32 in_fixed = 1U << 31;
        std::array<int, 2> pipe{};
        if (::pipe(pipe.data()) != 0) ::_exit(3);
        std::array<int, 1> files{::open(path.c_str(), O_RDONLY)};
        ::syscall(SYS_io_uring_register, ring.fd(), IORING_REGISTER_FILES, files.data(), files.size());
        for (const bool fixed : {false, true}) {
            io_uring_sqe& entry = ring.add(IORING_OP_SPLICE, pipe[1]);
            entry.off = none;
            entry.splice_off_in = 10;
            entry.splice_fd_in = fixed ? 0 : files[0];
            entry.splice_flags = fixed ? in_fixed : 0;
            entry.len = 100;
            entry.user_data = fixed ? 1 : 2;
            ring.submit(1, 1);
            if (ring.result().res != 100) ::_exit(4);
        }
    });
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    ASSERT_EQ(traced.rows.size(), 4U) << traced.result.out;
    for (const Row& row : traced.rows) {
        EXPECT_EQ(row.at("call"), "io_uring:splice");
        EXPECT_EQ(row.at("bytes"), "100");
        EXPECT_EQ(row.at("requested"), "100");
        const bool reads = row.at("file") == path;
        EXPECT_EQ(row.at("offset"), reads ? "10" : "") << traced.result.out;
        EXPECT_EQ(row.at("file").starts_with("pipe:"), !reads) << traced.result.out;
    }
    EXPECT_EQ(std::ranges::count(traced.rows, path, [](const Row& row) { return row.at("file"); }), 2)
        << traced.result.out;
}

/// If two multishot requests have one user_data, it is unknown which of them a completion is for: it is counted.
TRACED_TEST_F(UringRequests, AmbiguousCompletionsAreCounted) {
    NEEDS(kernel_is_since(6, 0), "this kernel has no IORING_RECV_MULTISHOT");
    const Traced traced = trace_ring([](Uring& ring) {
        std::array<int, 2> one{};
        std::array<int, 2> other{};
        ::socketpair(AF_UNIX, SOCK_STREAM, 0, one.data());
        ::socketpair(AF_UNIX, SOCK_STREAM, 0, other.data());
        provide_buffers(ring);
        receive(ring, one[1], 9);
        receive(ring, other[1], 9);
        ring.submit(2, 0);
        put(other[0], 5);
        ring.result();
        put(one[0], 6);
        ring.result();
        ::close(one[0]);  // ends the first one
        if (ring.result().res != 0) ::_exit(5);
        put(other[0], 7);  // no longer ambiguous
        ring.result();
        ::close(other[0]);
        if (ring.result().res != 0) ::_exit(6);
    });
    EXPECT_EQ(results_of(traced, "io_uring:recv"), (std::vector<std::string>{"0", "7", "0"})) << traced.result.out;
    EXPECT_EQ(traced.counter("lost"), 2U) << traced.result.err;
    EXPECT_NE(traced.result.err.find("2 io_uring completions: several requests in flight with one user_data"),
              std::string::npos)
        << traced.result.err;
}

/// Completions that do not fit in the completion queue (16 entries here) wait in the kernel, which from 6.0 on reports
/// no completion for them: their requests have rows all the same.
TRACED_TEST_F(UringRequests, CompletionsThatDoNotFit) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(4096, 'x'));
    constexpr int fit = 16;
    constexpr int more = 8;  // at most one batch: before 5.18 the kernel then accepts no more
    const Traced traced = trace_ring([&](Uring& ring) {
        const int fd = ::open(path.c_str(), O_RDONLY);
        std::array<char, 4096> buffer{};
        u64 number = 0;
        const auto submit = [&] {
            for (int i = 0; i < 8; ++i) {
                io_uring_sqe& entry = ring.add(IORING_OP_READ, fd);
                entry.user_data = ++number;
                entry.addr = reinterpret_cast<u64>(buffer.data());
                entry.len = buffer.size();
            }
            ring.submit(8, 0);
        };
        const auto take = [&](int count) {
            for (int i = 0; i < count; ++i) {
                if (ring.result().res != 4096) ::_exit(3);
            }
        };
        for (int i = 0; i < fit + more; i += 8) submit();
        take(fit + more);
        submit();
        take(8);
    });
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    EXPECT_EQ(traced.rows.size(), std::size_t{fit + more + 8}) << traced.result.out;
    std::size_t complete = 0;
    for (const Row& row : traced.rows) {
        const bool missed = row.at("end") == "missed";
        EXPECT_EQ(row.at("result"), missed ? "" : "4096") << traced.result.out;
        EXPECT_EQ(row.at("file"), path);
        complete += missed ? 0U : 1U;
    }
    EXPECT_EQ(complete, kernel_is_since(6, 0) ? std::size_t{fit + 8} : traced.rows.size()) << traced.result.out;
}

/// Two reads with one user_data: each result belongs to its file, where the kernel passes the request.
TRACED_TEST_F(UringRequests, EqualUserData) {
    const Traced traced = trace_ring([](Uring& ring) {
        std::array<int, 2> one{};
        std::array<int, 2> other{};
        if (::pipe(one.data()) != 0 || ::pipe(other.data()) != 0) ::_exit(3);
        if (::dup2(one[0], 100) != 100 || ::dup2(other[0], 200) != 200) ::_exit(3);
        ring.read(100, 0, 0);
        ring.read(200, 0, 0);
        put(other[1], 22);
        ring.result();
        put(one[1], 11);
        ring.result();
    });
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    ASSERT_EQ(traced.rows.size(), 2U) << traced.result.out;
    for (const Row& row : traced.rows) {
        if (!kernel_is_since(5, 18)) {
            EXPECT_EQ(row.at("end"), "missed") << traced.result.out;
            EXPECT_EQ(row.at("result"), "") << traced.result.out;
        } else {
            EXPECT_EQ(row.at("fd"), row.at("result") == "22" ? "200" : "100") << traced.result.out;
        }
    }
}

}  // namespace
}  // namespace iolens::test
