// SPDX-License-Identifier: Apache-2.0
// iolens inside a pid namespace, and outside of one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "json.h"
#include "machine.h"

namespace iolens::test {
namespace {

class Pidns : public testing::Test {
protected:
    void SetUp() override {
        NEEDS(missing_for_tracing().empty(), missing_for_tracing());
        NEEDS(run(unshare({"true"})).status == 0, "can't make a pid namespace");
    }

    static std::vector<std::string> unshare(std::vector<std::string> command) {
        command.insert(command.begin(), {"unshare", "-pf", "--mount-proc"});
        return command;
    }

    /// Runs a script in a pid namespace, in the scratch directory. It can call iolens, which is killed after a timeout,
    /// and `attached FILE`, which waits until the iolens that writes to FILE with -v is attached.
    [[nodiscard]] Result inside(const std::string& script) const {
        return run(
            unshare({"/bin/sh", "-c",
                     "cd " + scratch.path() + "\n: >err\niolens() { timeout --foreground -s KILL 40 " + iolens_path() +
                         " \"$@\"; }\n"
                         "attached() { n=0; until grep -q 'attached in' $1; do sleep 0.05; n=$((n + 1)); "
                         "[ $n -lt 600 ] || exit 99; done; }\n" +
                         script}),
            std::chrono::seconds(120));
    }
    [[nodiscard]] std::vector<Row> rows(const std::string& name = "rows") const {
        return parse_csv(slurp(scratch.path(name)));
    }
    /// A number that the script wrote.
    [[nodiscard]] std::string said(const std::string& name) const {
        const std::vector<std::string> lines = split(slurp(scratch.path(name)), '\n');
        return lines.empty() ? "" : lines[0];
    }

