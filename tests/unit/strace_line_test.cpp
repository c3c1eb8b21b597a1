// SPDX-License-Identifier: Apache-2.0
#include "import/strace_line.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "import/strace_value.h"

namespace iolens {
namespace {

constexpr u64 second = 1'000'000'000;
constexpr u64 hour = 3600 * second;

/// Parses a line that must be a complete call.
LoggedCall call_of(std::string_view line) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take(line, call), LineKind::call) << line;
    return call;
}

LineKind kind_of(std::string_view line) {
    StraceLines lines;
    LoggedCall call;
    const LineKind kind = lines.take(line, call);
    lines.end();
    return lines.abandoned() ? LineKind::unreadable : kind;
}

std::vector<std::string> arguments_of(std::string_view line) {
    const LoggedCall call = call_of(line);
    return {call.arguments.begin(), call.arguments.end()};
}

TEST(StraceLine, IsParsed) {
    const LoggedCall call = call_of("1234 11:22:33.000456 read(3</etc/hosts>, \"a, (b\", 4096) = 6 <0.000012>");
    EXPECT_EQ(call.tid, 1234U);
    EXPECT_EQ(call.clock, LogClock::microseconds);
    EXPECT_EQ(call.start_ns, 11 * hour + 22 * 60 * second + 33 * second + 456'000);
    EXPECT_EQ(call.name, "read");
    EXPECT_EQ(call.all_arguments, "3</etc/hosts>, \"a, (b\", 4096");
    ASSERT_EQ(call.arguments.size(), 3U);
    EXPECT_EQ(call.argument(1), "\"a, (b\"");
    EXPECT_EQ(call.argument(2), "4096");
    EXPECT_EQ(call.argument(3), "");
    EXPECT_TRUE(call.has_result);
    EXPECT_EQ(call.result, 6);
    EXPECT_EQ(call.error, 0);
    EXPECT_EQ(call.duration_ns, 12'000U);
}

TEST(StraceLine, ParsesTheTimeFormatOfEachOption) {
    EXPECT_EQ(call_of("close(3) = 0").clock, LogClock::none);
    EXPECT_EQ(call_of("close(3) = 0").start_ns, 0U);
    const LoggedCall seconds = call_of("23:59:60 close(3) = 0");
    EXPECT_EQ(seconds.clock, LogClock::seconds);
    EXPECT_EQ(seconds.start_ns, 24 * hour);
    const LoggedCall epoch = call_of("7 1700000000.123456789 close(3) = 0");
    EXPECT_EQ(epoch.clock, LogClock::epoch);
    EXPECT_EQ(epoch.tid, 7U);
    EXPECT_EQ(epoch.start_ns, 1'700'000'000 * second + 123'456'789);
    for (const char* line : {"24:00:00 close(3) = 0", "11:60:00 close(3) = 0", "11:22 close(3) = 0",
                             "11:22:33close(3) = 0", "99999999999.5 close(3) = 0"}) {
        EXPECT_EQ(kind_of(line), LineKind::unreadable) << line;
    }
}

TEST(StraceLine, TimesContinueAfterMidnight) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("23:59:59 close(3) = 0", call), LineKind::call);
    EXPECT_EQ(lines.take("00:00:01 close(4) = 0", call), LineKind::call);
    EXPECT_EQ(call.start_ns, 24 * hour + second);
    // another thread's line that was written slightly late
    EXPECT_EQ(lines.take("00:00:00 close(5) = 0", call), LineKind::call);
    EXPECT_EQ(call.start_ns, 24 * hour);
}

TEST(StraceLine, ParsesEveryFormOfResult) {
    const LoggedCall failed = call_of("open(\"/x\", O_RDONLY) = -1 ENOENT (No such file or directory) <0.5>");
    EXPECT_EQ(failed.result, -1);
    EXPECT_EQ(failed.error, ENOENT);
    EXPECT_EQ(failed.duration_ns, second / 2);
    EXPECT_EQ(call_of("read(3, \"\", 1) = -1 EWOULDBLOCK (x)").error, EAGAIN);
    EXPECT_EQ(call_of("x(1) = -1 ESTRANGE (x)").error, 0);
    EXPECT_EQ(call_of("x(1) = -1").result, -1);

    EXPECT_EQ(call_of("mmap(NULL, 1) = 0x7f0000001000").result, 0x7f0000001000);
    EXPECT_EQ(call_of("umask(022) = 022").result, 18);
    EXPECT_EQ(call_of("open(\"/x\", O_RDONLY)    = 3</x>").result_file, "/x");
    EXPECT_EQ(call_of("open(\"/x\", O_RDONLY) = 3</x> <0.000001>").duration_ns, 1000U);

    const LoggedCall gone = call_of("exit_group(0) = ?");
    EXPECT_FALSE(gone.has_result);
    EXPECT_EQ(gone.error, 0);
    const LoggedCall restarted = call_of("read(0, 0x1, 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)");
    EXPECT_FALSE(restarted.has_result);
    EXPECT_EQ(restarted.error, 512);

    for (const char* line : {"close(3)", "close(3) =", "close(3) = x", "close(3) 0"}) {
        EXPECT_EQ(kind_of(line), LineKind::unreadable) << line;
    }
}

TEST(StraceLine, ArgumentsAreSplitAtTheOuterCommas) {
    using Arguments = std::vector<std::string>;
    EXPECT_EQ(arguments_of("getpid() = 1"), Arguments{});
    EXPECT_EQ(arguments_of("f( 1 ,2) = 0"), (Arguments{"1", "2"}));
    EXPECT_EQ(arguments_of(R"(f({a=[1, 2], b={c, d}}, ~[A B], "x\"),\\", (1, 2)) = 0)"),
              (Arguments{"{a=[1, 2], b={c, d}}", "~[A B]", R"("x\"),\\")", "(1, 2)"}));
    EXPECT_EQ(arguments_of("f(1<<3, 4) = 0"), (Arguments{"1<<3", "4"}));
    EXPECT_EQ(arguments_of("f(0x1 /* 2 vars, (x */, 3) = 0"), (Arguments{"0x1 /* 2 vars, (x */", "3"}));
    EXPECT_EQ(arguments_of("f(\"abc\"..., 3) = 0"), (Arguments{"\"abc\"...", "3"}));
}

TEST(StraceLine, PathsShownForFdsMayContainAnyCharacter) {
    using Arguments = std::vector<std::string>;
    for (const char* file : {"/a, b)", "/a[b", "/a]b", "/a[b-", "/dev/null<char 1:3>", "TCP:[127.0.0.1:1->127.0.0.1:2]",
                             "/a\\76b", R"(UNIX-STREAM:[1->2,"/run/a)>"])", R"(/a[\"b)", R"(/a\\)"}) {
        const std::string fd = "3<" + std::string(file) + ">";
        EXPECT_EQ(arguments_of("read(" + fd + ", \"x\", 5) = 1 <0.000001>"), (Arguments{fd, "\"x\"", "5"})) << file;
        EXPECT_EQ(file_behind_fd(fd), file);
        EXPECT_EQ(call_of("dup(1) = " + fd).result_file, file);
    }
    EXPECT_EQ(arguments_of("openat(AT_FDCWD</a, b>, \"x\") = 3"), (Arguments{"AT_FDCWD</a, b>", "\"x\""}));
}

TEST(StraceLine, DamagedCallsAreUnreadable) {
    for (const char* line :
         {"read", "read(", "read(3", "(3) = 0", "read(3, \"x) = 0", "read(3, \"x\\", "read(3</x, 4) = 0", "read(3] = 0",
          "f(/* x) = 0", "[pid x] f() = 0", "[pid 1 f() = 0", "[pid 4294967296] f() = 0", "= 0", "\x01\xff"}) {
        EXPECT_EQ(kind_of(line), LineKind::unreadable) << line;
    }
    // a line can be cut anywhere
    const std::string whole =
        R"([pid 12] 11:22:33.5 sendmsg(3<TCP:[1->2]>, {msg_iov=[{"a\0", 2}], x=1 /* y */}, 0) = 2 <0.000001>)";
    for (std::size_t length = 0; length < whole.size(); ++length) kind_of(whole.substr(0, length));
    EXPECT_EQ(kind_of(whole), LineKind::call);
}

TEST(StraceLine, LongAndDeepArgumentsAreBounded) {
    const std::string text(1 << 20, 'x');
    EXPECT_EQ(call_of("write(1, \"" + text + "\", 5) = 5").argument(1).size(), text.size() + 2);
    EXPECT_EQ(kind_of("f(" + std::string(64, '[') + std::string(64, ']') + ") = 0"), LineKind::call);
    EXPECT_EQ(kind_of("f(" + std::string(65, '[') + std::string(65, ']') + ") = 0"), LineKind::unreadable);
    EXPECT_EQ(kind_of("f(" + std::string(1 << 20, '{')), LineKind::unreadable);
}

TEST(StraceLine, CommentsAreNotCalls) {
    for (const char* line : {"", "   ", "\r", "strace: Process 12 attached", "Process 12 detached",
                             "--- SIGCHLD {si_signo=SIGCHLD} ---", "12 --- SIGINT {} ---", "+++ superseded +++"}) {
        EXPECT_EQ(kind_of(line), LineKind::comment) << line;
    }
    EXPECT_EQ(kind_of("12 +++ exited with 0 +++"), LineKind::ended);
    EXPECT_EQ(kind_of("12 11:22:33 +++ killed by SIGKILL +++"), LineKind::ended);
}

TEST(StraceLines, InterruptedCallsAreJoinedPerThread) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("1 10.5 read(3,  <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(call.tid, 1U);
    EXPECT_EQ(call.name, "read");
    EXPECT_EQ(lines.take("2 10.6 write(4, <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.unfinished(), 2U);
    EXPECT_EQ(lines.take("1 11.0 <... read resumed>\"abc\", 5) = 3 <0.5>", call), LineKind::call);
    EXPECT_EQ(call.tid, 1U);
    EXPECT_EQ(call.start_ns, 10 * second + second / 2);
    EXPECT_EQ(call.all_arguments, "3, \"abc\", 5");
    EXPECT_EQ(call.result, 3);
    EXPECT_EQ(lines.take("2 11.1 <... write resumed> \"x\", 1) = 1", call), LineKind::call);
    EXPECT_EQ(call.argument(1), "\"x\"");
    EXPECT_EQ(lines.unfinished(), 0U);
}

TEST(StraceLines, AResumedCallNeedsItsFirstPart) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("1 <... read resumed>\"abc\", 5) = 3", call), LineKind::headless);
    EXPECT_EQ(lines.take("1 <unfinished ...>", call), LineKind::unreadable);
    EXPECT_EQ(lines.take("1 read(3, <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.take("1 <... write resumed>\"abc\", 5) = 3", call), LineKind::unreadable);
    EXPECT_EQ(lines.take("1 <... read", call), LineKind::unreadable);
    EXPECT_EQ(lines.take("2 <... read resumed>\"abc\", 5) = 3", call), LineKind::headless);
    EXPECT_EQ(lines.take("1 <... read resumed>\"abc\", 5) = 3", call), LineKind::call);
}

TEST(StraceLines, AThreadThatEndsHasNoUnfinishedCall) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("1 exit_group(0 <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.take("1 +++ exited with 0 +++", call), LineKind::ended);
    EXPECT_EQ(lines.unfinished(), 0U);
}

/// On a terminal, strace omits the pid while there is only one process.
TEST(StraceLines, ATerminalNamesTheMainProcessLater) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("close(3) = 0", call), LineKind::call);
    EXPECT_EQ(call.tid, 0U);
    EXPECT_EQ(lines.take("read(4, <unfinished ...>", call), LineKind::begun);
    // the message interrupts the line
    EXPECT_EQ(lines.take("clone(flags=SIGCHLDstrace: Process 31 attached", call), LineKind::comment);
    EXPECT_EQ(lines.take(", child_tidptr=0x1) = 31", call), LineKind::call);
    EXPECT_EQ(call.all_arguments, "flags=SIGCHLD, child_tidptr=0x1");
    EXPECT_EQ(lines.take("[pid    31] close(3) = 0", call), LineKind::call);
    EXPECT_EQ(lines.main_tid(), 0U);
    EXPECT_EQ(lines.take("[pid    30] <... read resumed>\"\", 1) = 0", call), LineKind::call);
    EXPECT_EQ(lines.main_tid(), 30U);
    EXPECT_EQ(call.tid, 30U);
    // only the child is left
    EXPECT_EQ(lines.take("[pid    30] +++ exited with 0 +++", call), LineKind::ended);
    EXPECT_EQ(lines.take("close(4) = 0", call), LineKind::call);
    EXPECT_EQ(call.tid, 31U);
}

