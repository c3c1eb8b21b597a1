// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace iolens::test {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds patience = 60s;  // an emulated machine is slow
constexpr std::chrono::milliseconds step = 5ms;

pid_t spawn(const std::vector<std::string>& command, const std::string& out, const std::string& err) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::signal(SIGPIPE, SIG_DFL);
    ::signal(SIGHUP, SIG_DFL);  // the tests may run under nohup
    const int in = ::open("/dev/null", O_RDONLY);
    const int o = ::open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int e = ::open(err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(in, 0);
    ::dup2(o, 1);
    ::dup2(e, 2);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    ::_exit(127);
}

std::function<void()> look;   // set by WhileWaiting
std::atomic<u64> losses = 0;  // commands may run in several threads

void count_loss(const Result& result) {
    if (result.err.find("iolens: lost ") != std::string::npos) ++losses;
}

/// Checks that the counters printed by iolens add up.
void expect_balanced(const Result& result) {
    static const std::regex sum(
        "seen ([0-9]+), delivered ([0-9]+), filtered ([0-9]+), lost ([0-9]+), in flight ([0-9]+)");
    std::smatch m;
    if (!std::regex_search(result.err, m, sum)) return;
    u64 accounted = 0;
    for (std::size_t i = 2; i < m.size(); ++i) accounted += std::stoull(m[i]);
    EXPECT_EQ(std::stoull(m[1]), accounted) << result.err;
}

/// The exit status, or -1 (and the process is killed) if it takes too long.
int wait_for(pid_t pid, std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > end) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, &status, 0);
            return -1;
        }
        if (look) look();
        std::this_thread::sleep_for(step);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

u64 losses_reported() { return losses; }

WhileWaiting::WhileWaiting(std::function<void()> function) { look = std::move(function); }
WhileWaiting::~WhileWaiting() { look = nullptr; }

std::string iolens_path() {
    const char* named = std::getenv("IOLENS");
    return named != nullptr ? named : IOLENS_BINARY;
}

std::string helper(const std::string& name) {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

Result run(const std::vector<std::string>& command, std::chrono::seconds limit) {
    const Scratch scratch;
    const pid_t pid = spawn(command, scratch.path("out"), scratch.path("err"));
    Result result;
    result.status = wait_for(pid, limit);
    result.out = slurp(scratch.path("out"));
    result.err = slurp(scratch.path("err"));
    count_loss(result);
    return result;
}

Result shell(const std::string& line, std::chrono::seconds limit) {
    return run({"/bin/sh", "-c", "iolens() { " + iolens_path() + " \"$@\"; }; " + line}, limit);
}

bool have(const std::string& command) { return run({"/bin/sh", "-c", "command -v " + command}).status == 0; }

bool wait_until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(step);
    }
    return true;
}

Scratch::Scratch(const std::string& base) {
    const char* named = std::getenv("IOLENS_SCRATCH");
    std::string name = (!base.empty() ? base : named != nullptr ? named : "/var/tmp") + "/iolens-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("can't make " + name);
    path_ = name;
}

Scratch::~Scratch() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
}

std::string slurp(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void spit(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts;
    std::string part;
    std::istringstream stream(text);
    while (std::getline(stream, part, at)) parts.push_back(part);
    if (!text.empty() && text.back() == at && at == ',') parts.emplace_back();
    return parts;
}

std::vector<std::map<std::string, std::string>> parse_csv(const std::string& text) {
    std::vector<std::vector<std::string>> lines;
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c != '"') {
                fields.back() += c;
            } else if (i + 1 < text.size() && text[i + 1] == '"') {
                fields.back() += text[++i];
            } else {
                quoted = false;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',') {
            fields.emplace_back();
        } else if (c == '\n') {
            lines.push_back(std::exchange(fields, std::vector<std::string>(1)));
        } else if (c != '\r') {
            fields.back() += c;
        }
    }
    std::vector<std::map<std::string, std::string>> rows;
    for (std::size_t n = 1; n < lines.size(); ++n) {
        if (lines[n][0] == "#loss") continue;
        std::map<std::string, std::string> row;
        for (std::size_t i = 0; i < lines[0].size() && i < lines[n].size(); ++i) row[lines[0][i]] = lines[n][i];
        rows.push_back(std::move(row));
    }
    return rows;
}

Background::Background(const std::vector<std::string>& command)
    : pid_(spawn(command, scratch_.path("out"), scratch_.path("err"))) {}

Background::~Background() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
}

bool Background::wait_for_output(const std::function<bool()>& condition) const {
    bool there = false;
    const bool waited = wait_until([&] {
        siginfo_t child{};  // WNOWAIT: stop() returns the status
        const bool ended =
            ::waitid(P_PID, static_cast<id_t>(pid_), &child, WEXITED | WNOHANG | WNOWAIT) != 0 || child.si_pid != 0;
        there = condition();
        return there || ended;
    });
    return waited && there;
}

bool Background::wait_for_rows(std::size_t rows) const {
    return wait_for_output([&] { return std::ranges::count(out(), '\n') >= static_cast<std::ptrdiff_t>(rows); });
}

bool Background::wait_for_line(const std::string& text) const {
    return wait_for_output(
        [&] { return err().find(text) != std::string::npos || out().find(text) != std::string::npos; });
}

Result Background::stop(int signal) {
    if (look) look();
    ::kill(pid_, signal);
    Result result;
    result.status = wait_for(pid_, patience);
    pid_ = -1;
    result.out = out();
    result.err = err();
    count_loss(result);
    expect_balanced(result);
    return result;
}

namespace {

std::vector<std::string> verbose_iolens(const std::vector<std::string>& arguments) {
    std::vector<std::string> command{iolens_path()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.emplace_back("-v");
    return command;
}

}  // namespace

Tracer::Tracer(const std::vector<std::string>& arguments) : Background(verbose_iolens(arguments)) {
    if (!wait_for_line("attached in")) throw std::runtime_error("iolens did not attach: " + err());
}

}  // namespace iolens::test
