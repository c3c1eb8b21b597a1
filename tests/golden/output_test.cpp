// SPDX-License-Identifier: Apache-2.0
// Where rows and recordings go: what is destroyed, what is whole, what it ends with. With a log, which needs no
// privilege.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include "run.h"

namespace iolens {
namespace {

const std::string recording = IOLENS_SOURCE_DIR "/tests/golden/block.iol";

class Outputs : public testing::Test {
protected:
    /// A log of strace's with so many calls.
    std::string log(int calls) {
        std::string text;
        for (int i = 0; i < calls; ++i) text += "100 12:00:00.000000 read(3</srv/a>, \"\", 4096) = 0 <0.000100>\n";
        test::spit(scratch_.path("log"), text);
        return scratch_.path("log");
    }
    [[nodiscard]] std::string path(const std::string& name) const { return scratch_.path(name); }
    /// Of a shell in the scratch directory.
    test::Result shell(const std::string& line) { return test::shell("cd " + scratch_.path() + " && " + line); }
    void expect_untouched(const std::string& name, const std::string& text, const std::string& line) {
        const test::Result r = shell(line);
        EXPECT_EQ(r.status, 2) << line << '\n' << r.err;
        EXPECT_NE(r.err.find("hint: "), std::string::npos) << line << '\n' << r.err;
        EXPECT_EQ(test::slurp(path(name)), text) << line;
    }

