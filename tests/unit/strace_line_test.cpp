// SPDX-License-Identifier: Apache-2.0
#include "import/strace_line.h"

#include <gtest/gtest.h>

#include <cerrno>

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
    return lines.take(line, call);
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
    EXPECT_EQ(call.all_arguments, "3,  \"abc\", 5");
    EXPECT_EQ(call.result, 3);
    EXPECT_EQ(lines.take("2 11.1 <... write resumed> \"x\", 1) = 1", call), LineKind::call);
    EXPECT_EQ(call.argument(1), "\"x\"");
    EXPECT_EQ(lines.unfinished(), 0U);
}

TEST(StraceLines, AResumedCallNeedsItsFirstPart) {
    StraceLines lines;
    LoggedCall call;
    EXPECT_EQ(lines.take("1 <... read resumed>\"abc\", 5) = 3", call), LineKind::unreadable);
    EXPECT_EQ(lines.take("1 <unfinished ...>", call), LineKind::unreadable);
    EXPECT_EQ(lines.take("1 read(3, <unfinished ...>", call), LineKind::begun);
    EXPECT_EQ(lines.take("1 <... write resumed>\"abc\", 5) = 3", call), LineKind::unreadable);
    EXPECT_EQ(lines.take("1 <... read", call), LineKind::unreadable);
    EXPECT_EQ(lines.take("2 <... read resumed>\"abc\", 5) = 3", call), LineKind::unreadable);
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
