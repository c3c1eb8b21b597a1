// SPDX-License-Identifier: Apache-2.0
// The command line, as used by people and scripts.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/fd.h"
#include "json.h"
#include "machine.h"

namespace iolens::test {
namespace {

/// Expects one sentence, one hint, the status, and nothing on standard output.
void expect_refusal(const std::vector<std::string>& words, int status, const std::string& part) {
    std::vector<std::string> command{iolens_path()};
    command.insert(command.end(), words.begin(), words.end());
    const Result r = run(command);
    std::string line;
    for (const std::string& word : words) line += word + " ";
    EXPECT_EQ(r.status, status) << line << r.err;
    EXPECT_EQ(r.out, "") << line;
    const auto lines = split(r.err, '\n');
    ASSERT_EQ(lines.size(), 2U) << line << r.err;
    EXPECT_TRUE(lines[0].starts_with("iolens: ")) << lines[0];
    EXPECT_TRUE(lines[1].starts_with("hint: ")) << lines[1];
    EXPECT_NE(lines[0].find(part), std::string::npos) << lines[0];
}

TEST(Cli, NonsenseIsAUsageError) {
    expect_refusal({}, 2, "missing command: block, fd, file, replay, metrics, doctor or schema");
    expect_refusal({"nonsense"}, 2, "unknown command 'nonsense'");
    expect_refusal({"--nonsense"}, 2, "unknown option '--nonsense'");
    expect_refusal({"block", "--nonsense"}, 2, "unknown option '--nonsense'");
    expect_refusal({"block", "-d", "no-such-disk"}, 2, "unknown disk 'no-such-disk'");
    expect_refusal({"block", "-d", "../../etc"}, 2, "unknown disk");
    expect_refusal({"block", "-d", ""}, 2, "empty");
    expect_refusal({"block", "-c", "/no/such/cgroup"}, 2, "can't open cgroup");
    expect_refusal({"block", "-c", "/proc/version"}, 2, "can't open cgroup '/proc/version': Not a directory");
    expect_refusal({"block", "-c", "/tmp"}, 2, "'/tmp' is not a cgroup v2 directory");
    expect_refusal({"block", "-m", "-5"}, 2, "-5");
    expect_refusal({"block", "-m", "1e999"}, 2, "1e999");
    expect_refusal({"block", "-m", "nan"}, 2, "nan");
    expect_refusal({"block", "-p", "-1"}, 2, "-1");
    expect_refusal({"block", "-p", "0"}, 2, "'0' is not a whole number");
    expect_refusal({"block", "-p", "99999999999999999999"}, 2, "not a whole number");
    expect_refusal({"block", "-p", "1,,2"}, 2, "empty item");
    expect_refusal({"block", "--count", "0"}, 2, "iolens: --count: '0' is not a whole number");
    expect_refusal({"block", "--count", "3x"}, 2, "'3x'");
    expect_refusal({"block", "--ring-size", "3"}, 2, "--ring-size 3MiB is not a power of two");
    expect_refusal({"block", "--ring-size", "999999"}, 2, "999999");
    expect_refusal({"block", "--max-inflight", "1"}, 2, "'1'");
    expect_refusal({"block", "--op", "reed"}, 2, "unknown operation 'reed' (did you mean 'read'?)");
    expect_refusal({"block", "--columns", "bites"}, 2, "unknown column 'bites' (did you mean 'bytes'?)");
    expect_refusal({"block", "--format", "xml"}, 2, "unknown format 'xml'");
    expect_refusal({"block", "--format", "JSON"}, 2, "unknown format 'JSON' (did you mean 'json'?)");
    expect_refusal({"block", "--format", "iotracer"}, 2, "format 'iotracer' does not apply here");
    for (const char* command : {"block", "doctor", "schema"}) {
        expect_refusal({command, "--format", "metrics"}, 2, "format 'metrics' does not apply here");
    }
    expect_refusal({"blok"}, 2, "unknown command 'blok' (did you mean 'block'?)");
    expect_refusal({"block", "--colums", "pid"}, 2, "unknown option '--colums' (did you mean '--columns'?)");
    expect_refusal({"block", "--group-by", "files", "--summary"}, 2, "(did you mean 'file'?)");
    expect_refusal({"fd", "--op", "raed"}, 2, "unknown system call 'raed' (did you mean 'read'?)");
    expect_refusal({"fd", "--domains", "SOCKET"}, 2, "unknown domain 'SOCKET' (did you mean 'SOCKETS'?)");
    expect_refusal({"fd", "--summary=opens"}, 2, "unknown summary 'opens' (did you mean 'open'?)");
    expect_refusal({"block", "--queue=x"}, 2, "--queue takes no value");
    expect_refusal({"fd", "--op"}, 2, "--op needs a value");
    expect_refusal({"fd", "--"}, 125, "missing command after '--'");
    expect_refusal({"block", "-m", "1x"}, 2, "iolens: --min-ms: '1x' is not a time");
    expect_refusal({"block", "-m", ""}, 2, "'' is not a time");
    expect_refusal({"block", "-m", "300h"}, 2, "out of range (0 to 1000000s)");
    expect_refusal({"block", "-D", "1e3"}, 2, "'1e3' is not a time");
    expect_refusal({"block", "-D", "10 s"}, 2, "'10 s' is not a time");
    expect_refusal({"block", "-D", "10us"}, 2, "out of range");
    expect_refusal({"block", "-D", "99999999999999999999"}, 2, "is not a time");
    expect_refusal({"block", "10 s"}, 2, "iolens: '10 s' is not a time");
    expect_refusal({"block", "--interval", "99ms"}, 2, "out of range (100ms to 1000000s)");
    expect_refusal({"block", "--ring-size", "8MB"}, 2, "'8MB' is not a size");
    expect_refusal({"block", "--ring-size", "64KiB"}, 2, "out of range (1MiB to 1GiB)");
    expect_refusal({"block", "-o", "/no/such/folder/x"}, 2, "can't write '/no/such/folder/x'");
    expect_refusal({"block", "soon"}, 2, "soon");
    expect_refusal({"block", "-5"}, 2, "-5");
    expect_refusal({"block", "1", "2"}, 2, "2");
    expect_refusal({"block", "-D", "1", "2"}, 2, "twice");
    expect_refusal({"block", "--comm", "a", "--comm", "b"}, 2, "--comm is given twice");
    expect_refusal({"replay"}, 2, "missing FILE");
    expect_refusal({"replay", "/no/such/file"}, 1, "can't read '/no/such/file'");
    expect_refusal({"replay", "/proc/version"}, 1, "not a recording");
    expect_refusal({"replay", "/etc"}, 1, "/etc");
}

TEST(Cli, ErrorsShowNoRawBytes) {
    const Result r = run({iolens_path(), "block", "-d", "a\x1b[31m\nb"});
    EXPECT_EQ(r.status, 2);
    EXPECT_EQ(r.err.find('\x1b'), std::string::npos);
    EXPECT_NE(r.err.find("a\\x1b[31m\\nb"), std::string::npos) << r.err;
}

TEST(Cli, HelpEndsWithExamples) {
    for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                  {"block", "--help"},
                                                  {"replay", "--help"},
                                                  {"doctor", "-h"},
                                                  {"schema", "-h"}}) {
        std::vector<std::string> command{iolens_path()};
        command.insert(command.end(), words.begin(), words.end());
        const Result r = run(command);
        EXPECT_EQ(r.status, 0);
        EXPECT_EQ(r.err, "");
        EXPECT_NE(r.out.find("\nExamples:\n"), std::string::npos) << r.out;
        EXPECT_GT(r.out.find("\nExamples:\n"), r.out.find("--help"));
    }
    EXPECT_EQ(run({iolens_path(), "--version"}).out.substr(0, 7), "iolens ");
}