    test::Scratch scratch_;
};

TEST_F(Outputs, AFileThatIsReadIsNotWritten) {
    const std::string bytes = test::slurp(recording);
    test::spit(path("a.iol"), bytes);
    std::filesystem::create_symlink("a.iol", path("link"));
    std::filesystem::create_hard_link(path("a.iol"), path("second"));
    for (const char* line :
         {"iolens replay a.iol -o a.iol", "iolens replay a.iol -o ./link", "iolens replay link -o a.iol",
          "iolens replay a.iol -o second", "iolens replay a.iol >>second", "iolens replay - <a.iol -o a.iol"}) {
        expect_untouched("a.iol", bytes, line);
    }
    const std::string text = test::slurp(log(3));
    for (const char* line : {"iolens fd -i log -o log", "iolens fd -i log --record log", "iolens fd -i log >>log",
                             "iolens fd -i log --record - >>log"}) {
        expect_untouched("log", text, line);
    }
    const test::Result both = shell("iolens fd -i log -o new --record new");
    EXPECT_EQ(both.status, 2) << both.err;
    EXPECT_FALSE(std::filesystem::exists(path("new")));
}

TEST_F(Outputs, AFailureBeforeTheFirstRowDestroysNothing) {
    test::spit(path("rows"), "yesterday's\n");
    test::spit(path("rec"), "yesterday's\n");
    for (const char* line :
         {"iolens block -o rows --record rec -d nosuch", "iolens block -o rows --record rec -c /nosuch",
          "iolens fd -i nosuch -o rows --record rec", "iolens fd -i . -o rows --record rec"}) {
        expect_untouched("rows", "yesterday's\n", line);
        expect_untouched("rec", "yesterday's\n", line);
    }
    EXPECT_EQ(shell("iolens replay log -o rows").status, 1);
    EXPECT_EQ(test::slurp(path("rows")), "yesterday's\n");
    // and leaves nothing
    EXPECT_EQ(shell("iolens fd -i nosuch -o new --record newer").status, 2);
    EXPECT_FALSE(std::filesystem::exists(path("new")));
    EXPECT_FALSE(std::filesystem::exists(path("newer")));
}

TEST_F(Outputs, ARunWithoutRowsEmptiesItsFile) {
    test::spit(path("rows"), "yesterday's\n");
    log(3);
    EXPECT_EQ(shell("iolens fd -i log --format json --op write -o rows").status, 0);
    EXPECT_EQ(test::slurp(path("rows")), "");
}

TEST_F(Outputs, ARecordingIsWholeHoweverTheRowsEnd) {
    log(20000);
    for (const char* line :
         {"iolens fd -i log --record rec | head -1", "iolens fd -i log --record rec -o /dev/full; true",
          "{ iolens fd -i log --record rec >&-; }"}) {
        const test::Result r = shell(line);
        EXPECT_EQ(r.status, 0) << line << r.err;
        const test::Result again = shell("iolens replay --format csv rec | wc -l; iolens replay rec >/dev/null");
        EXPECT_EQ(again.status, 0) << line << again.err;
        // a full device fails at the heading, before the first call
        EXPECT_GT(std::atoi(again.out.c_str()), std::string(line).find("full") == std::string::npos ? 1 : 0) << line;
    }
    // of a recording that is too large, what is there is whole: ulimit's blocks have 512 bytes
    const test::Result full = shell("ulimit -f 1000; iolens fd -i log --record rec -o /dev/null");
    EXPECT_EQ(full.status, 1);
    EXPECT_NE(full.err.find("can't write to rec: File too large"), std::string::npos) << full.err;
    const test::Result again = shell("iolens replay --format csv rec | wc -l; iolens replay rec >/dev/null");
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_GT(std::atoi(again.out.c_str()), 100);
}

TEST_F(Outputs, ARecordingGoesThroughAPipe) {
    log(100);
    const test::Result direct = shell("iolens fd -i log --format csv");
    const test::Result piped = shell("iolens fd -i log --record - | iolens replay --format csv -");
    EXPECT_EQ(piped.status, 0) << piped.err;
    EXPECT_EQ(piped.out, direct.out);
    EXPECT_EQ(test::split(piped.out, '\n').size(), 101U);
    const test::Result command = shell("iolens fd --record - -- true");
    EXPECT_EQ(command.status, 125);
    EXPECT_NE(command.err.find("can't share standard output"), std::string::npos) << command.err;
}

TEST_F(Outputs, AFileThatIsFullHasWholeRows) {
    log(20000);
    for (const char* to : {"-o rows", ">rows", ">>rows"}) {
        test::spit(path("rows"), "");
        const test::Result r = shell(std::string("ulimit -f 100; iolens fd -i log --format csv ") + to);
        EXPECT_EQ(r.status, 1) << to;
        EXPECT_NE(r.err.find("File too large"), std::string::npos) << to << r.err;
        const std::string rows = test::slurp(path("rows"));
        EXPECT_GT(rows.size(), 40000U) << to;
        EXPECT_TRUE(rows.ends_with("\n")) << to << rows.substr(rows.size() - 40);
    }
}

TEST_F(Outputs, ClosedDescriptorsAreNobodysFiles) {
    const test::Result usual = shell("iolens replay --format csv -o usual " + recording);
    EXPECT_EQ(usual.status, 0) << usual.err;
    for (const char* closed : {"<&- >&- 2>&-", "2>&-", ">&-", "<&-"}) {
        EXPECT_EQ(shell("iolens replay --format csv -o rows " + recording + " " + closed).status, 0) << closed;
        EXPECT_EQ(test::slurp(path("rows")), test::slurp(path("usual"))) << closed;
    }
    log(3);
    EXPECT_EQ(shell("iolens fd -i log --record rec >&- 2>&-; iolens replay rec").status, 0);
}

TEST_F(Outputs, WhatCantBeWrittenIsAFailure) {
    for (const char* line : {"--help", "--version", "block --help", "schema", "schema --domains"}) {
        const test::Result r = shell(std::string("iolens ") + line + " >/dev/full");
        EXPECT_EQ(r.status, 1) << line;
        EXPECT_NE(r.err.find("No space left on device"), std::string::npos) << line << r.err;
    }
}

/// iolens with these three descriptors.
pid_t start(const std::vector<std::string>& words, int out, int err) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::dup2(out, 1);
    ::dup2(err, 2);
    std::vector<char*> argv{const_cast<char*>("iolens")};
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execv(test::iolens_path().c_str(), argv.data());
    ::_exit(99);
}

int wait_for(pid_t pid) {
    int status = 0;
    const bool ended = test::wait_until([&] { return ::waitpid(pid, &status, WNOHANG) == pid; });
    if (!ended) ::kill(pid, SIGKILL);
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> some{};
    for (ssize_t n = 0; (n = ::read(fd, some.data(), some.size())) > 0;)
        text.append(some.data(), static_cast<std::size_t>(n));
    return text;
}

TEST_F(Outputs, AnOutputThatDoesntBlockIsWaitedFor) {
    log(5000);
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    const pid_t pid = start({"fd", "-i", path("log"), "--format", "csv"}, ends[1], 2);
    ::close(ends[1]);
    const std::string rows = read_all(ends[0]);
    ::close(ends[0]);
    EXPECT_EQ(wait_for(pid), 0);
    EXPECT_EQ(test::split(rows, '\n').size(), 5001U);
}

TEST_F(Outputs, AnInterruptDoesntWaitForAReader) {
    log(5000);
    for (const int flags : {0, O_NONBLOCK}) {
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        ::fcntl(ends[1], F_SETFL, flags);
        const int errors = ::open(path("err").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        const pid_t pid = start({"fd", "-i", path("log"), "--format", "csv", "--record", path("rec")}, ends[1], errors);
        ::close(ends[1]);
        ::close(errors);
        // it waits when the pipe is full
        int waiting = 0;
        ASSERT_TRUE(test::wait_until([&] { return ::ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting > 60000; }));
        const auto begin = std::chrono::steady_clock::now();
        ::kill(pid, SIGINT);
        EXPECT_EQ(wait_for(pid), 1) << flags;
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1000)) << flags;
        ::close(ends[0]);
        const std::string err = test::slurp(path("err"));
        EXPECT_NE(err.find("not written: nobody reads standard output"), std::string::npos) << err;
        EXPECT_EQ(shell("iolens replay rec >/dev/null").status, 0);
    }
}

