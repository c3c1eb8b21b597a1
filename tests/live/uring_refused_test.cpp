// SPDX-License-Identifier: Apache-2.0
// Requests that the kernel refuses before it submits them. The witness is what the program gets: each completion has
// one row.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/text.h"
#include "machine.h"
#include "uring.h"

namespace iolens::test {
namespace {

constexpr u8 unknown_operation = 200;
constexpr u8 unknown_flag = 1U << 7;
constexpr u16 no_personality = 77;
constexpr u16 no_priority = 7U << 13;
constexpr int no_fd = 999;

class UringRefused : public testing::Test {
protected:
    void SetUp() override {
        NEEDS(missing_for_tracing().empty(), missing_for_tracing());
        NEEDS(Uring().here(), "no io_uring here");
    }

    /// Of a completion or a row: "offset error", or "offset bytes".
    static std::string text_of(u64 offset, s32 result) {
        return std::to_string(offset) + " " + (result < 0 ? std::string(errno_name(-result)) : std::to_string(result));
    }

    /// Runs `work` in a child, which is traced. It takes its completions with take(), and the user_data of each request
    /// is its offset.
    Traced trace_ring(const std::function<void(Uring&)>& work, const std::vector<std::string>& options = {}) {
        const std::string log = scratch_.path("completions");
        const auto in_child = [&] {
            const pid_t child = ::fork();
            if (child == 0) {
                ::alarm(60);
                {
                    Uring ring;
                    work(ring);
                    spit(log, taken_);
                }
                ::_exit(0);
            }
            int status = 0;
            ::waitpid(child, &status, 0);
            EXPECT_EQ(status, 0);
        };
        std::vector<std::string> words{"-v", "-p", std::to_string(::getpid()), "--columns",
                                       "call,fd,offset,requested,result,error,file,end"};
        words.insert(words.end(), options.begin(), options.end());
        Traced traced = trace(words, in_child, "fd");
        std::erase_if(traced.rows, [](const Row& row) { return !row.at("call").starts_with("io_uring:"); });
        EXPECT_EQ(traced.counter("in flight"), 0U) << traced.result.err;
        completions_ = split(slurp(log), '\n');
        return traced;
    }

    void take(Uring& ring, int count) {
        for (int i = 0; i < count; ++i) {
            const io_uring_cqe got = ring.result();
            taken_ += text_of(got.user_data, got.res) + "\n";
        }
    }

    io_uring_sqe& add_read(Uring& ring, int fd) {
        io_uring_sqe& entry = ring.add(IORING_OP_READ, fd);
        entry.addr = reinterpret_cast<u64>(buffer_.data());
        entry.len = 10;
        entry.off = ++number_;
        entry.user_data = number_;
        return entry;
    }

    /// Submits until the kernel has taken `count` requests: some kernels stop at one that they refuse.
    static void submit_all(Uring& ring, u32 count) {
        for (u32 i = 0; i < count; ++i) ring.submit(count, 0);
    }

    /// Expects one row for each completion, with its result, and no loss.
    void expect_a_row_each(const Traced& traced) const {
        std::vector<std::string> rows;
        for (const Row& row : traced.rows) {
            EXPECT_EQ(row.at("end"), "") << traced.result.out;
            rows.push_back(row.at("offset") + " " + (row.at("error").empty() ? row.at("result") : row.at("error")));
        }
        std::vector<std::string> expected = completions_;
        std::ranges::sort(rows);
        std::ranges::sort(expected);
        EXPECT_EQ(rows, expected) << traced.result.out << traced.result.err;
        EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    }

    /// A file of 1000 bytes, open in each child.
    [[nodiscard]] std::string file() const {
        const std::string path = scratch_.path("data");
        spit(path, std::string(1000, 'x'));
        return path;
    }

