// SPDX-License-Identifier: Apache-2.0
// A recording through every sink, compared to the byte. With IOLENS_UPDATE_GOLDEN=1 the expected files are written
// anew: read their difference before you commit it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <span>

#include "run.h"
#include "sample.h"
#include "sink/recorder.h"

namespace iolens {
namespace {

const std::string directory = IOLENS_SOURCE_DIR "/tests/golden/";

struct Case {
    const char* name;
    const char* options;
    const char* environment = "TZ=UTC";
    const char* recording = "block.iol";
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Replay : public testing::TestWithParam<Case> {};

TEST_P(Replay, IsTheSameToTheByte) {
    const Case& c = GetParam();
    const test::Result r = test::shell(std::string("export ") + c.environment + "; iolens replay " + c.options + " " +
                                       directory + c.recording);
    EXPECT_EQ(r.status, 0) << r.err;
    const std::string got = r.out + "--- standard error\n" + r.err;
    const std::string path = directory + c.name + ".txt";
    if (std::getenv("IOLENS_UPDATE_GOLDEN") != nullptr) test::spit(path, got);
    EXPECT_EQ(got, test::slurp(path));
}

INSTANTIATE_TEST_SUITE_P(
    Golden, Replay,
    testing::Values(
        Case{"table", ""}, Case{"table-unfinished", "--unfinished --op write --comm dd"}, Case{"table-verbose", "-v"},
        Case{"table-options", "-Q -P -t"}, Case{"table-author", "-A --op write"},
        Case{"table-no-file", "--no-file --op write"},
        Case{"table-timezone", "-t --no-header --count 2", "TZ=Asia/Kolkata"}, Case{"csv", "--format csv"},
        Case{"csv-columns", "--format csv --columns disk,dev,rwbs,error --no-header"}, Case{"json", "--format json"},
        Case{"json-pattern", "--format json -P --count 3"}, Case{"summary", "--summary -o /dev/null"},
        Case{"group-file", "--summary --group-by file -o /dev/null"},
        Case{"group-author", "--summary --group-by author --top 3 -o /dev/null"},
        Case{"group-disk-json", "--summary --group-by disk --format json --op write,flush -p 1234 --count 9"},
        Case{"summary-json", "--summary --format json --count 1"}, Case{"filter-comm", "--comm dd"},
        Case{"filter-op-disk", "--op write,flush -d nvme0n1"}, Case{"filter-min", "-m 2000"},
        Case{"filter-pid", "-p 99"}, Case{"fd-csv", "", "TZ=UTC", "fd.iol"},
        Case{"fd-table", "--format table", "TZ=UTC", "fd.iol"}, Case{"fd-json", "--format json", "TZ=UTC", "fd.iol"},
        Case{"fd-columns", "--columns call,file,error", "TZ=UTC", "fd.iol"},
        Case{"fd-summary", "--summary --format table -o /dev/null", "TZ=UTC", "fd.iol"},
        Case{"fd-summary-json", "--summary --format json --count 1", "TZ=UTC", "fd.iol"},
        Case{"fd-filter", "--tid 5 --no-header", "TZ=UTC", "fd.iol"},
        Case{"operations", "--domains ALL,HTTP --format metrics", "TZ=UTC", "operations.iol"},
        Case{"operations-metrics-table", "--domains ALL,HTTP --format metrics-table --facility web", "TZ=UTC",
             "operations.iol"},
        Case{"operations-json", "--domains ALL --format json", "TZ=UTC", "operations.iol"},
        Case{"operations-table", "--domains ALL,HTTP --format table -t -v", "TZ=UTC", "operations.iol"},
        Case{"operations-summary", "--domains ALL --summary -o /dev/null", "TZ=UTC", "operations.iol"},
        Case{"operations-op", "--domains ALL --op OPEN,RENAME", "TZ=UTC", "operations.iol"},
        Case{"operations-filter", "--domains ALL --pid 7", "TZ=UTC", "operations.iol"},
        Case{"operations-plain", "--format csv", "TZ=UTC", "operations.iol"},
        Case{"why-table", "--why", "TZ=UTC", "why.iol"},
        Case{"why-json", "--why --format json --columns call,duration_ns,file,why", "TZ=UTC", "why.iol"},
        Case{"why-summary", "--why --summary --format table -o /dev/null", "TZ=UTC", "why.iol"},
        Case{"why-summary-json", "--why --summary --format json -o /dev/null", "TZ=UTC", "why.iol"},
        Case{"why-csv", "--why --format csv --columns call,why --count 1", "TZ=UTC", "why.iol"},
        Case{"why-plain", "--format table", "TZ=UTC", "why.iol"}, Case{"file-table", "", "TZ=UTC", "file.iol"},
        Case{"file-verbose", "-v -t", "TZ=UTC", "file.iol"}, Case{"file-csv", "--format csv", "TZ=UTC", "file.iol"},
        Case{"file-json", "--format json", "TZ=UTC", "file.iol"},
        Case{"file-iotracer", "--format iotracer", "TZ=UTC", "file.iol"},
        Case{"file-summary", "--summary -o /dev/null", "TZ=UTC", "file.iol"},
        Case{"file-summary-json", "--summary --format json --count 1", "TZ=UTC", "file.iol"},
        Case{"file-absolute", "--level blk --absolute", "TZ=UTC", "file.iol"},
        Case{"file-filter", "--op read --level vfs --no-header", "TZ=UTC", "file.iol"}),
    [](const auto& given) {
        std::string name = given.param.name;
        for (char& c : name) c = c == '-' ? '_' : c;
        return name;
    });

/// A log of strace through the fd lens.
class Import : public testing::TestWithParam<Case> {};

TEST_P(Import, IsTheSameToTheByte) {
    const Case& c = GetParam();
    const test::Result r =
        test::shell(std::string("iolens fd ") + c.options + " -i " + directory + "strace/" + c.recording);
    EXPECT_EQ(r.status, 0) << r.err;
    const std::string got = r.out + "--- standard error\n" + r.err;
    const std::string path = directory + "strace/" + c.name + ".txt";
    if (std::getenv("IOLENS_UPDATE_GOLDEN") != nullptr) test::spit(path, got);
    EXPECT_EQ(got, test::slurp(path));
}

INSTANTIATE_TEST_SUITE_P(
    Golden, Import,
    testing::Values(
        Case{"plain", "", "", "plain.log"}, Case{"plain-verbose", "-v", "", "plain.log"},
        Case{"plain-table", "--format table", "", "plain.log"},
        Case{"plain-json", "--format json --op pread64,sendfile", "", "plain.log"},
        Case{"plain-summary", "--summary -o /dev/null", "", "plain.log"}, Case{"long", "-v", "", "long.log"},
        Case{"paths", "", "", "paths.log"}, Case{"seconds", "", "", "seconds.log"},
        Case{"moved",
             "-v --format csv --columns "
             "call,fd,offset,requested,bytes,result,error,flags,file",
             "", "moved.log"},
        Case{"moved-verbose", "-v", "", "moved.log"}, Case{"moved-summary", "--summary -o /dev/null", "", "moved.log"},
        Case{"moved-msync", "--op msync --format csv --columns call,file", "", "moved.log"},
        Case{"moved-failed", "--failed -v --format csv --columns call,error", "", "moved.log"},
        Case{"moved-operation", "--op FILE_READ --not-op pread64 --format csv --columns call", "", "moved.log"}),
    [](const auto& given) {
        std::string name = given.param.name;
        for (char& c : name) c = c == '-' ? '_' : c;
        return name;
    });

/// Logs of each form that strace's options make, and of what is hard to follow in them.
INSTANTIATE_TEST_SUITE_P(
    Forms, Import,
    testing::Values(
        Case{"close-race", "", "", "close-race.log"}, Case{"double-close-guard", "", "", "double-close-guard.log"},
        Case{"terminal-output", "", "", "terminal-output.log"},
        Case{"terminal-output-verbose", "-v", "", "terminal-output.log"}, Case{"two-forks", "", "", "two-forks.log"},
        Case{"relative-time", "", "", "relative-time.log"},
        Case{"clock-and-relative", "", "", "clock-and-relative.log"},
        Case{"pid-with-comm", "", "", "pid-with-comm.log"}, Case{"comm-table", "--format table", "", "comm.log"},
        Case{"comm-json", "--format json --columns comm,uid,cgroup_id,host_pid,tid,call", "", "comm.log"},
        Case{"comm-filter", "--comm cat --format csv --columns comm,call,file", "", "comm.log"},
        Case{"stack", "", "", "stack.log"}, Case{"dump", "", "", "dump.log"},
        Case{"count-table", "", "", "count-table.log"}, Case{"old-attach", "", "", "old-attach.log"},
        Case{"old-attach-verbose", "-v", "", "old-attach.log"}, Case{"detached", "", "", "detached.log"},
        Case{"tmpfile", "", "", "tmpfile.log"}, Case{"dirfd", "", "", "dirfd.log"}, Case{"scm", "", "", "scm.log"},
        Case{"peek", "", "", "peek.log"}, Case{"i386", "", "", "i386.log"}, Case{"raw", "", "", "raw.log"},
        Case{"raw-verbose", "-v", "", "raw.log"}, Case{"argnames", "", "", "argnames.log"},
        Case{"argnames-verbose", "-v", "", "argnames.log"}, Case{"pidns", "", "", "pidns.log"},
        Case{"sysnum-ip", "", "", "sysnum-ip.log"}, Case{"sysnum-ip-verbose", "-v", "", "sysnum-ip.log"},
        Case{"killed", "", "", "killed.log"}, Case{"seconds-epoch", "", "", "seconds-epoch.log"},
        Case{"closed-while-read", "", "", "closed-while-read.log"}, Case{"merged-names", "", "", "merged-names.log"},
        Case{"last-without-pid", "", "", "last-without-pid.log"}, Case{"misc", "", "", "misc.log"},
        Case{"mappings", "", "", "mappings.log"}, Case{"mappings-verbose", "-v", "", "mappings.log"},
        Case{"long-arguments", "", "", "long-arguments.log"},
        Case{"long-arguments-verbose", "-v", "", "long-arguments.log"},
        Case{"dirfd-table", "--format table", "", "dirfd.log"},
        Case{"dirfd-json", "--format json --columns call,fd,file", "", "dirfd.log"},
        Case{"tmpfile-json", "--format json --columns call,fd,file", "", "tmpfile.log"},
        Case{"i386-json", "--format json --columns call,fd,offset,requested,bytes,result,file,peer_port", "",
             "i386.log"},
        Case{"peek-json", "--format json --columns call,requested,bytes,flags", "", "peek.log"},
        Case{"mappings-table", "--format table", "", "mappings.log"},
        Case{"relative-time-json", "--format json --columns time_ns,unix_ns,call", "", "relative-time.log"},
        Case{"two-forks-json", "--format json --columns pid,tid,call,file", "", "two-forks.log"},
        Case{"scm-summary", "--summary -o /dev/null", "", "scm.log"}),
    [](const auto& given) {
        std::string name = given.param.name;
        for (char& c : name) c = c == '-' ? '_' : c;
        return name;
    });

/// The files of strace -ff are one trace.
TEST(GoldenLogs, SeveralFilesAreOneTrace) {
    const std::string rows = "1700000000.204140,0.000452,97074,7,W,10240,\"/srv/out.tar\",\n";
    const std::string first = directory + "strace/ff.97073";
    const std::string second = directory + "strace/ff.97074";
    for (const std::string& given :
         {"-i " + first + " -i " + second, "-i " + second + " -i " + first, "-i '" + directory + "strace/ff.*'"}) {
        const test::Result r = test::shell("iolens fd --no-header " + given);
        EXPECT_EQ(r.out, rows) << given;
        EXPECT_EQ(r.err, "") << given;
    }
}

/// A call in one file can begin before one in another file ends.
TEST(GoldenLogs, CallsOfSeveralFilesOverlap) {
    const test::Scratch scratch;
    test::spit(scratch.path("ff.100"),
               "1700000000.000100 openat(AT_FDCWD, \"/old\", O_RDONLY) = 10 <0.000010>\n"
               "1700000000.000200 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD) = 101 "
               "<0.000050>\n"
               "1700000000.000310 close(10) = 0 <0.000020>\n");
    test::spit(scratch.path("ff.102"), "1700000000.000300 openat(AT_FDCWD, \"/other\", O_RDONLY) = 10 <0.000020>\n");
    test::spit(scratch.path("ff.101"),
               "1700000000.000300 openat(AT_FDCWD, \"/new\", O_RDONLY) = 10 <0.000020>\n"
               "1700000000.000400 write(10, \"hello\", 5) = 5 <0.000010>\n");
    const test::Result r = test::shell("iolens fd --no-header -i '" + scratch.path("ff.*") + "'");
    EXPECT_EQ(r.out, "1700000000.000400,0.000010,101,10,W,5,\"/new\",\n") << r.err;
}

TEST(GoldenLogs, CompressedLogsAndStandardInputAreRead) {
    const test::Scratch scratch;
    const std::string log = directory + "strace/plain.log";
    const std::string rows = test::shell("iolens fd -i " + log).out;
    ASSERT_GT(std::ranges::count(rows, '\n'), 20);
    EXPECT_EQ(test::shell("iolens fd -i - < " + log).out, rows);
    EXPECT_EQ(test::shell("cat " + log + " | iolens fd -i -").out, rows);
    for (const char* tool : {"gzip", "xz", "zstd"}) {
        if (!test::have(tool)) continue;
        const std::string file = scratch.path(std::string("log.") + tool);
        ASSERT_EQ(test::shell(std::string(tool) + " -c " + log + " > " + file).status, 0);
        EXPECT_EQ(test::shell("iolens fd -i " + file).out, rows) << tool;
        // two of them, one behind the other
        const std::string twice = file + ".twice";
        ASSERT_EQ(test::shell("cat " + file + " " + file + " > " + twice).status, 0);
        EXPECT_GT(test::shell("iolens fd -i " + twice).out.size(), rows.size() * 3 / 2) << tool;
        const std::string bytes = test::slurp(file);
        for (const std::size_t size : {std::size_t{7}, bytes.size() / 2, bytes.size() - 1}) {
            test::spit(twice, bytes.substr(0, size));
            const test::Result cut = test::shell("iolens fd -i " + twice);
            EXPECT_EQ(cut.status, 1) << tool << ' ' << size;
            EXPECT_NE(cut.err.find("can't decompress"), std::string::npos) << cut.err;
        }
    }
}

TEST(GoldenLogs, AFileThatIsNoLogIsAFailure) {
    const test::Scratch scratch;
    test::spit(scratch.path("text"), "Dear diary,\ntoday I traced nothing.\n");
    const test::Result r = test::shell("iolens fd -i " + scratch.path("text"));
    EXPECT_EQ(r.status, 1) << r.err;
    EXPECT_NE(r.err.find("hint: make the log with 'strace -f -tt -T -yy -o FILE'"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("can't read line 2: today"), std::string::npos) << r.err;
}

TEST(GoldenRecording, IsWhatTheSampleWrites) {
    const test::Scratch scratch;
    for (const auto& [name, write] :
         {std::pair{"block.iol", &test::write_sample}, std::pair{"fd.iol", &test::write_fd_sample},
          std::pair{"why.iol", &test::write_why_sample}, std::pair{"operations.iol", &test::write_operations_sample},
          std::pair{"file.iol", &test::write_file_sample}}) {
        if (std::getenv("IOLENS_UPDATE_GOLDEN") != nullptr) write(directory + name);
        write(scratch.path("again"));
        EXPECT_EQ(test::slurp(scratch.path("again")), test::slurp(directory + name)) << name;
    }
}

/// This machine has other disks with the same numbers.
TEST(GoldenRecording, OnlyTheRecordingNamesItsDisks) {
    std::string number;  // "7:0"
    for (const auto& disk : std::filesystem::directory_iterator("/sys/dev/block")) number = disk.path().filename();
    if (number.empty()) GTEST_SKIP() << "this machine has no disk";
    const auto major = static_cast<u32>(std::stoul(number));
    const auto minor = static_cast<u32>(std::stoul(number.substr(number.find(':') + 1)));
    const test::Scratch scratch;
    const auto replayed = [&](bool named, const std::string& options) {
        Recorder recorder(scratch.path("other.iol"));
        recorder.begin("block", "6.1.0-test", 0);
        const auto put = [&](const auto& record) { recorder.record(std::as_bytes(std::span(&record, 1))); };
        if (named) put(test::disk_fact(major, minor, "elsewhere"));
        iolens_block_event e = test::block_event(1000, "dd", IOLENS_OP_READ, 8, 512);
        e.dev = major << 20 | minor;
        e.target.kind = IOLENS_TARGET_RAW;
        e.target.id.dev = e.dev;
        put(e);
        recorder.finish();
        return test::shell("iolens replay --no-header --format csv --columns disk,file " + options + " " +
                           scratch.path("other.iol"))
            .out;
    };
    EXPECT_EQ(replayed(true, ""), "elsewhere,[raw elsewhere]\r\n");
    EXPECT_EQ(replayed(false, ""), number + ",[raw " + number + "]\r\n");
    EXPECT_EQ(replayed(false, "-d " + number), number + ",[raw " + number + "]\r\n");
}

TEST(GoldenRecording, ACutOneIsShownUpToTheDamageAndFails) {
    const test::Scratch scratch;
    const std::string whole = test::slurp(directory + "block.iol");
    test::spit(scratch.path("cut"), whole.substr(0, whole.size() - 1));
    const test::Result r = test::run({test::iolens_path(), "replay", scratch.path("cut")});
    EXPECT_EQ(r.status, 1);
    EXPECT_EQ(test::split(r.out, '\n').size(), test::split(test::slurp(directory + "table.txt"), '\n').size() - 2);
    EXPECT_NE(r.err.find("truncated"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("hint: the events before it were shown"), std::string::npos) << r.err;
}

TEST(GoldenRecording, AnOptionOfAnotherLensIsNamed) {
    struct Line {
        const char* words;
        const char* error;
    };
    for (const auto& [words, error] :
         {Line{"--domains ALL block.iol",
               "iolens: --domains is not an option of block recordings\n"
               "hint: fd recordings have it; 'iolens replay block.iol --help' shows the options of this one\n"},
          Line{"file.iol --no-summary -Q --domains ALL",
               "iolens: -Q,--queue is not an option of file recordings\n"
               "hint: block recordings have it; 'iolens replay file.iol --help' shows the options of this one\n"},
          Line{"--absolute - < fd.iol",
               "iolens: --absolute is not an option of fd recordings\n"
               "hint: file recordings have it; 'iolens replay - --help' shows the options of this one\n"}}) {
        const test::Result r = test::shell("cd " + directory + "; iolens replay " + words);
        EXPECT_EQ(r.status, 2) << words;
        EXPECT_EQ(r.out, "") << words;
        EXPECT_EQ(r.err, error) << words;
    }
    const test::Result help = test::shell("cd " + directory + "; iolens replay --domains ALL block.iol --help");
    EXPECT_EQ(help.status, 0) << help.err;
    EXPECT_NE(help.out.find("--queue"), std::string::npos);
}

/// Its lens decides which options there are, also where it comes through a pipe.
TEST(GoldenRecording, ItsLensHasTheOptions) {
    const auto iolens = [](const std::string& words) { return test::shell("cd " + directory + "; " + words); };
    EXPECT_EQ(iolens("iolens replay -Q block.iol").status, 0);
    EXPECT_EQ(iolens("iolens replay -Q - < block.iol").out, iolens("iolens replay -Q block.iol").out);
    EXPECT_EQ(iolens("cat block.iol | iolens replay -Q -").out, iolens("iolens replay -Q block.iol").out);
    for (const char* other : {"fd", "file"}) {
        const test::Result r = iolens(std::string("iolens replay -Q ") + other + ".iol");
        EXPECT_EQ(r.status, 2) << r.out;
        EXPECT_NE(r.err.find("-Q"), std::string::npos) << r.err;
    }
    EXPECT_NE(iolens("iolens replay --help block.iol").out.find("--queue"), std::string::npos);
    EXPECT_NE(iolens("iolens replay fd.iol --help").out.find("--domains"), std::string::npos);
    EXPECT_EQ(iolens("iolens replay fd.iol --help").out.find("--queue"), std::string::npos);
    const test::Result alone = iolens("iolens replay --help");
    EXPECT_EQ(alone.status, 0);
    EXPECT_EQ(alone.out.find("--queue"), std::string::npos);
    EXPECT_NE(alone.out.find("--columns"), std::string::npos);
    // an option's value is no recording
    EXPECT_EQ(iolens("iolens replay --comm fd.iol -Q block.iol").status, 0);
}

TEST(GoldenRecording, AClosedPipeIsAQuietEnd) {
    // The reader is gone before the first byte is written; with `| head -1` that would be a race.
    const test::Scratch scratch;
    const std::string gone = scratch.path("gone");
    const test::Result r = test::shell("{ until [ -e " + gone + " ]; do sleep 0.01; done; iolens replay " + directory +
                                       "block.iol; echo status $? >&2; } | { exec <&-; : > " + gone + "; }");
    EXPECT_EQ(r.out, "");
    EXPECT_EQ(r.err, "status 0\n");
}

}  // namespace
}  // namespace iolens