TEST_F(Outputs, AnInterruptEndsEndlessInput) {
    for (const char* input : {"/dev/zero", "fifo"}) {
        ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600) == 0 || errno == EEXIST, true);
        const int writer = ::open(path("fifo").c_str(), O_RDWR | O_CLOEXEC);
        const std::string name = *input == '/' ? input : path(input);
        for (const std::vector<std::string>& words :
             {std::vector<std::string>{"fd", "-i", name}, std::vector<std::string>{"replay", name}}) {
            if (words[0] == "replay" && *input == '/') continue;  // no recording: it ends at once
            const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
            const pid_t pid = start(words, null, null);
            ASSERT_TRUE(test::wait_until([&] {  // it has caught the signal
                const std::string status = test::slurp("/proc/" + std::to_string(pid) + "/status");
                const std::size_t at = status.find("SigCgt:");
                return at != std::string::npos && std::stoull(status.substr(at + 8, 17), nullptr, 16) & 2;
            }));
            const auto begin = std::chrono::steady_clock::now();
            ::kill(pid, SIGINT);
            EXPECT_NE(wait_for(pid), -1);
            EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1000)) << name;
            ::close(null);
        }
        ::close(writer);
    }
}

/// A terminal. Programs write to `screen`.
struct Terminal {
    Terminal() : keyboard(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
        if (::grantpt(keyboard) != 0 || ::unlockpt(keyboard) != 0) return;
        screen = ::open(::ptsname(keyboard), O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    ~Terminal() {
        ::close(screen);
        ::close(keyboard);
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    /// What was written since the last call.
    [[nodiscard]] std::string written() const {
        std::string text;
        std::array<char, 4096> piece{};
        pollfd ready{.fd = keyboard, .events = POLLIN, .revents = 0};
        while (::poll(&ready, 1, 0) == 1) {
            const ssize_t size = ::read(keyboard, piece.data(), piece.size());
            if (size <= 0) break;
            text.append(piece.data(), static_cast<std::size_t>(size));
        }
        return text;
    }

    int keyboard;
    int screen = -1;
};

class Progress : public Outputs {
protected:
    static constexpr std::string_view clear = "\r\x1b[K";

    /// Reads a log whose rows nobody takes for a while. With "-o" at the end, they go to a file, and standard output is
    /// the terminal. Returns what is on the terminal.
    std::string of_slow_run(std::vector<std::string> args, const Terminal& terminal, int signal = 0) {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        const bool to_file = std::ranges::find(args, "-o") != args.end();
        if (to_file) args.push_back("/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(ends[1]));
        const pid_t pid = start(args, to_file ? terminal.screen : ends[1], terminal.screen);
        int waiting = 0;
        EXPECT_TRUE(test::wait_until([&] { return ::ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting > 60000; }));
        ::close(ends[1]);
        std::this_thread::sleep_for(std::chrono::milliseconds(600));
        std::string shown;
        std::array<char, 65536> piece{};
        while (::read(ends[0], piece.data(), piece.size()) > 0) {
            shown += terminal.written();
            if (signal != 0 && shown.find("iolens: read ") != std::string::npos) ::kill(pid, std::exchange(signal, 0));
        }
        ::close(ends[0]);
        EXPECT_NE(wait_for(pid), -1);
        return shown + terminal.written();
    }
    /// What remains on the screen: of each line, what follows the last erasure.
    static std::string left(const std::string& written) {
        std::string text;
        for (std::size_t at = 0; at < written.size();) {
            const std::size_t end = std::min(written.find('\n', at), written.size());
            std::string line = written.substr(at, end - at);
            if (const std::size_t cleared = line.rfind(clear); cleared != std::string::npos) {
                line = line.substr(cleared + clear.size());
            }
            std::erase(line, '\r');
            if (!line.empty()) (text += line) += '\n';
            at = end + 1;
        }
        return text;
    }
};

TEST_F(Progress, IsShownOnATerminalAndErased) {
    const std::string calls = test::slurp(log(20000));
    test::spit(path("log"), calls + "100 12:00:01.000000 damaged(\n");
    const Terminal terminal;
    ASSERT_GE(terminal.screen, 0);
    const std::string shown = of_slow_run({"fd", "-i", path("log")}, terminal);
    EXPECT_NE(shown.find(std::string(clear) + "iolens: read "), std::string::npos) << shown;
    EXPECT_NE(shown.find("% of the log, "), std::string::npos) << shown;
    const std::string after = left(shown);
    EXPECT_TRUE(after.starts_with("iolens: can't read line 20001: ")) << after;
    EXPECT_EQ(after.find("of the log"), std::string::npos) << after;
    EXPECT_NE(after.find("lost 1 line"), std::string::npos) << after;
}

TEST_F(Progress, IsShownIfRowsGoToAFile) {
    log(20000);
    const Terminal terminal;
    ASSERT_GE(terminal.screen, 0);
    const std::string shown = of_slow_run({"fd", "-i", path("log"), "-o"}, terminal);
    EXPECT_NE(shown.find("% of the log, "), std::string::npos) << shown;
    EXPECT_EQ(left(shown).find("of the log"), std::string::npos) << shown;
}

TEST_F(Progress, IsErasedByAnInterrupt) {
    log(200000);
    const Terminal terminal;
    ASSERT_GE(terminal.screen, 0);
    const std::string shown = of_slow_run({"fd", "--summary", "-i", path("log")}, terminal, SIGINT);
    EXPECT_NE(shown.find("% of the log, "), std::string::npos) << shown;
    EXPECT_EQ(left(shown).find("of the log"), std::string::npos) << shown;
    EXPECT_NE(left(shown).find("READS"), std::string::npos) << shown;
}

TEST_F(Progress, OfAPipeHasNoPercentage) {
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
    log(20000);
    const Terminal terminal;
    ASSERT_GE(terminal.screen, 0);
    const test::Background writer({"sh", "-c", "cat " + path("log") + " > " + path("fifo")});
    const std::string shown = of_slow_run({"fd", "-i", path("fifo")}, terminal);
    EXPECT_NE(shown.find("iolens: read "), std::string::npos) << shown;
    EXPECT_EQ(shown.find('%'), std::string::npos) << shown;
    EXPECT_EQ(left(shown).find("iolens: "), std::string::npos) << shown;
}

TEST_F(Progress, IsNotInAFile) {
    log(20000);
    EXPECT_EQ(shell("iolens fd -i log | (sleep 0.7; cat >/dev/null)").err, "");
}

TEST_F(Outputs, JsonIsTheSameWhateverStandardErrorIs) {
    const Terminal terminal;
    const int screen = terminal.screen;
    ASSERT_GE(screen, 0);
    const int rows = ::open(path("rows").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(wait_for(start({"replay", "--format", "json", recording}, rows, screen)), 0);
    EXPECT_EQ(test::slurp(path("rows")), shell("iolens replay --format json " + recording).out);
    ::close(rows);
}

TEST_F(Outputs, AFailureBesideACommandHasAStatusOfItsOwn) {
    EXPECT_EQ(shell("iolens fd --nosuch -- true").status, 125);
    EXPECT_EQ(shell("iolens fd -o /no/such/rows -- true").status, 125);
    EXPECT_EQ(shell("iolens fd -- ").status, 125);
    EXPECT_EQ(shell("iolens fd --record /no/such/rec -- touch started").status, 125);
    EXPECT_FALSE(std::filesystem::exists(path("started")));
    EXPECT_EQ(shell("iolens fd --nosuch").status, 2);
}

}  // namespace
}  // namespace iolens