    std::vector<std::string> completions_;

private:
    Scratch scratch_;
    std::array<char, 16> buffer_{};
    std::string taken_;
    u64 number_ = 0;
};

TRACED_TEST_F(UringRefused, EachHasARow) {
    const std::string path = file();
    int fd = -1;
    const Traced traced = trace_ring(
        [&](Uring& ring) {
            fd = ::open(path.c_str(), O_RDONLY);
            ::dup2(fd, 100);
            const auto submit = [&] {
                ring.submit(1, 1);
                take(ring, 1);
            };
            add_read(ring, 100).flags = unknown_flag;
            submit();
            add_read(ring, 100).personality = no_personality;
            submit();
            add_read(ring, 100).ioprio = no_priority;
            submit();
            add_read(ring, no_fd);
            submit();
            add_read(ring, 100);
            submit();
            io_uring_sqe& fixed = add_read(ring, 3);
            fixed.flags = IOSQE_FIXED_FILE;  // there are none
            submit();
        },
        {"--op", "io_uring"});
    expect_a_row_each(traced);
    ASSERT_EQ(traced.rows.size(), 6U) << traced.result.out;
    for (std::size_t i = 0; i < 6; ++i) {
        const Row& row = traced.rows[i];
        EXPECT_EQ(row.at("call"), "io_uring:read");
        EXPECT_EQ(row.at("requested"), "10");
        EXPECT_EQ(row.at("file"), i == 3 ? "fd=999" : i == 5 ? "" : path) << traced.result.out;
    }
    // before 6.0, the kernel does not keep the fd of a request that it submits
    const bool keeps_fd = kernel_is_since(6, 0);
    const std::array<std::string, 6> fds{"100", "100", "100", "999", keeps_fd ? "100" : "", ""};
    for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(traced.rows[i].at("fd"), fds.at(i)) << i << "\n" << traced.result.out;
    EXPECT_EQ(traced.rows[0].at("error"), "EINVAL");
    EXPECT_EQ(traced.rows[3].at("error"), "EBADF");
    EXPECT_EQ(traced.rows[4].at("result"), "10");
}

/// An operation that the kernel does not know has a row of its own, which --op can select. Those of operations that
/// have no rows, or are not selected, have none.
TRACED_TEST_F(UringRefused, UnknownOperations) {
    for (const std::string selected : {"io_uring", "io_uring:unknown", "io_uring:write"}) {
        const Traced traced = trace_ring(
            [&](Uring& ring) {
                for (const u8 operation : {unknown_operation, u8{IORING_OP_NOP}, u8{255}}) {
                    io_uring_sqe& entry = ring.add(operation, 100);
                    if (operation == IORING_OP_NOP) entry.flags = unknown_flag;
                    ring.submit(1, 1);
                    if (ring.result().res != -EINVAL) ::_exit(3);
                }
            },
            {"--op", selected});
        EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
        ASSERT_EQ(traced.rows.size(), selected == "io_uring:write" ? 0U : 2U) << selected << traced.result.out;
        for (const Row& row : traced.rows) {
            EXPECT_EQ(row.at("call"), "io_uring:unknown");
            EXPECT_EQ(row.at("error"), "EINVAL");
            EXPECT_EQ(row.at("fd"), "");
        }
    }
}

/// Chains with a request that is refused, or that fails later: the others are cancelled.
TRACED_TEST_F(UringRefused, InAChain) {
    const std::string path = file();
    const Traced traced = trace_ring(
        [&](Uring& ring) {
            const int fd = ::open(path.c_str(), O_RDONLY);
            for (int failed = 0; failed < 4; ++failed) {
                for (const bool late : {false, true}) {
                    for (int i = 0; i < 4; ++i) {
                        io_uring_sqe& entry = add_read(ring, late && i == failed ? no_fd : fd);
                        if (i < 3) entry.flags = IOSQE_IO_LINK;
                        if (!late && i == failed) entry.personality = no_personality;
                    }
                    submit_all(ring, 4);
                    take(ring, 4);
                }
            }
        },
        {"--op", "io_uring"});
    ASSERT_EQ(completions_.size(), 32U);
    expect_a_row_each(traced);
    for (const Row& row : traced.rows) {
        EXPECT_EQ(row.at("requested"), "10") << traced.result.out;
        EXPECT_EQ(row.at("file"), row.at("error") == "EBADF" ? "fd=999" : path) << traced.result.out;
    }
}

TRACED_TEST_F(UringRefused, AThousand) {
    const Traced traced = trace_ring(
        [&](Uring& ring) {
            for (int i = 0; i < 1000; i += 8) {
                for (int j = 0; j < 8; ++j) add_read(ring, no_fd).flags = unknown_flag;
                submit_all(ring, 8);
                take(ring, 8);
            }
        },
        {"--op", "io_uring"});
    ASSERT_EQ(completions_.size(), 1000U);
    expect_a_row_each(traced);
}

}  // namespace
}  // namespace iolens::test
