// SPDX-License-Identifier: Apache-2.0
// iolens fd -v beside strace: both trace one run of a program that makes calls of more than a hundred kinds.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <regex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "machine.h"

namespace iolens::test {
namespace {

class Strace : public testing::Test {
protected:
    void SetUp() override {
        NEEDS(missing_for_tracing().empty(), missing_for_tracing());
        NEEDS(have("strace") && shell("strace -o /dev/null true").status == 0, "strace does not work here");
    }
};

using Names = std::set<std::string>;
using FdAndPath = std::pair<std::string, std::string>;

/// A call as one of the two shows it.
struct SeenCall {
    std::string name;
    std::string arguments;
    std::string result{};  // decimal
    std::string error{};
    std::vector<FdAndPath> fds{};
    std::optional<FdAndPath> made{};   // strace: the fd that the call returned
    std::vector<std::string> texts{};  // string arguments
    [[nodiscard]] std::string text() const {
        std::string all = fmt::format("{}({}) = {} {}", name, arguments, result, error);
        for (const auto& [fd, path] : fds) all += fmt::format(" {}<{}>", fd, path);
        if (made) all += fmt::format(" made {}<{}>", made->first, made->second);
        return all;
    }
};

std::vector<std::string> texts_of(const std::string& arguments) {
    static const std::regex text(R"re("((?:[^"\\]|\\.)*)")re");
    std::vector<std::string> all;
    for (auto it = std::sregex_iterator(arguments.begin(), arguments.end(), text); it != std::sregex_iterator(); ++it)
        all.push_back((*it)[1]);
    return all;
}

std::string decimal(const std::string& number) {
    return std::to_string(static_cast<s64>(number.starts_with('-')
                                               ? static_cast<u64>(std::strtoll(number.c_str(), nullptr, 0))
                                               : std::strtoull(number.c_str(), nullptr, 0)));
}

/// How both show a file: sockets have no path.
std::string shown(const std::string& path, bool deleted = false) {
    return path.starts_with("socket:") ? "socket" : deleted ? path + " (deleted)" : path;
}

/// Only the calls after faccessat "begin" and before faccessat "end".
void cut(std::vector<SeenCall>& calls) {
    const auto marks = [&](const std::string& name) {
        return std::ranges::find_if(calls, [&](const SeenCall& call) {
            return call.name == "faccessat" && call.texts == std::vector<std::string>{name};
        });
    };
    calls.erase(marks("end"), calls.end());
    const auto begin = marks("begin");
    calls.erase(calls.begin(), begin == calls.end() ? begin : begin + 1);
}

/// `12 openat(3</tmp>, "file", O_RDONLY) = 4</tmp/file>`. Signals and exits are skipped.
std::vector<SeenCall> calls_of_strace(const std::string& log, Names& tids) {
    static const std::regex line(R"(^([0-9]+) +(\w+)\((.*)\) += (-?\w+)(.*)$)");
    static const std::regex fd(R"(([0-9]+)<([^>]*)>(\(deleted\))?)");
    std::vector<SeenCall> calls;
    for (const std::string& row : split(log, '\n')) {
        std::smatch m;
        if (!std::regex_match(row, m, line)) continue;
        tids.insert(m[1]);
        SeenCall call{.name = m[2], .arguments = m[3], .result = decimal(m[4])};
        call.texts = texts_of(call.arguments);
        for (auto it = std::sregex_iterator(call.arguments.begin(), call.arguments.end(), fd);
             it != std::sregex_iterator(); ++it) {
            call.fds.emplace_back((*it)[1], shown((*it)[2], (*it)[3].matched));
        }
        const std::string rest = m[5];
        std::smatch more;
        const std::string end = m[4].str() + rest;
        if (rest.starts_with('<') && std::regex_search(end, more, fd)) {
            call.made = {more[1], shown(more[2], more[3].matched)};
        } else if (std::regex_search(rest, more, std::regex(R"(^ (E[A-Z0-9]+) \()"))) {
            call.error = more[1];
        }
        calls.push_back(std::move(call));
    }
    cut(calls);
    return calls;
}

/// Rows of one call, such as those of both ends of a pipe, are one call here.
std::vector<SeenCall> calls_of_iolens(const std::string& rows, const Names& tids) {
    std::vector<SeenCall> calls;
    std::string last;
    for (const Row& row : parse_csv(rows)) {
        if (!tids.contains(row.at("tid"))) continue;  // calls of strace itself
        const std::string which = row.at("call") + row.at("time_ns");
        if (which != last || calls.empty()) {
            calls.push_back({.name = row.at("call"),
                             .arguments = row.at("arguments"),
                             .result = decimal(row.at("result")),
                             .error = row.at("error"),
                             .texts = texts_of(row.at("arguments"))});
        }
        last = which;
        const std::string file = row.at("kind") == "socket" ? "socket" : row.at("file");
        if (!row.at("fd").empty()) calls.back().fds.emplace_back(row.at("fd"), file);
    }
    cut(calls);
    return calls;
}

bool has(const SeenCall& call, const FdAndPath& fd) { return std::ranges::find(call.fds, fd) != call.fds.end(); }

/// What differs; "" if nothing.
std::string difference(const SeenCall& theirs, const SeenCall& ours) {
    // texts there are data, results, or in memory
    static const Names data{"read",     "write",       "pread64",   "pwrite64",   "readv",      "writev",
                            "preadv",   "pwritev",     "preadv2",   "pwritev2",   "getdents64", "getdents",
                            "sendto",   "recvfrom",    "sendmsg",   "recvmsg",    "sendmmsg",   "recvmmsg",
                            "vmsplice", "bind",        "connect",   "accept",     "accept4",    "getsockname",
                            "ioctl",    "getpeername", "fgetxattr", "flistxattr", "fstat",      "fstatfs"};
    // the fd is that of a directory if a path follows
    static const std::regex in_directory(R"re(^[0-9]+<[^>]*>, "[^"])re");
    static const Names paths_beside_fds{"inotify_add_watch", "fsetxattr", "fgetxattr", "fremovexattr"};
    if (theirs.name != ours.name && !theirs.name.starts_with("syscall_")) return "call";
    if (theirs.error != ours.error) return "error";
    if (theirs.result != ours.result) return "result";
    if (theirs.name.starts_with("syscall_")) return "";  // unknown to this strace
    if (ours.texts.size() > theirs.texts.size() ||
        !std::ranges::equal(ours.texts, std::span(theirs.texts).first(ours.texts.size())))
        return "texts";
    if (ours.texts.empty() && !theirs.texts.empty() && !data.contains(theirs.name)) return "no texts";
    if (theirs.made) {
        if (has(ours, *theirs.made)) return "";
        if (theirs.name == "fcntl" && has(ours, theirs.fds.at(0))) return "";  // the fd that is copied
        return "new fd";
    }
    if (theirs.fds.empty()) return "";
    const FdAndPath& first = theirs.fds.front();
    const bool beside = paths_beside_fds.contains(theirs.name) || data.contains(theirs.name);
    if (!beside && std::regex_search(theirs.arguments, in_directory)) {
        return ours.arguments.starts_with(first.first + ", \"") ? "" : "directory";
    }
    // no fd was made: the row has none
    static const Names makes{"dup", "dup2", "dup3", "accept", "accept4", "pidfd_getfd", "openat", "openat2"};
    if (makes.contains(theirs.name)) return ours.arguments.starts_with(first.first + ",") ? "" : "argument";
    if (theirs.name == "symlinkat" || theirs.name == "linkat" || theirs.name == "renameat2")
        return "";  // second directory
    return has(ours, first) ? "" : "fd";
}

EXACT_TEST_F(Strace, ShowsTheSameCalls) {
    const Scratch scratch;
    const std::string place = scratch.path("place");
    const std::string log = scratch.path("log");
    const std::string rows = scratch.path("rows");
    std::filesystem::create_directory(place);
    const Result r = run({iolens_path(), "fd",        "-v",
                          "-o",          rows,        "--ring-size",
                          "64",          "--columns", "time_ns,call,tid,fd,result,error,kind,file,arguments",
                          "--",          "strace",    "-f",
                          "-y",          "-s",        "200",
                          "-o",          log,         helper(),
                          "many",        place},
                         std::chrono::seconds(120));
    EXPECT_EQ(r.status, 0) << r.err;
    ASSERT_FALSE(lost(r)) << r.err;
    Names tids;
    const std::vector<SeenCall> theirs = calls_of_strace(slurp(log), tids);
    const std::vector<SeenCall> ours = calls_of_iolens(slurp(rows), tids);
    EXPECT_EQ(theirs.size(), ours.size());
    Names kinds;
    int failed = 0;
    for (std::size_t i = 0; i < std::min(theirs.size(), ours.size()); ++i) {
        const std::string what = difference(theirs[i], ours[i]);
        EXPECT_EQ(what, "") << "strace: " << theirs[i].text() << "\niolens: " << ours[i].text();
        if (what == "call") break;  // the further ones are pairs of different calls
        if (!theirs[i].fds.empty() || theirs[i].made || !theirs[i].texts.empty()) kinds.insert(theirs[i].name);
        failed += theirs[i].error.empty() ? 0 : 1;
    }
#ifdef SYS_open
    constexpr std::size_t expected = 100;
#else
    constexpr std::size_t expected = 80;  // without the older variants
#endif
    EXPECT_GE(kinds.size(), expected);
    EXPECT_GE(failed, 40);
}

}  // namespace
}  // namespace iolens::test