TEST(StraceLines, AChildThatHasEndedIsNotTheMainProcess) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("wait4(-1, strace: Process 31 attached", call), LineKind::comment);
    EXPECT_EQ(lines.take("strace: Process 32 attached", call), LineKind::comment);
    EXPECT_EQ(lines.take(" <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.take("[pid    32] close(3) = 0", call), LineKind::call);
    EXPECT_EQ(lines.take("[pid    32] +++ exited with 0 +++", call), LineKind::ended);
    EXPECT_EQ(lines.take("[pid    30] <... wait4 resumed>NULL, 0, NULL) = 32", call), LineKind::call);
    EXPECT_EQ(call.tid, 30U);
    EXPECT_EQ(lines.main_tid(), 30U);
}

TEST(StraceLines, ChildrenAreKnownWithoutMessagesOfStrace) {
    for (const char* first : {"clone(flags=SIGCHLD) = 31", "clone(flags=SIGCHLD) = 2 /* 31 in strace's PID NS */",
                              "wait4(-1,  <unfinished ...>"}) {
        StraceLines lines;
        LoggedCall call;
        lines.take(first, call);
        EXPECT_EQ(lines.take("[pid    31] close(3) = 0", call), LineKind::call);
        EXPECT_EQ(lines.main_tid(), 0U) << first;
        EXPECT_EQ(lines.take("[pid    30] +++ exited with 0 +++", call), LineKind::ended);
        EXPECT_EQ(lines.main_tid(), 30U) << first;
        EXPECT_EQ(lines.take("close(4) = 0", call), LineKind::call);
        EXPECT_EQ(call.tid, 31U) << first;
    }
}

/// Every prefix that strace's options make.
TEST(StraceLine, EachPrefixIsRead) {
    struct Form {
        const char* prefix;
        u32 tid;
        LogClock clock;
        u64 ns;
    };
    constexpr u64 at = 10 * hour;
    for (const Form& form : {Form{"", 0, LogClock::none, 0},
                             {"7 ", 7, LogClock::none, 0},
                             {"7     ", 7, LogClock::none, 0},
                             {"[pid     7] ", 7, LogClock::none, 0},
                             {"7<cat> ", 7, LogClock::none, 0},
                             {"7<my app> 10:00:00 ", 7, LogClock::seconds, at},
                             {"[pid 7<a b>] 10:00:00.5 ", 7, LogClock::microseconds, at + second / 2},
                             {"7 10:00:00.000000001 ", 7, LogClock::microseconds, at + 1},
                             {"7 1700000000 ", 7, LogClock::epoch, 1'700'000'000 * second},
                             {"1700000000 ", 0, LogClock::epoch, 1'700'000'000 * second},
                             {"1700000000.5 ", 0, LogClock::epoch, 1'700'000'000 * second + second / 2},
                             {"     0.250000 ", 0, LogClock::relative, second / 4},
                             {"     3 ", 0, LogClock::relative, 3 * second},
                             {"7      0.250000 ", 7, LogClock::relative, second / 4},
                             {"7 10:00:00 (+     0.000120) ", 7, LogClock::seconds, at},
                             {"1700000000.5 (+ 1.000120) ", 0, LogClock::epoch, 1'700'000'000 * second + second / 2},
                             {"7 10:00:00 (+     2) ", 7, LogClock::seconds, at},
                             {"7 10:00:00 [ 257] ", 7, LogClock::seconds, at},
                             {"7 [00007f2b3c4d5e6f] ", 7, LogClock::none, 0},
                             {"[????????????????] ", 0, LogClock::none, 0},
                             {"7 10:00:00 [ 257] [00007f2b3c4d5e6f] ", 7, LogClock::seconds, at},
                             {"run.7:", 7, LogClock::none, 0},
                             {"/tmp/a.b/run.7:10:00:00 ", 7, LogClock::seconds, at},
                             {"run.7:1700000000.5 ", 7, LogClock::epoch, 1'700'000'000 * second + second / 2}}) {
        const std::string line = std::string(form.prefix) + "close(3) = 0";
        const LoggedCall call = call_of(line);
        EXPECT_EQ(call.tid, form.tid) << form.prefix;
        EXPECT_EQ(call.clock, form.clock) << form.prefix;
        EXPECT_EQ(call.start_ns, form.ns) << form.prefix;
        EXPECT_EQ(call.name, "close") << form.prefix;
    }
    EXPECT_EQ(call_of("7<my app> close(3) = 0").comm, "my app");
}

TEST(StraceLine, RelativeTimesAreAddedUp) {
    StraceLines lines;
    LoggedCall call;
    lines.take("     0.000000 close(3) = 0", call);
    lines.take("     0.500000 close(3) = 0", call);
    lines.take("a program's output", call);
    lines.take("     0.250000 --- SIGCHLD {} ---", call);
    EXPECT_EQ(lines.take("     0.250000 close(3) = 0", call), LineKind::call);
    EXPECT_EQ(call.start_ns, second);
}

TEST(StraceLine, DurationsHaveAnyPrecision) {
    EXPECT_EQ(call_of("close(3) = 0 <0.000000012>").duration_ns, 12U);
    EXPECT_EQ(call_of("close(3) = 0 <0.012>").duration_ns, 12'000'000U);
    EXPECT_EQ(call_of("close(3) = 0 <2>").duration_ns, 2 * second);
    EXPECT_FALSE(call_of("close(3) = 0").duration_ns);
}

TEST(StraceLine, ResultsAreKeptAsTheyArePrinted) {
    EXPECT_EQ(call_of("brk(NULL) = 0x55d0c0de0000").result_text, "0x55d0c0de0000");
    EXPECT_EQ(call_of("umask(022) = 002").result_text, "002");
    EXPECT_EQ(call_of("open(\"/x\", O_RDONLY) = 3</x y> <0.1>").result_text, "3");
    EXPECT_EQ(call_of("exit_group(0) = ?").result_text, "?");
    EXPECT_EQ(call_of("select(4, [3], NULL, NULL, NULL) = 1 (in [3])").result_text, "1");
    const LoggedCall raw = call_of("read(0x9, 0x7ffd, 0x1) = -0x9");
    EXPECT_EQ(raw.error, 9);
    EXPECT_EQ(raw.result, -1);
    EXPECT_EQ(call_of("ioctl(3, 1) = -1 errno 524 (Unknown error 524)").error, 524);
    EXPECT_EQ(call_of("read(3, \"x\", 1) = 1 (DELAYED)").result, 1);
    EXPECT_FALSE(call_of("read(3, <unavailable>, 1) = ? <unavailable>").has_result);
}

TEST(StraceLine, NamesOfArgumentsAreLeftOut) {
    using Arguments = std::vector<std::string>;
    EXPECT_EQ(arguments_of("read(fd=3, buf=\"a=b\", count=1) = 1"), (Arguments{"3", "\"a=b\"", "1"}));
    EXPECT_EQ(arguments_of("clone3({flags=SIGCHLD}, 88) = 2"), (Arguments{"{flags=SIGCHLD}", "88"}));
}

/// Stacks, dumps, tables and what strace says are no calls, and nothing is lost.
TEST(StraceLine, WhatIsBesideCallsIsAComment) {
    StraceLines lines;
    LoggedCall call;
    for (const char* line : {" > /lib/libc.so.6(__open64+0x45) [0xf8a45]",
                             " > unexpected_backtracing_error [0x0]",
                             " > /a(b) [0x1] x.c:12",
                             " | 00000  68 65 6c 6c 6f 20 77 6f  72 6c 64 2c 20 67 6f 6f  hello world, goo |",
                             " * 5 bytes in buffer 0",
                             " = 2 buffers in vector 0",
                             "[ Process PID=12 runs in 32 bit mode. ]",
                             "Process 12 attached with 3 threads",
                             "Process 12 attached (waiting for parent)",
                             "Process 12 resumed (parent 11 ready)",
                             "Process 12 suspended",
                             "strace: Process 12 attached",
                             "7 +++ superseded by execve in pid 8 +++",
                             "[pid 7] --- stopped by SIGTTOU ---",
                             "% time     seconds  usecs/call     calls    errors syscall",
                             "------ ----------- ----------- --------- --------- ----------------",
                             " 60.00    0.000030          30         1           openat",
                             "------ ----------- ----------- --------- --------- ----------------",
                             "100.00    0.000050          25         2           total",
                             "System call usage summary for 'i386' mode:",
                             "calls syscall",
                             "----- -----",
                             "    2 read",
                             "----- -----",
                             "    2 total"}) {
        EXPECT_EQ(lines.take(line, call), LineKind::comment) << line;
    }
    EXPECT_EQ(lines.take("7 close(3) = 0", call), LineKind::call);
    EXPECT_EQ(lines.take("close", call), LineKind::unreadable);
}

TEST(StraceLines, PartsAreJoinedAsStracePrintsAWholeCall) {
    for (const auto& [first, rest, whole] :
         {std::array{"pipe2( <unfinished ...>", "<... pipe2 resumed>[3, 5], 0) = 0", "[3, 5], 0"},
          std::array{"clone(flags=SIGCHLD <unfinished ...>", "<... clone resumed>, child_tidptr=0x1) = 2",
                     "flags=SIGCHLD, child_tidptr=0x1"},
          std::array{"close(3 <unfinished ...>", "<... close resumed>) = 0", "3"},
          std::array{"read(3, <unfinished ...>", "<... read resumed> \"x\", 1) = 1", "3, \"x\", 1"},
          std::array{"getpeername(3, {}, [128 <unfinished ...>", "<... getpeername resumed> => 16]) = 0",
                     "3, {}, [128 => 16]"},
          std::array{"futex(0x1, 2, NULL <unfinished ...>", "<... futex resumed> <unfinished ...>) = ?",
                     "0x1, 2, NULL"}}) {
        StraceLines lines;
        LoggedCall call;
        EXPECT_EQ(lines.take(first, call), LineKind::begun) << first;
        EXPECT_EQ(lines.take(rest, call), LineKind::call) << rest;
        EXPECT_EQ(call.all_arguments, whole);
    }
}

TEST(StraceLines, ACallsRestMayFollowWithoutItsName) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("7 futex(0x1, FUTEX_WAKE_PRIVATE, 1 <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.take(")                       = 1", call), LineKind::call);
    EXPECT_EQ(call.tid, 7U);
    EXPECT_EQ(call.result, 1);
    EXPECT_EQ(lines.take(")                       = 1", call), LineKind::unreadable);
}

TEST(StraceLines, ADetachedCallHasNoEnd) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("7 read(0,  <detached ...>", call), LineKind::detached);
    EXPECT_EQ(lines.take("8 read(0,  <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.take("8 <... read resumed> <detached ...>", call), LineKind::detached);
    EXPECT_EQ(lines.take("read(0, ^Cstrace: Process 12345 detached", call), LineKind::comment);
    EXPECT_EQ(lines.take(" <detached ...>", call), LineKind::detached);
    EXPECT_EQ(lines.unfinished(), 3U);
}

TEST(StraceLines, AThreadThatExecutesHasAnotherPid) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("100 futex(0x1, <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.take("101 execve(\"/x\", [\"x\"], 0x1 <pid changed to 100 ...>", call), LineKind::begun);
    EXPECT_EQ(lines.moved_to(), 100U);
    EXPECT_EQ(lines.take("100 +++ superseded by execve in pid 101 +++", call), LineKind::comment);
    EXPECT_EQ(lines.take("100 <... execve resumed>) = 0", call), LineKind::call);
    EXPECT_EQ(call.name, "execve");
    EXPECT_EQ(call.tid, 100U);
}

/// What programs print is in the middle of lines on a terminal.
TEST(StraceLines, OutputInsideOfAWriteIsLeftOut) {
    struct Case {
        std::vector<const char*> lines;
        s64 result;
        const char* arguments;
    };
    for (const Case& c : {
             Case{{"write(1, \"hello\\n\", 6hello", ")                  = 6"}, 6, "1, \"hello\\n\", 6"},
             Case{{"write(1, \"hi\", 2hi)   = 2 <0.1>"}, 2, "1, \"hi\", 2"},
             Case{{"write(1, \"a\\nb\\n\", 4a", "b", ")   = 4"}, 4, "1, \"a\\nb\\n\", 4"},
             Case{{"write(1, \"a) = 1\\n\", 7a) = 1", ")   = 7"}, 7, "1, \"a) = 1\\n\", 7"},
             Case{{"write(1, \"12\\n\", 312", ")   = 3"}, 3, "1, \"12\\n\", 3"},
             Case{{"write(1, \"close(3) = 0\\nx\\n\", 15close(3) = 0", "x", ")   = 15"},
                  15,
                  "1, \"close(3) = 0\\nx\\n\", 15"},
             Case{{"write(1, \"long\\nte\"..., 5000long", "text", "more)   = 5000"}, 5000, "1, \"long\\nte\"..., 5000"},
             Case{{"writev(1, [{iov_base=\"a\", iov_len=1}], 1a)   = 1"}, 1, "1, [{iov_base=\"a\", iov_len=1}], 1"},
             Case{{"[pid 7] write(1, \"hello\\r\\n\", 7hello\r", ") = 7"}, 7, "1, \"hello\\r\\n\", 7"},
             Case{{"read(0, typed", "\"typed\\n\", 1024)   = 6"}, 6, "0, \"typed\\n\", 1024"},
         }) {
        StraceLines lines;
        LoggedCall call;
        for (std::size_t i = 0; i < c.lines.size(); ++i) {
            EXPECT_EQ(lines.take(c.lines[i], call), i + 1 == c.lines.size() ? LineKind::call : LineKind::comment)
                << c.lines[i];
        }
        EXPECT_EQ(call.result, c.result) << c.lines[0];
        EXPECT_EQ(call.all_arguments, c.arguments);
    }
}

TEST(StraceLines, ACallThatIsCutAndNotContinuedIsUnreadable) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("close(3) = 0", call), LineKind::call);
    EXPECT_EQ(lines.take("write(1, \"hello\\n\", 6hello", call), LineKind::comment);
    EXPECT_EQ(lines.take("close(4) = 0", call), LineKind::call);
    ASSERT_TRUE(lines.abandoned());
    EXPECT_EQ(lines.abandoned()->line, 2U);
    EXPECT_EQ(lines.take("close(5) = 0", call), LineKind::call);
    EXPECT_FALSE(lines.abandoned());
}

TEST(StraceLines, ALineMayBeCutByAMessageAndByOutput) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("write(1, \"a) = 1\\nb and more\\n\", 18strace: Process 101 attached", call),
              LineKind::comment);
    EXPECT_EQ(lines.take("a) = 1", call), LineKind::comment);
    EXPECT_EQ(lines.take("b and more", call), LineKind::comment);
    EXPECT_EQ(lines.take(")   = 18", call), LineKind::call);
    EXPECT_EQ(call.all_arguments, "1, \"a) = 1\\nb and more\\n\", 18");
}

TEST(StraceLines, OutputWhileAnotherThreadWritesIsNotUnreadable) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("[pid 7] write(1, \"hello\\n\", 6 <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.take("hello", call), LineKind::comment);
    EXPECT_EQ(lines.take("[pid 7] <... write resumed>) = 6", call), LineKind::call);
    EXPECT_EQ(lines.take("hello", call), LineKind::unreadable);
}

TEST(StraceText, NamesInsideOfTextAreNoNames) {
    EXPECT_EQ(sum_of(R"([{iov_base="iov_len=9", iov_len=2}, {iov_base="x", iov_len=3}])", "iov_len="), 5U);
    EXPECT_EQ(member_of(R"({a="b=1", b=2})", "b="), "2}");
    EXPECT_TRUE(has_flag("O_RDONLY|O_CLOEXEC", "CLOEXEC", 0x80000));
    EXPECT_TRUE(has_flag("0x80000", "CLOEXEC", 0x80000));
    EXPECT_FALSE(has_flag("0x400", "CLOEXEC", 0x80000));
    EXPECT_TRUE(has_flag("0x1|0x80000", "CLOEXEC", 0x80000));
    EXPECT_TRUE(has_flag("0x1 /* SOCK_STREAM */|0x80000 /* SOCK_CLOEXEC */", "CLOEXEC", 0x80000));
    EXPECT_EQ(by_name("0x1 /* SOCK_STREAM */|0x80000 /* SOCK_CLOEXEC */"), "SOCK_STREAM");
    EXPECT_EQ(without_comments("0x1 /* SOCK_STREAM */|0x80000 /* SOCK_CLOEXEC */"), "0x1|0x80000");
    EXPECT_EQ(by_name("0x2 /* MSG_PEEK */"), "MSG_PEEK");
    EXPECT_EQ(without_comment("0x2 /* MSG_PEEK */"), "0x2");
}

TEST(StraceText, VectorsHaveTheirBytes) {
    EXPECT_EQ(vector_bytes(R"([{iov_base="ab", iov_len=2}, {iov_base="c"..., iov_len=100}])"), 102U);
    EXPECT_EQ(vector_bytes(R"([{"hello", 5}, {"\n"..., 1}])"), 6U);
    EXPECT_EQ(vector_bytes("[]"), 0U);
    EXPECT_FALSE(vector_bytes("0x7ffd"));
    EXPECT_FALSE(vector_bytes(R"([{iov_base="ab", iov_len=2}, ...])"));
}

TEST(StraceText, ParsesNumbersInEachBase) {
    EXPECT_EQ(leading_number("0"), 0);
    EXPECT_EQ(leading_number("-12, x"), -12);
    EXPECT_EQ(leading_number("0x1fz"), 31);
    EXPECT_EQ(leading_number("0644"), 420);
    EXPECT_EQ(leading_number("0xffffffffffffffff"), -1);
    EXPECT_EQ(leading_number("-9223372036854775808"), INT64_MIN);
    EXPECT_EQ(leading_number("0x"), 0);
    for (const char* text : {"", "-", "x", " 1", "99999999999999999999", "AT_FDCWD"}) {
        EXPECT_FALSE(leading_number(text)) << text;
    }
}

TEST(StraceText, FindsTheEndOfQuotes) {
    EXPECT_EQ(behind_quotes("\"\"", 0), 2U);
    EXPECT_EQ(behind_quotes("x\"a\"b\"", 1), 4U);
    EXPECT_EQ(behind_quotes(R"("a\"b")", 0), 6U);
    EXPECT_EQ(behind_quotes(R"("a\\"b")", 0), 5U);
    EXPECT_EQ(behind_quotes(R"("\\\"")", 0), 6U);
    for (const char* open : {"\"", "\"a", R"("a\")", R"("\\\")"}) {
        EXPECT_EQ(behind_quotes(open, 0), std::string_view::npos) << open;
    }
}

TEST(StraceText, TakesDecimalNumbersOf64Bits) {
    const auto take = [](std::string_view text) {
        const auto n = take_digits(text);
        return std::pair(n, std::string(text));
    };
    EXPECT_EQ(take("12a"), std::pair(std::optional<u64>(12), std::string("a")));
    EXPECT_EQ(take("18446744073709551615 "), std::pair(std::optional(~u64{0}), std::string(" ")));
    EXPECT_EQ(take("000000000000000000000042"), std::pair(std::optional<u64>(42), std::string()));
    for (const char* none : {"", "a", "-1", "18446744073709551616", "99999999999999999999999"}) {
        EXPECT_EQ(take(none), std::pair(std::optional<u64>(), std::string(none)));
    }
}

TEST(StraceText, DecodesEscapes) {
    EXPECT_EQ(unquoted(R"("")"), "");
    EXPECT_EQ(unquoted(R"("a\n\t\"\\b"...)"), "a\n\t\"\\b");
    EXPECT_EQ(unquoted(R"("\0\12\1234\377")"), std::string("\0\n\123"
                                                           "4\377",
                                                           5));
    EXPECT_EQ(unquoted(R"("\x41\x0a\x4")"), "A\n\4");
    EXPECT_EQ(unquoted(R"("\033\e\q")"), "\033\033q");
    for (const char* text : {"", "a", "\"", "\"a", "\"a\\\"", "NULL", "0x7f"}) EXPECT_FALSE(unquoted(text)) << text;
}

TEST(StraceText, AFileFollowsAnFd) {
    EXPECT_EQ(file_behind_fd("3</a>(deleted)"), "/a");
    EXPECT_EQ(file_behind_fd("AT_FDCWD</a>"), "/a");
    EXPECT_EQ(file_behind_fd("3<>"), "");
    for (const char* text : {"", "3", "</a>", "x</a>", "-1</a>", "3</a", "3<"}) EXPECT_EQ(file_behind_fd(text), "");
}

}  // namespace
}  // namespace iolens