TEST(Cli, SchemaListsEveryColumnWithoutPrivilege) {
    const Result r = run({iolens_path(), "schema", "--format", "csv"});
    EXPECT_EQ(r.status, 0);
    for (const char* field : {"time_ns", "comm", "device_ns", "requeues", "queue_p99_ns"}) {
        EXPECT_NE(r.out.find(std::string(",") + field + ","), std::string::npos) << field;
    }
}

TEST(Cli, WithoutPrivilegeItSaysSo) {
    NEEDS(::geteuid() == 0 && have("setpriv"), "needs root and setpriv to give root up");
    const Scratch scratch;  // a copy that any user may execute
    shell("chmod 755 " + scratch.path() + "; cp " + iolens_path() + " " + scratch.path("iolens") + "; chmod 755 " +
          scratch.path("iolens"));
    const std::string as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups " + scratch.path("iolens");
    const Result r = shell(as_nobody + " block 1");
    EXPECT_EQ(r.status, 3);
    EXPECT_NE(r.err.find("needs root"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("hint: run it with sudo"), std::string::npos) << r.err;
    const Result doctor = shell(as_nobody + " doctor");
    EXPECT_EQ(doctor.status, 3);
    EXPECT_NE(doctor.out.find("no    -      privilege"), std::string::npos) << doctor.out;
}

TEST(Cli, DoctorNamesEveryProbe) {
    NEEDS(missing_for_tracing().empty(), missing_for_tracing());
    // the virtual machine examines the probes once, before the tests
    const char* file = std::getenv("IOLENS_DOCTOR");
    Result r;
    if (file != nullptr) {
        r.out = slurp(file);
    } else {
        r = run({iolens_path(), "doctor", "--format", "json"});
        EXPECT_EQ(r.status, 0) << r.out;
    }
    std::map<std::string, Json> used;
    for (const Json& row : parse_json_lines(r.out)) {
        if (row.at("type") != "probe") continue;
        EXPECT_EQ(row.at("detail").get<std::string>().find("BTF rejected"), std::string::npos) << row;
        if (row.at("used") == "yes") used[text_or_null(row.at("lens")) + " " + text_or_null(row.at("name"))] = row;
    }
    for (const char* probe :
         {"block block_bio_queue", "block block_split", "block block_rq_issue", "block block_rq_requeue",
          "block block_rq_complete", "block block_bio_complete", "fd sys_enter", "fd sys_exit", "fd sched_switch",
          "file block_bio_queue", "file read_iter, write_iter"}) {
        ASSERT_TRUE(used.contains(probe)) << probe << "\n" << r.out;
        EXPECT_EQ(used.at(probe).at("works"), "yes") << used.at(probe);
    }
}

TEST(Cli, AClosedPipeIsAQuietEnd) {
    NEEDS(missing_for_tracing().empty(), missing_for_tracing());
    const LoopDisk disk(16 << 20);
    const Result r = shell("(while :; do dd if=" + disk.path() +
                           " of=/dev/null bs=4k count=9 iflag=direct 2>/dev/null; done) & work=$!; "
                           "{ iolens block -d " +
                           disk.name() + " 30; echo status $? >&2; } | head -1; kill $work");
    EXPECT_EQ(split(r.out, '\n').size(), 1U) << r.out;
    EXPECT_NE(r.err.find("status 0"), std::string::npos) << r.err;
    EXPECT_EQ(r.err.find("iolens:"), std::string::npos) << r.err;
}

/// `head` reads the header and exits, and no further row is written that would notice.
TEST(Cli, AReaderThatGoesEndsAQuietRun) {
    NEEDS(missing_for_tracing().empty(), missing_for_tracing());
    constexpr std::chrono::seconds soon(20);
    const Scratch scratch;
    const LoopDisk disk(16 << 20);
    const std::string recording = scratch.path("recording");
    for (const std::string& options :
         {std::string(" --format csv"), " --format csv --record " + recording, std::string(" --record -")}) {
        const Result r =
            shell("{ iolens block -d " + disk.name() + options + "; echo status $? >&2; } | head -c 9", soon);
        EXPECT_EQ(r.status, 0) << options;
        EXPECT_NE(r.err.find("status 0"), std::string::npos) << options << r.err;
        EXPECT_EQ(r.err.find("iolens:"), std::string::npos) << options << r.err;
    }
    EXPECT_EQ(run({iolens_path(), "replay", recording}).status, 0);

    // inputs that stay open without further data
    const std::string input = scratch.path("input");
    ASSERT_EQ(::mkfifo(input.c_str(), 0600), 0);
    const std::string log = "100 10:00:00.000000 write(1, \"a\", 1) = 1 <0.000010>\n";
    constexpr std::size_t header = 112;
    for (const auto& [command, text] :
         {std::pair("replay --format csv ", slurp(recording).substr(0, header)), std::pair("fd -i ", log)}) {
        const Fd writer(::open(input.c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(::write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
        const Result r = shell("{ iolens " + (command + input) + "; echo status $? >&2; } | head -c 9", soon);
        EXPECT_EQ(r.status, 0) << command;
        EXPECT_NE(r.err.find("status 0"), std::string::npos) << command << r.err;
    }
}

TEST(Cli, AFullDiskIsAnErrorAndLeavesWholeRows) {
    NEEDS(missing_for_tracing().empty(), missing_for_tracing());
    const Scratch scratch;
    NEEDS(shell("mount -t tmpfs -o size=64k tmpfs " + scratch.path()).status == 0, "can't mount a tmpfs");
    const LoopDisk disk(16 << 20);
    const Result r = shell("(while :; do dd if=" + disk.path() +
                           " of=/dev/null bs=4k count=99 iflag=direct 2>/dev/null; done) & "
                           "work=$!; iolens block -d " +
                           disk.name() + " -o " + scratch.path("rows") + " 30; s=$?; kill $work; exit $s");
    const std::string rows = slurp(scratch.path("rows"));
    shell("umount " + scratch.path());
    EXPECT_EQ(r.status, 1);
    EXPECT_NE(r.err.find("No space left on device"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("hint: free some space"), std::string::npos) << r.err;
    ASSERT_GT(rows.size(), 1000U);
    EXPECT_EQ(rows.back(), '\n');
}

/// logrotate's two modes, and a path that can't be written any more.
TEST(Cli, AServiceReopensItsOutput) {
    NEEDS(missing_for_tracing().empty(), missing_for_tracing());
    NEEDS(have("setsid"), "needs setsid");
    const Scratch scratch;
    const LoopDisk disk(16 << 20);
    const std::string rows = scratch.path("rows");
    Background service({"setsid", iolens_path(), "block", "-v", "--format", "csv", "-d", disk.name(), "-o", rows});
    ASSERT_TRUE(service.wait_for_line("attached"));
    const auto lines_of = [](const std::string& path) { return split(slurp(path), '\n').size(); };
    const auto one_more = [&](u64 sector, std::size_t lines) {
        direct_io(disk.path(), true, sector, 4096);
        return wait_until([&] { return lines_of(rows) == lines; });
    };
    EXPECT_TRUE(one_more(0, 2));
    std::filesystem::rename(rows, rows + ".1");
    ASSERT_EQ(::kill(service.pid(), SIGHUP), 0);
    ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(rows); }));
    EXPECT_TRUE(one_more(8, 2)) << "a new file has the heading, too";
    EXPECT_EQ(lines_of(rows + ".1"), 2U);
    std::filesystem::resize_file(rows, 0);
    EXPECT_TRUE(one_more(16, 1));
    std::filesystem::rename(rows, rows + ".2");
    std::filesystem::create_directory(rows);
    ASSERT_EQ(::kill(service.pid(), SIGHUP), 0);
    ASSERT_TRUE(service.wait_for_line("rows still go to the old file"));
    direct_io(disk.path(), true, 24, 4096);
    EXPECT_TRUE(wait_until([&] { return lines_of(rows + ".2") == 2; }));
    EXPECT_EQ(service.stop(SIGINT).status, 0);
}

TEST(Cli, ATracedCommandHasTheSignalsOfAnUntracedOne) {
    NEEDS(missing_for_tracing().empty(), missing_for_tracing());
    const std::string command = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status";
    for (const char* before : {"", "trap '' HUP PIPE; ", "trap '' XFSZ INT; "}) {
        const Result untraced = shell(before + command);
        const Result traced = shell(before + std::string("iolens fd -o /dev/null -- ") + command);
        EXPECT_EQ(traced.status, 0) << traced.err;
        EXPECT_EQ(traced.out, untraced.out) << before;
    }
}

/// The value of a line in /proc/PID/status.
std::string status_line(pid_t pid, const std::string& key) {
    for (const std::string& line : split(slurp("/proc/" + std::to_string(pid) + "/status"), '\n')) {
        if (line.starts_with(key + ":")) return line.substr(key.size() + 2);
    }
    return "";
}

TEST(Cli, TwoCapabilitiesAreEnough) {
    NEEDS(missing_for_tracing().empty(), missing_for_tracing());
    NEEDS(::geteuid() == 0 && have("setpriv"), "needs root and setpriv to give root up");
    const Scratch scratch;  // a copy that any user may execute
    shell("chmod 755 " + scratch.path() + "; cp " + iolens_path() + " " + scratch.path("iolens") + "; chmod 755 " +
          scratch.path("iolens"));
    const LoopDisk disk(16 << 20);
    for (const char* lens : {"block -d ", "block --no-file -d ", "fd -p 1 --why #", "fd -o /dev/null -p 1 #",
                             "fd --domains ALL -p 1 #", "file /etc #"}) {
        // before 5.11 maps count as locked memory
        const std::string line =
            "ulimit -l unlimited; exec setpriv --reuid=65534 --regid=65534 --clear-groups "
            "--inh-caps=-all,+bpf,+perfmon --ambient-caps=-all,+bpf,+perfmon " +
            scratch.path("iolens") + " " + lens + disk.name();
        Background tracer({"/bin/sh", "-c", "export IOLENS_DIAGNOSTICS=1; " + line});
        ASSERT_TRUE(tracer.wait_for_line("attached")) << lens << tracer.err();
        if (lens[0] == 'b') {
            direct_io(disk.path(), true, 0, 4096);
            EXPECT_TRUE(tracer.wait_for_rows(2)) << lens;
        }
        const Result r = tracer.stop(SIGINT);
        EXPECT_EQ(r.status, 0) << lens << r.err;
        const bool addresses = std::string(lens) == "block -d " || std::string(lens).starts_with("file");
        EXPECT_EQ(r.err.find("direct I/O is not attributed to files") != std::string::npos, addresses) << lens << r.err;
    }
}

TEST(Cli, WhatOnlyAttachingNeededIsGivenUp) {
    NEEDS(missing_for_tracing().empty(), missing_for_tracing());
    NEEDS(::geteuid() == 0, "needs root");
    const Scratch scratch;
    constexpr u64 may_stay = 1ULL << 2 | 1ULL << 19 | 1ULL << 39;  // DAC_READ_SEARCH, SYS_PTRACE, BPF
    for (const std::vector<std::string>& lens :
         {std::vector<std::string>{"block"}, {"fd", "-p", std::to_string(::getpid())}, {"file", scratch.path()}}) {
        Tracer tracer(lens);
        for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
            const u64 have = std::stoull(status_line(tracer.pid(), set), nullptr, 16);
            EXPECT_EQ(have & ~may_stay, 0U) << lens[0] << " " << set << " " << std::hex << have;
        }
        EXPECT_EQ(status_line(tracer.pid(), "NoNewPrivs"), "1") << lens[0];
        EXPECT_EQ(tracer.stop().status, 0);
    }
    // and a command keeps its usual capabilities
    const std::string command = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status";
    EXPECT_EQ(shell("iolens fd -o /dev/null -- " + command).out, shell(command).out);
}

}  // namespace
}  // namespace iolens::test
