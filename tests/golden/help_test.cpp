// SPDX-License-Identifier: Apache-2.0
// --help of every command.
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "run.h"

namespace iolens {
namespace {

const std::vector<std::string> commands{
    "",         "block",       "fd",          "file",      "replay",     "doctor",     "schema",         "file serve",
    "file add", "file remove", "file status", "file list", "file start", "file reset", "file timereset", "file stop",
    "file log", "file profile"};

std::size_t columns_of(const std::string& line) {
    return static_cast<std::size_t>(
        std::ranges::count_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// What a command prints on a terminal of this width.
std::string on_terminal(const std::string& command, unsigned short columns) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = columns;
    int fd = -1;
    const std::string all = "PATH=$(dirname " + test::iolens_path() + "):$PATH; " + command;
    const pid_t pid = ::forkpty(&fd, nullptr, nullptr, &size);
    if (pid == 0) {
        ::execl("/bin/sh", "sh", "-c", all.c_str(), nullptr);
        ::_exit(127);
    }
    std::string text;
    std::array<char, 4096> piece{};
    for (ssize_t n = 0; (n = ::read(fd, piece.data(), piece.size())) > 0;) {
        text.append(piece.data(), static_cast<std::size_t>(n));
    }
    ::close(fd);
    ::waitpid(pid, nullptr, 0);
    std::erase(text, '\r');
    return text;
}

std::size_t widest_line(const std::string& text) {
    std::size_t widest = 0;
    for (const std::string& line : test::split(text, '\n')) widest = std::max(widest, columns_of(line));
    return widest;
}

TEST(Help, FitsTheTerminal) {
    for (const std::string& command : commands) {
        const std::string line = "iolens " + command + " --help";
        const test::Result piped = test::shell(line);
        EXPECT_EQ(piped.status, 0) << line;
        EXPECT_EQ(piped.err, "") << line;
        EXPECT_LE(widest_line(piped.out), 80U) << piped.out;
        EXPECT_EQ(on_terminal(line, 80), piped.out);
        EXPECT_LE(widest_line(on_terminal(line, 60)), 60U) << line;
        EXPECT_LE(widest_line(on_terminal(line, 10)), 40U) << line;
        EXPECT_EQ(on_terminal(line, 0), piped.out);  // a terminal that does not know its size
    }
}

TEST(Help, EndsWithExamplesOfTheCommand) {
    for (const std::string& command : commands) {
        const std::string text = test::shell("iolens " + command + " --help").out;
        const std::size_t examples = text.find("\nExamples:\n");
        ASSERT_NE(examples, std::string::npos) << text;
        EXPECT_GT(examples, text.find("--help"));
        EXPECT_NE(text.find("iolens " + command, examples), std::string::npos) << text;
    }
}

TEST(Help, ShowsOnlyOptionsThatTheCommandHas) {
    const auto shows = [](const std::string& command, const std::string& option) {
        return test::shell("iolens " + command + " --help").out.find(option) != std::string::npos;
    };
    EXPECT_TRUE(shows("block", "--interval"));
    EXPECT_TRUE(shows("fd", "--summary[=open]"));
    for (const char* lens : {"fd", "file"}) {
        EXPECT_FALSE(shows(lens, "--interval")) << lens;
        const test::Result r = test::shell(std::string("iolens ") + lens + " --interval 1 x");
        EXPECT_EQ(r.status, 2) << lens;
        EXPECT_NE(r.err.find("unknown option '--interval'"), std::string::npos) << r.err;
    }
    for (const char* lens : {"block", "file"}) EXPECT_FALSE(shows(lens, "=open")) << lens;
}

}  // namespace
}  // namespace iolens