    Scratch scratch;
};

/// Interrupts the first process of a namespace, the child of unshare: a signal to unshare would end only unshare.
void interrupt_first(const Background& unshare) { shell("pkill -INT -P " + std::to_string(unshare.pid())); }

std::set<std::string> values(const std::vector<Row>& rows, const std::string& column) {
    std::set<std::string> all;
    for (const Row& row : rows) all.insert(row.at(column));
    return all;
}

std::vector<Row> with(const std::vector<Row>& rows, const std::string& column, const std::string& value) {
    std::vector<Row> some;
    std::ranges::copy_if(rows, std::back_inserter(some), [&](const Row& r) { return r.at(column) == value; });
    return some;
}

TRACED_TEST_F(Pidns, ACommandEndsAndHasThePidsOfTheNamespace) {
    const std::string options = " fd --format csv --columns pid,tid,host_pid,comm,call,bytes,file -o ";
    const std::string command = " -- sh -c 'cat /etc/hostname >/dev/null 2>&1 & echo $! >pid; wait $!; exit 7'";
    const Result r = inside("iolens" + options + "rows" + command);
    EXPECT_EQ(r.status, 7) << r.err;
    const std::vector<Row> own_rows = with(rows(), "comm", "cat");
    ASSERT_FALSE(own_rows.empty()) << r.err;
    EXPECT_EQ(values(own_rows, "pid"), std::set{said("pid")});
    EXPECT_EQ(values(own_rows, "tid"), std::set{said("pid")});
    for (const Row& row : rows()) {
        EXPECT_GT(number(row, "pid"), 1U);
        EXPECT_LT(number(row, "pid"), 100U);
        EXPECT_NE(row.at("pid"), row.at("host_pid"));
    }
    // the same rows as outside the namespace
    const Result host = shell("cd " + scratch.path() + "; iolens" + options + "host" + command);
    EXPECT_EQ(host.status, 7) << host.err;
    const auto calls = [](const std::vector<Row>& all) {
        std::multiset<std::tuple<std::string, std::string, std::string, std::string>> set;
        for (const Row& row : all) {
            if (row.at("file").starts_with("pipe:")) continue;
            set.emplace(row.at("comm"), row.at("call"), row.at("file"), row.at("bytes"));
        }
        return set;
    };
    EXPECT_EQ(calls(with(rows("host"), "comm", "cat")), calls(own_rows));
    for (const Row& row : rows("host")) EXPECT_EQ(row.at("pid"), row.at("host_pid"));
}

TRACED_TEST_F(Pidns, AProcessOfTheNamespaceIsFollowedWithItsChildren) {
    const Result r = inside(
        "mkfifo go\n"
        "sh -c 'read x <go; cat /etc/hostname >/dev/null & echo $! >child; wait; exec cat /etc/passwd' >/dev/null & "
        "p=$!; echo $p >pid\n"
        "sh -c 'while :; do cat /etc/group >/dev/null; done' & other=$!\n"
        "iolens fd -p $p -v --format csv --columns pid,host_pid,comm,call,file,arguments -o rows 2>err & t=$!\n"
        "attached err\necho x >go\nwait $t; echo $? >status; kill $other");
    EXPECT_EQ(said("status"), "0") << slurp(scratch.path("err"));
    EXPECT_EQ(values(rows(), "pid"), (std::set{said("pid"), said("child")})) << r.err;
    EXPECT_EQ(values(with(rows(), "file", "/etc/passwd"), "pid"), std::set{said("pid")});
    EXPECT_EQ(values(with(rows(), "file", "/etc/hostname"), "pid"), std::set{said("child")});
    EXPECT_TRUE(with(rows(), "file", "/etc/group").empty());
    // arguments are looked up by other ids than those that are shown
    const std::vector<Row> opens = with(with(rows(), "file", "/etc/passwd"), "call", "openat");
    ASSERT_FALSE(opens.empty());
    EXPECT_NE(opens[0].at("arguments").find("/etc/passwd"), std::string::npos) << opens[0].at("arguments");
}

TRACED_TEST_F(Pidns, FiltersOfBlockAreOfTheNamespace) {
    NEEDS(have("pkill"), "pkill is not installed");
    const LoopDisk disk(64 * mib);
    const std::string write = "dd if=/dev/zero of=" + disk.path() + " bs=4k oflag=direct conv=notrunc count=";
    const auto filtered = [&](const std::string& option) {
        const Result r = inside(
            "rm -f go; mkfifo go\n"
            "sh -c 'read x <go; exec " +
            write +
            "3' 2>/dev/null & p=$!; echo $p >pid\n"
            "iolens block " +
            option + " $p -v -d " + disk.name() +
            " --format csv -o rows 2>err & t=$!\n"
            "attached err\n" +
            write +
            "5 2>/dev/null\necho x >go; wait $p\n"
            "pkill -TERM -P $t; wait $t; echo $? >status");
        EXPECT_EQ(said("status"), "0") << slurp(scratch.path("err"));
        EXPECT_EQ(rows().size(), 3U) << r.err << slurp(scratch.path("err"));
        EXPECT_EQ(values(rows(), "pid"), std::set{said("pid")});
        EXPECT_EQ(values(rows(), "tid"), std::set{said("pid")});
    };
    filtered("-p");
    filtered("--tid");
}

TRACED_TEST_F(Pidns, ATaskOutsideHasNoPidButItsName) {
    const LoopDisk disk(64 * mib);
    Background tracer(unshare(
        {iolens_path(), "block", "-v", "-d", disk.name(), "--count", "5", "--ns", "--format", "csv", "--op", "write"}));
    ASSERT_TRUE(tracer.wait_for_line("attached in")) << tracer.err();
    for (u64 i = 0; i < 5; ++i) direct_io(disk.path(), true, i * 8, 4096);
    const Result r = tracer.stop(0);
    EXPECT_EQ(r.status, 0) << r.err;
    const std::vector<Row> all = parse_csv(r.out);
    EXPECT_EQ(all.size(), 5U);
    EXPECT_EQ(values(all, "pid"), std::set<std::string>{"0"});
    EXPECT_EQ(values(all, "tid"), std::set<std::string>{"0"});
    EXPECT_EQ(values(all, "host_pid"), std::set{std::to_string(::getpid())});
    EXPECT_EQ(values(all, "comm"), std::set{split(slurp("/proc/self/comm"), '\n').at(0)});
}

/// All of them have the same pid, 0.
TRACED_TEST_F(Pidns, TasksOutsideAreDistinguished) {
    NEEDS(have("pkill"), "pkill is not installed");
    spit(scratch.path("file"), std::string(4096, 'x'));
    std::array<int, 2> gate{};
    ASSERT_EQ(::pipe2(gate.data(), O_CLOEXEC), 0);
    const std::array<std::string, 3> names{"out-one", "out-two", "out-three"};
    std::vector<pid_t> children;
    for (const std::string& name : names) {
        children.push_back(::fork());
        if (children.back() != 0) continue;
        ::prctl(PR_SET_NAME, name.c_str());
        ::close(gate[1]);
        const int fd = ::open(scratch.path("file").c_str(), O_RDONLY);
        std::array<char, 16> bytes{};
        static_cast<void>(::read(gate[0], bytes.data(), 1));  // until the gate is closed
        for (int i = 0; i < 50; ++i) static_cast<void>(::pread(fd, bytes.data(), 16, i));
        ::_exit(0);
    }
    ::close(gate[0]);
    Background tracer(unshare({iolens_path(), "fd", "-v", "--op", "pread64,exit_group", "--format", "csv", "--columns",
                               "pid,tid,host_pid,comm,call,file,arguments"}));
    EXPECT_TRUE(tracer.wait_for_line("attached in")) << tracer.err();
    ::close(gate[1]);
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
    EXPECT_TRUE(wait_until([&] {
        const std::vector<Row> all = parse_csv(tracer.out());
        return std::ranges::all_of(names, [&](const std::string& name) {
            return with(with(all, "comm", name), "call", "pread64").size() == 50;
        });
    })) << tracer.out();
    interrupt_first(tracer);
    const Result r = tracer.stop(0);
    const std::vector<Row> reads = with(parse_csv(r.out), "file", scratch.path("file"));
    EXPECT_EQ(reads.size(), 150U);
    for (std::size_t i = 0; i < names.size(); ++i) {
        const std::vector<Row> own_rows = with(reads, "host_pid", std::to_string(children[i]));
        EXPECT_EQ(own_rows.size(), 50U);
        EXPECT_EQ(values(own_rows, "comm"), std::set{names.at(i)});
        EXPECT_EQ(values(own_rows, "pid"), std::set<std::string>{"0"});
    }
}

TRACED_TEST_F(Pidns, TheHostSeesItsOwnPids) {
    const LoopDisk disk(64 * mib);
    const std::string write = "dd if=/dev/zero of=" + disk.path() + " bs=4k oflag=direct conv=notrunc count=3";
    const Traced block = trace({"-d", disk.name(), "--op", "write", "--ns"},
                               [&] { EXPECT_EQ(run(unshare({"sh", "-c", write + " 2>/dev/null"})).status, 0); });
    EXPECT_EQ(block.rows.size(), 3U);
    const Result r =
        run({iolens_path(), "fd", "--format", "csv", "--columns", "pid,tid,host_pid,comm,file", "-o",
             scratch.path("rows"), "--", "unshare", "-pf", "--mount-proc", "sh", "-c", "cat /etc/hostname; exit 5"});
    EXPECT_EQ(r.status, 5) << r.err;
    EXPECT_FALSE(with(rows(), "file", "/etc/hostname").empty());
    std::vector<Row> all = rows();
    all.insert(all.end(), block.rows.begin(), block.rows.end());
    for (const Row& row : all) {
        EXPECT_EQ(row.at("pid"), row.at("host_pid"));
        EXPECT_GT(number(row, "pid"), 10U);  // in the namespace: 1 to 3
    }
}

TRACED_TEST_F(Pidns, ANamespaceBelowIsSeenFromItsUpperOne) {
    const Result r = inside(
        "iolens fd --format csv --columns pid,host_pid,comm,call,file -o rows -- unshare -pf --mount-proc "
        "sh -c 'echo $$ >inner; cat /etc/hostname; exit 9'");
    EXPECT_EQ(r.status, 9) << r.err;
    EXPECT_EQ(said("inner"), "1");
    const std::vector<Row> own_rows = with(rows(), "comm", "cat");
    ASSERT_FALSE(own_rows.empty());
    EXPECT_EQ(values(own_rows, "pid").size(), 1U);
    EXPECT_GT(number(own_rows[0], "pid"), 4U);  // behind sh, timeout, iolens and unshare
    EXPECT_LT(number(own_rows[0], "pid"), 100U);
    for (const Row& row : rows()) EXPECT_NE(row.at("pid"), row.at("host_pid"));
}

TRACED_TEST_F(Pidns, WhyFindsWaitsAndRequests) {
    NEEDS(FileSystem::missing("ext4").empty(), FileSystem::missing("ext4"));
    const FileSystem ext4("ext4");
    const Result r = inside(
        "iolens fd --why --min-ms 0 --op fsync --format csv --columns pid,call,why -o rows -- "
        "dd if=/dev/zero of=" +
        ext4.path("file") + " bs=64k count=4 conv=fsync");
    EXPECT_EQ(r.status, 0) << r.err;
    ASSERT_EQ(rows().size(), 1U);
    const Row row = rows()[0];
    EXPECT_LT(number(row, "pid"), 100U);
    const Json why = parse_json(row.at("why"));
    EXPECT_FALSE(why.at("waits").empty()) << row.at("why");
    bool caused = false;
    for (const Json& request : why.at("requests")) {
        if (!request.at("caused").get<bool>()) continue;
        caused = true;
        EXPECT_EQ(std::to_string(number(request.at("pid"))), row.at("pid"));
    }
    EXPECT_TRUE(caused) << row.at("why");
}

TRACED_TEST_F(Pidns, AuthorsArePidsOfTheNamespace) {
    NEEDS(have("pkill"), "pkill is not installed");
    NEEDS(FileSystem::missing("ext4").empty(), FileSystem::missing("ext4"));
    const FileSystem ext4("ext4");
    const std::string go = scratch.path("go");
    ASSERT_EQ(::mkfifo(go.c_str(), 0600), 0);
    Background tracer(
        unshare({"/bin/sh", "-c",
                 "sh -c 'echo $$ >" + scratch.path("pid") + "; read x <" + go +
                     "; exec dd if=/dev/zero of=" + ext4.path("inside") + " bs=4k count=4' 2>/dev/null & exec " +
                     iolens_path() + " block -A -v -d " + ext4.disk().name() + " --op write --format csv"}));
    EXPECT_TRUE(tracer.wait_for_line("attached in")) << tracer.err();
    spit(go, "go\n");
    EXPECT_TRUE(wait_until([&] { return slurp(ext4.path("inside")).size() == 16384; }));
    spit(ext4.path("outside"), std::string(8192, 'x'));
    ::sync();
    interrupt_first(tracer);
    const Result r = tracer.stop(0);
    const std::vector<Row> all = parse_csv(r.out);
    const std::vector<Row> inner = with(all, "file", ext4.path("inside"));
    ASSERT_FALSE(inner.empty()) << r.err;
    EXPECT_EQ(values(inner, "author_pid"), std::set{said("pid")});
    EXPECT_EQ(values(inner, "author"), std::set<std::string>{"dd"});
    const std::vector<Row> outer = with(all, "file", ext4.path("outside"));
    ASSERT_FALSE(outer.empty()) << r.err;
    EXPECT_EQ(values(outer, "author_pid"), std::set<std::string>{"0"});
    EXPECT_EQ(values(outer, "author"), std::set{split(slurp("/proc/self/comm"), '\n').at(0)});
}

TRACED_TEST_F(Pidns, AccessesToFilesHaveThePidsOfTheNamespace) {
    NEEDS(have("pkill"), "pkill is not installed");
    NEEDS(FileSystem::missing("ext4").empty(), FileSystem::missing("ext4"));
    const FileSystem ext4("ext4");
    const std::string file = ext4.path("file");
    const Result r = inside("touch " + file + "; iolens file -v --ns --format csv -o rows " + file +
                            " 2>err & t=$!\nattached err\n"
                            "dd if=/dev/zero of=" +
                            file +
                            " bs=4k count=4 oflag=direct conv=notrunc 2>/dev/null & echo $! >pid; wait $!\n"
                            "pkill -TERM -P $t; wait $t");
    EXPECT_EQ(r.status, 0) << slurp(scratch.path("err"));
    for (const std::string level : {"VFS", "BLK"}) {
        const std::vector<Row> own_rows = with(with(rows(), "level", level), "comm", "dd");
        EXPECT_EQ(own_rows.size(), 4U) << level;
        EXPECT_EQ(values(own_rows, "pid"), std::set{said("pid")}) << level;
        EXPECT_EQ(values(own_rows, "host_pid").count(said("pid")), 0U) << level;
    }
}

TRACED_TEST_F(Pidns, OperationsAndFunctionsOfLibc) {
    const Result r = inside("iolens fd --domains ALL --libc --ns --format csv -o rows -- sh -c '" + helper() +
                            " libc " + scratch.path() + " >/dev/null 2>&1 & echo $! >pid; wait $!; exit 4'");
    EXPECT_EQ(r.status, 4) << r.err;
    const std::vector<Row> own_rows = with(rows(), "pid", said("pid"));
    const std::vector<Row> starts = with(own_rows, "op", "START");
    ASSERT_FALSE(starts.empty());
    EXPECT_FALSE(with(with(own_rows, "layer", "libc"), "op", "OPEN").empty());
    const std::vector<Row> stops = with(own_rows, "op", "STOP");
    ASSERT_EQ(stops.size(), 1U);
    EXPECT_NE(stops[0].at("arg1").find("iolens-libc-program"), std::string::npos) << stops[0].at("arg1");
    EXPECT_EQ(stops[0].at("arg2"), starts[0].at("arg2"));
    EXPECT_LT(std::stoul(stops[0].at("arg2")), 100U);
    for (const Row& row : rows()) {
        if (row.at("host_pid").empty()) continue;  // rows of the shell, from before its ids were known
        EXPECT_NE(row.at("pid"), row.at("host_pid"));
    }
    EXPECT_EQ(values(rows(), "pid").count("0"), 0U);
}

TRACED_TEST_F(Pidns, AsynchronousRequests) {
    NEEDS(have("fio"), "fio is not installed");
    for (const std::string engine : {"libaio", "io_uring"}) {
        const std::string op = engine == "libaio" ? "aio" : engine;
        const Result r =
            inside("iolens fd --op " + op +
                   " --format csv --columns pid,tid,host_pid,comm,call,bytes -o rows -- fio --name=f --filename=data "
                   "--rw=write --bs=4k --size=128k --thread --output=/dev/null --ioengine=" +
                   engine);
        EXPECT_EQ(r.status, 0) << r.err;
        EXPECT_EQ(rows().size(), 32U) << engine << r.err;
        EXPECT_EQ(values(rows(), "pid").size(), 1U) << engine;
        for (const Row& row : rows()) {
            EXPECT_LT(number(row, "pid"), 100U);
            EXPECT_LT(number(row, "pid"), number(row, "tid"));  // fio's threads
            EXPECT_LT(number(row, "tid"), 100U);
            EXPECT_EQ(row.at("comm"), "fio");
        }
    }
}

TEST_F(Pidns, WithAnotherNamespacesProcItSaysSo) {
    for (const std::string arguments : {"fd -- true", "fd -p 1", "fd -p 99999999"}) {
        const Result r = run({"unshare", "-pf", "sh", "-c", "timeout -s KILL 20 " + iolens_path() + " " + arguments});
        EXPECT_EQ(r.status, arguments.find("--") == std::string::npos ? 3 : 125) << r.err;
        EXPECT_NE(r.err.find("/proc"), std::string::npos) << r.err;
        EXPECT_NE(r.err.find("hint: "), std::string::npos) << r.err;
    }
}

TEST_F(Pidns, TheTableHasTheColumnWhereItIsAskedFor) {
    const LoopDisk disk(64 * mib);
    for (const bool asked : {true, false}) {
        std::vector<std::string> options{"block", "--format", "table", "-d", disk.name(), "--count", "1"};
        if (asked) options.emplace_back("--ns");
        Tracer tracer(options);
        direct_io(disk.path(), true, 0, 4096);
        const Result r = tracer.stop(0);
        EXPECT_EQ(r.status, 0) << r.err;
        EXPECT_EQ(r.out.find("HOSTPID") != std::string::npos, asked) << r.out;
    }
    const Result seed = run({iolens_path(), "fd", "--ns", "--", "true"});
    EXPECT_EQ(seed.status, 125) << seed.err;
}

}  // namespace
}  // namespace iolens::test
