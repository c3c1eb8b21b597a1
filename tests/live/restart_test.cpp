// SPDX-License-Identifier: Apache-2.0
// Calls that a signal interrupts: one row each, with what the program got.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <ctime>
#include <string>
#include <vector>

#include "json.h"
#include "machine.h"
#include "rows.h"

namespace iolens::test {
namespace {

class Restarts : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

constexpr useconds_t moment = 100'000;  // µs

/// Sleeps, by a call of which no test expects a row.
void sleep_a_moment() {
    const timespec time{0, moment * 1000};
    ::syscall(SYS_nanosleep, &time, nullptr);
}

/// Runs `later` in a child process, with the process ID of its parent, after a moment.
void meanwhile(const std::function<void(pid_t)>& later) {
    const pid_t parent = ::getpid();
    if (::fork() != 0) return;
    sleep_a_moment();
    later(parent);
    ::_exit(0);
}

void handle(void (*handler)(int), int flags) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = flags;
    ::sigaction(SIGUSR1, &action, nullptr);
}

void does_nothing(int /*signal*/) {}
void reads_and_writes(int /*signal*/) {
    const int saved = errno;
    std::array<int, 2> ends{};
    std::array<char, 2> bytes{};
    static_cast<void>(::pipe(ends.data()));
    static_cast<void>(::write(ends[1], "ab", 2));
    static_cast<void>(::read(ends[0], bytes.data(), 2));
    ::close(ends[0]);
    ::close(ends[1]);
    errno = saved;
}

/// A read of a pipe while a signal arrives, and a byte later.
void read_through_a_signal(int signal) {
    std::array<int, 2> ends{};
    static_cast<void>(::pipe(ends.data()));
    meanwhile([&](pid_t reader) {
        ::kill(reader, signal);
        sleep_a_moment();
        if (signal == SIGSTOP) ::kill(reader, SIGCONT);
        sleep_a_moment();
        static_cast<void>(::write(ends[1], "x", 1));
    });
    char byte = 0;
    static_cast<void>(::read(ends[0], &byte, 1));
    ::wait(nullptr);
}

/// Error and bytes of the reads.
Values reads_of(const std::function<void()>& work) {
    Values found;
    for (const Json& row : rows_of("read", work)) {
        if (row.at("kind") == "pipe") found.push_back(row.at("error").dump() + " " + row.at("bytes").dump());
    }
    return found;
}

TRACED_TEST_F(Restarts, AReadIsOneRowWithWhatTheProgramGot) {
    for (const char* probe : {"", "plain", "perf"}) {
        if (probe == std::string("perf") && !kernel_is_since(7, 0)) continue;
        ::setenv("IOLENS_PROBE", probe, 1);
        const Values found = reads_of([] {
            read_through_a_signal(SIGSTOP);
            for (void (*const handler)(int) : {does_nothing, reads_and_writes}) {
                for (const int flags : {SA_RESTART, 0}) {
                    handle(handler, flags);
                    read_through_a_signal(SIGUSR1);
                }
            }
        });
        ::unsetenv("IOLENS_PROBE");
        EXPECT_EQ(found, (Values{"null 1",                                          // stopped
                                 "null 1", "\"EINTR\" null",                        // does nothing
                                 "null 2", "null 1", "null 2", "\"EINTR\" null"}))  // makes the same call
            << probe;
    }
}

/// Its duration is from the first start to the end.
TRACED_TEST_F(Restarts, ARestartedReadBeganAtItsFirstStart) {
    for (const Json& row : rows_of("read", [] {
             handle(does_nothing, SA_RESTART);
             read_through_a_signal(SIGUSR1);
         })) {
        if (row.at("kind") == "pipe") {
            EXPECT_GE(number(row.at("duration_ns")), 2 * u64{moment} * 1000);
        }
    }
}

sigjmp_buf back;  // NOLINT: for a signal handler
void jumps(int /*signal*/) { ::siglongjmp(back, 1); }

/// A handler that jumps out leaves the interrupted call without a result, and later calls are not mistaken for it.
TRACED_TEST_F(Restarts, AJumpOutOfAHandlerLosesNothing) {
    const Values reads = reads_of([] {
        handle(jumps, SA_RESTART);
        for (int i = 0; i < 2; ++i) {
            if (sigsetjmp(back, 1) == 0) read_through_a_signal(SIGUSR1);
        }
        while (::wait(nullptr) > 0) {
        }
        handle(does_nothing, SA_RESTART);
        read_through_a_signal(SIGUSR1);
    });
    ASSERT_EQ(reads.size(), 3U);
    EXPECT_EQ(std::ranges::count(reads, "null 1"), 1);
}

TRACED_TEST_F(Restarts, ASleepAndAPollAreOneRow) {
    const auto sleeps = [](int signal) {
        meanwhile([=](pid_t sleeper) {
            ::kill(sleeper, signal);
            sleep_a_moment();
            ::kill(sleeper, SIGCONT);
            if (signal == SIGSTOP) sleep_a_moment();
        });
        timespec time{0, 500'000'000};
        ::syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, nullptr);
        ::wait(nullptr);
        meanwhile([=](pid_t sleeper) {
            ::kill(sleeper, signal);
            sleep_a_moment();
            ::kill(sleeper, SIGCONT);
        });
        static_cast<void>(::poll(nullptr, 0, 500));
        ::wait(nullptr);
    };
    const auto rows = [&](int signal, int flags) {
        Values found;
        for (const Json& row : rows_of("clock_nanosleep,poll,ppoll,restart_syscall", [&] {
                 handle(does_nothing, flags);
                 sleeps(signal);
             })) {
            found.push_back(row.at("call").dump() + row.at("error").dump());
        }
        return found;
    };
    const auto count = [](const Values& values, const std::string& word) {
        return std::ranges::count_if(values, [&](const std::string& v) { return v.find(word) != std::string::npos; });
    };
    const Values stopped = rows(SIGSTOP, 0);
    EXPECT_EQ(count(stopped, "restart_syscall"), 0) << testing::PrintToString(stopped);
    EXPECT_EQ(count(stopped, "EINTR"), 0) << testing::PrintToString(stopped);
    const Values handled = rows(SIGUSR1, SA_RESTART);
    EXPECT_EQ(count(handled, "restart_syscall"), 0) << testing::PrintToString(handled);
    EXPECT_EQ(count(handled, "EINTR"), 2) << testing::PrintToString(handled);
}

}  // namespace
}  // namespace iolens::test
