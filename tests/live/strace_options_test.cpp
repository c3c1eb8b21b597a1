// SPDX-License-Identifier: Apache-2.0
// The same program under strace with each of its options: the rows are the same where the log has what they need.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "json.h"
#include "machine.h"
#include "run.h"

namespace iolens::test {
namespace {

/// Calls of each kind, in several processes, with output that looks like lines of strace.
constexpr const char* work =
    "echo hello > f; cat f f > g; dd if=g of=h bs=4 count=2 status=none; echo sub | cat > s; exec 5<f; read x <&5; "
    "exec 5<&-; mkdir d; cd d; echo rel > r; cat r > ../t; cd ..; echo 'a) = 1'; echo 12; printf x; cat < nowhere; "
    "(exec 7>u; echo seven >&7); rm -r d f g h s t u";

/// A row without what differs from run to run, and from one way to show a file to another.
std::string comparable(const Json& row) {
    const std::string call = row.at("call");
    std::string file = row.at("file").is_null() ? "" : row.at("file").get<std::string>();
    file = file.substr(file.rfind('/') + 1);
    if (file.starts_with("pipe")) file = "pipe";
    if (file.starts_with("std")) file = "std";
    const auto text = [&row](const char* name) { return row.at(name).dump(); };
    return call + " " + text("fd") + " " + text("dir") + " " + text("bytes") + " " + text("error") + " " + file;
}

using Rows = std::multiset<std::string>;

class StraceForms : public testing::Test {
protected:
    /// The rows of `work` under strace with these options; `place`: "file", "files" (-ff), or "terminal", where the
    /// program's output is between the lines.
    Rows rows(const std::string& options, const std::string& place) {
        const Scratch scratch;
        const std::string log = scratch.path("log");
        const std::string directory = scratch.path("w");
        const std::string given = place == "terminal" ? "" : "-o " + log;
        const std::string program = "sh -c \"" + std::string(work) + "\"";
        const std::string to = place == "terminal" ? " >" + log + " 2>&1" : " >/dev/null 2>&1";
        shell("mkdir " + directory + "; cd " + directory + "; strace " + options + " " + given + " " + program + to);
        const Result r = run({iolens_path(), "fd", "-i", place == "files" ? log + ".*" : log, "--format", "json",
                              "--columns", "call,fd,dir,bytes,error,file"});
        EXPECT_EQ(r.status, 0) << options << '\n' << r.err;
        EXPECT_EQ(r.err, "") << options << " (" << place << ")";
        Rows all;
        for (const std::string& line : split(r.out, '\n')) {
            if (line.empty()) continue;
            const Json row = Json::parse(line);
            if (row.at("type") == "fd") all.insert(comparable(row));
        }
        return all;
    }

    static void expect_same(const Rows& ours, const Rows& want, const std::string& options) {
        Rows missing;
        Rows extra;
        std::ranges::set_difference(want, ours, std::inserter(missing, missing.end()));
        std::ranges::set_difference(ours, want, std::inserter(extra, extra.end()));
        EXPECT_TRUE(missing.empty()) << options << " lacks " << testing::PrintToString(missing);
        EXPECT_TRUE(extra.empty()) << options << " has also " << testing::PrintToString(extra);
    }
};

TEST_F(StraceForms, HaveTheSameRows) {
    NEEDS(have("strace") && shell("strace -o /dev/null true").status == 0, "strace does not work here");
    if (emulated()) GTEST_SKIP() << "strace's format does not depend on the kernel";
    const Rows plain = rows("-f -tt -T", "file");
    const Rows named = rows("-f -tt -T -yy", "file");
    ASSERT_GT(plain.size(), 60U);
    EXPECT_EQ(plain.size(), named.size());
    int forms = 0;
    for (const char* options : {"-f",
                                "-F",
                                "-f -t",
                                "-f -ttt",
                                "-f -r",
                                "-f -tt -r",
                                "-f -ttt -r -T",
                                "-f -x",
                                "-f -xx",
                                "-f -v",
                                "-f -s 100000",
                                "-f -s 3",
                                "-f -i",
                                "-f -n",
                                "-f -i -n -tt",
                                "-f -C",
                                "-f -q",
                                "-f -qq",
                                "-f -X raw",
                                "-f -X verbose",
                                "-f -X abbrev",
                                "-f -a 1",
                                "-f -a 100",
                                "-f -Y -tt",
                                "-f --decode-pids=all -tt",
                                "-f --absolute-timestamps=unix,ns",
                                "-f --absolute-timestamps=format:unix,precision:s",
                                "-f --absolute-timestamps=time,ms",
                                "-f --relative-timestamps=ns",
                                "-f --relative-timestamps=s",
                                "-f --syscall-times=ns -tt",
                                "-f --syscall-times=s",
                                "-f -e read=all -e write=all",
                                "-f -e signal=none",
                                "-f -D",
                                "-f --seccomp-bpf -tt",
                                "-f -e trace=\\!futex"}) {
        if (shell("strace " + std::string(options) + " -o /dev/null true").status != 0) continue;  // an older strace
        ++forms;
        expect_same(rows(options, "file"), plain, options);
    }
    for (const char* options : {"-f -y", "-f -yy", "-f -xx -yy", "-f --decode-fds=all", "-f -X verbose -yy",
                                "-f -X raw -yy", "-f -I 2 -tt -yy -n -i -T -r"}) {
        if (shell("strace " + std::string(options) + " -o /dev/null true").status != 0) continue;
        ++forms;
        expect_same(rows(options, "file"), named, options);
    }
    for (const char* options : {"-ff -tt -T", "-ff -ttt", "-ff -ttt -T"}) {
        ++forms;
        expect_same(rows(options, "files"), plain, std::string(options) + " -o");
    }
    for (const char* options : {"-f", "-f -tt -T", "-f -r", "-f -X verbose", "-f -i -n"}) {
        ++forms;
        expect_same(rows(options, "terminal"), plain, std::string(options) + " on a terminal");
    }
    EXPECT_GE(forms, 40);
}

}  // namespace
}  // namespace iolens::test
