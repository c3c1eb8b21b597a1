// SPDX-License-Identifier: Apache-2.0
// iolens fd --domains on the running kernel: compares rows with what a program reports, and tests other outputs.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <regex>
#include <set>
#include <thread>

#include "hostile_library.h"
#include "json.h"
#include "machine.h"
#include "probe/bpf.h"
#include "resolve/syscalls.h"

namespace iolens::test {
namespace {

namespace fs = std::filesystem;

class Domains : public testing::Test {
protected:
    void SetUp() override {
        NEEDS(missing_for_tracing().empty(), missing_for_tracing());
        NEEDS(fs::exists(helper()), "the program to look at was not built");
        directory_ = fs::canonical(scratch_.path());
    }

    /// Runs iolens fd --domains …, with its rows in out; a loss fails the round.
    Result traced(std::vector<std::string> options, const std::vector<std::string>& command) {
        const std::string rows = scratch_.path("rows");
        std::vector<std::string> words{iolens_path(), "fd", "-o", rows, "--ring-size", "64"};
        words.insert(words.end(), options.begin(), options.end());
        words.emplace_back("--");
        words.insert(words.end(), command.begin(), command.end());
        Result r = run(words, std::chrono::seconds(250));
        r.out = slurp(rows);
        EXPECT_FALSE(lost(r)) << r.err;
        return r;
    }

    /// The fields of CSV rows without the header and the starts and exits of processes, up to the end of the program's
    /// report.
    [[nodiscard]] std::vector<std::string> operations(const std::string& csv) const {
        std::vector<std::string> all;
        for (std::string line : split(csv, '\n')) {
            while (line.ends_with('\r')) line.pop_back();
            if (line.find(",OPEN,") != std::string::npos && line.find(directory_ + "/end") != std::string::npos) break;
            if (line.empty() || line.starts_with("domain,") || line.starts_with("START_STOP")) continue;
            all.push_back(line);
        }
        return all;
    }

    /// Expects the rows that a program reports of its system calls, and returns them.
    std::vector<std::string> expect_rows_of(const std::string& program);

    const Scratch scratch_;
    std::string directory_;
    const std::vector<std::string> columns_{"--format", "csv", "--columns", "domain,op,error_code,fd,bytes,arg1,arg2"};
};

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

void expect_same(const std::vector<std::string>& ours, const std::vector<std::string>& theirs) {
    EXPECT_GT(theirs.size(), 3U);
    EXPECT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size() && i < theirs.size(); ++i) ASSERT_EQ(ours[i], theirs[i]) << "row " << i;
}

std::vector<std::string> lines_of(const std::string& path) {
    std::vector<std::string> all = split(slurp(path), '\n');
    while (!all.empty() && all.back().empty()) all.pop_back();
    return all;
}

std::vector<std::string> Domains::expect_rows_of(const std::string& program) {
    const Result r =
        traced(std::vector<std::string>{"--domains", "ALL", "--start-on-open", directory_ + "/begin"} + columns_,
               {program, "calls", directory_});
    EXPECT_EQ(r.status, 0) << r.err;
    std::vector<std::string> ours = operations(r.out);
    // a forked child starts in the state of its parent
    std::erase(ours, "DIRS,CHDIR,0,-1,0," + directory_ + ",");
    std::vector<std::string> theirs = lines_of(directory_ + "/end");
    std::erase(theirs, "DIRS,CHDIR,0,-1,0," + directory_ + ",");
    expect_same(ours, theirs);
    return ours;
}

EXACT_TEST_F(Domains, EachOperationOfTheKernelIsARow) {
    const std::vector<std::string> ours = expect_rows_of(helper());
    // all operations that are system calls
    std::set<std::string> seen;
    for (const std::string& line : ours) seen.insert(split(line, ',').at(1));
    for (const Syscall& call : syscalls()) {
        if (call.operation >= IOLENS_OPERATION_COUNT || call.operation == IOLENS_OPERATION_STOP) continue;
        const std::string op(known_operations.at(call.operation).name);
        EXPECT_TRUE(seen.contains(op)) << op;
    }
}

TRACED_TEST_F(Domains, EachOperationOfA32BitProgramIsARow) {
    NEEDS(fs::exists(helper("iolens-m32-program")), "the 32-bit program was not built");
    NEEDS(run({helper("iolens-m32-program"), "open", directory_}).status == 0, "the kernel runs no 32-bit programs");
    expect_rows_of(helper("iolens-m32-program"));
}

TRACED_TEST_F(Domains, EachFunctionOfLibcIsARow) {
    const Result r = traced({"--domains", "ALL", "--libc", "--start-on-open", directory_ + "/begin", "--format", "csv",
                             "--columns", "layer,domain,op,error_code,fd,bytes,arg1,arg2"},
                            {helper(), "libc", directory_});
    EXPECT_EQ(r.status, 0);
    std::vector<std::string> ours;
    std::vector<std::string> kernel;
    for (const std::string& line : operations(r.out)) {
        if (line.starts_with("libc,")) ours.push_back(line.substr(5));
        if (line.starts_with("kernel,")) kernel.push_back(line.substr(7));
    }
    std::vector<std::string> theirs = lines_of(directory_ + "/end");
    ASSERT_FALSE(theirs.empty());
    theirs.erase(theirs.begin());  // the opening of "begin", a system call
    expect_same(ours, theirs);
    EXPECT_GT(kernel.size(), 10U);  // the kernel's rows are unchanged
    std::set<std::string> seen;
    for (const std::string& line : ours) seen.insert(split(line, ',').at(1));
    for (const char* op : {"OPEN", "CLOSE", "READ", "WRITE", "FLUSH", "OPENDIR", "CLOSEDIR", "READDIR", "REWINDDIR",
                           "SEEKDIR", "TELLDIR", "DIRFD", "SCANDIR"}) {
        EXPECT_TRUE(seen.contains(op)) << op;
    }
}

/// A process with its own root and C library, as in a container.
TRACED_TEST_F(Domains, TheLibcOfAnotherRootIsFound) {
    const std::string root = directory_ + "/root";
    const auto take = [&](const std::string& from, const std::string& to) {
        fs::create_directories(fs::path(root + to).parent_path());
        fs::copy_file(from, root + to, fs::copy_options::overwrite_existing);
    };
    take(helper(), "/program");
    std::string maps;
    {  // its mappings, as reported by itself
        std::array<int, 2> gate{};
        ASSERT_EQ(::pipe2(gate.data(), O_CLOEXEC), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            ::dup2(gate[0], 0);
            ::execl(helper().c_str(), "program", "libc-when-told", directory_.c_str(), nullptr);
            ::_exit(2);
        }
        EXPECT_TRUE(wait_until([&] {
            maps = slurp("/proc/" + std::to_string(child) + "/maps");
            return maps.find("libc.so.6") != std::string::npos;
        }));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        ::close(gate[0]);
        ::close(gate[1]);
    }
    const std::regex library(R"( (/\S*(?:libc\.so\.6|ld-linux\S*))\n)");
    for (std::sregex_iterator at(maps.begin(), maps.end(), library), end; at != end; ++at) take((*at)[1], (*at)[1]);
    for (const char* loader : {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"}) {
        if (fs::exists(loader)) take(loader, loader);
    }
    fs::create_directories(root + "/inside");
    std::array<int, 2> gate{};
    ASSERT_EQ(::pipe2(gate.data(), O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(gate[0], 0);
        if (::chroot(root.c_str()) != 0 || ::chdir("/") != 0) ::_exit(3);
        ::setenv("LD_LIBRARY_PATH", "/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu:/lib/aarch64-linux-gnu:/usr/lib",
                 1);
        ::execl("/program", "program", "libc-when-told", "/inside", nullptr);
        ::_exit(4);
    }
    ::close(gate[0]);
    EXPECT_TRUE(wait_until(
        [&] { return slurp("/proc/" + std::to_string(child) + "/maps").find("libc.so.6") != std::string::npos; }));
    Tracer tracer({"fd", "--domains", "ALL", "--libc", "--format", "csv", "--columns", "layer,op,arg1", "-p",
                   std::to_string(child)});
    EXPECT_EQ(::write(gate[1], "!", 1), 1);
    ::close(gate[1]);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    const Result r = tracer.stop(0);
    EXPECT_NE(r.out.find("libc,OPEN,/inside/stream"), std::string::npos) << r.out << r.err;
    EXPECT_NE(r.out.find("libc,OPENDIR,/inside"), std::string::npos);
}

/// A security module may reject what the kernel supports: the next variant is used, and -v reports it.
TEST_F(Domains, ARefusedVariantIsNotTheEnd) {
    NEEDS(have("strace"), "strace is not installed");
    NEEDS(KernelNames().has("BPF_TRACE_UPROBE_MULTI"), "this kernel has one variant of uprobes");
    const std::string rows = scratch_.path("rows");
    const std::string iolens = iolens_path() + " fd -v --libc --domains ALL --format csv --columns layer,op -o " +
                               rows + " -- " + helper() + " libc " + directory_;
    const std::string log = scratch_.path("log");
    // stop only at these calls; each line starts with the pid
    const std::string strace = "strace -f --seccomp-bpf -e trace=bpf -o " + log + " ";
    shell(strace + iolens);
    // which of the calls to reject
    std::size_t calls = 0;
    bool found = false;
    for (const std::string& line : split(slurp(log), '\n')) {
        if (line.find(" bpf(") == std::string::npos) continue;
        ++calls;
        found = line.find(" bpf(BPF_LINK_CREATE") != std::string::npos &&
                (line.find("UPROBE_MULTI") != std::string::npos || line.find("attach_type=0x30") != std::string::npos);
        if (found) break;
    }
    ASSERT_TRUE(found) << slurp(log);
    spit(rows, "");
    const Result r = shell(strace + "-e inject=bpf:error=EPERM:when=" + std::to_string(calls) + " " + iolens);
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_NE(slurp(rows).find("libc,"), std::string::npos);
    const std::vector<std::string> diagnostics = split(r.err, '\n');
    EXPECT_TRUE(std::ranges::any_of(diagnostics, [](const std::string& line) {
        return line.starts_with("iolens: variants not used: ") &&
               line.find("uprobe.multi: permission denied (EPERM)") != std::string::npos;
    })) << r.err;
}

TRACED_TEST_F(Domains, AProgramWithoutALibcSaysSo) {
    NEEDS(fs::exists(helper("iolens-static-program")), "the static program was not built");
    const Result r = traced(std::vector<std::string>{"--domains", "ALL", "--libc"} + columns_,
                            {helper("iolens-static-program"), "open", directory_, "one"});
    EXPECT_EQ(r.status, 0);
    EXPECT_NE(r.err.find("is statically linked"), std::string::npos) << r.err;
    EXPECT_NE(r.out.find("OPEN,0,3,0," + directory_ + "/one"), std::string::npos) << r.out;
}

/// A process that has mapped a damaged library: reading it costs little, and Ctrl-C ends the run.
TEST_F(Domains, AHostileLibraryDelaysNothing) {
    const std::string library = scratch_.path("libc.so.6");
    make_hostile_library(library);
    std::array<int, 2> ready{};
    ASSERT_EQ(::pipe(ready.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(120);
        const int fd = ::open(library.c_str(), O_RDONLY);
        // below all others: the first one that is found
        void* const at = reinterpret_cast<void*>(0x10000000);
        const bool mapped = ::mmap(at, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == at;
        static_cast<void>(::write(ready[1], mapped ? "y" : "n", 1));
        ::pause();
        ::_exit(0);
    }
    char mapped = 0;
    ASSERT_EQ(::read(ready[0], &mapped, 1), 1);
    EXPECT_EQ(mapped, 'y');
    const auto limit = std::chrono::seconds(emulated() ? 60 : 8);
    const auto start = std::chrono::steady_clock::now();
    const Result r =
        run({iolens_path(), "fd", "--domains", "ALL", "--libc", "-p", std::to_string(child), "-D", "1"}, 2 * limit);
    EXPECT_TRUE(r.status == 0 || r.status == 1 || r.status == 3) << r.status << r.err;
    EXPECT_LT(std::chrono::steady_clock::now() - start, limit) << r.err;
    const auto again = std::chrono::steady_clock::now();
    Background interrupted({iolens_path(), "fd", "--domains", "ALL", "--libc", "-p", std::to_string(child)});
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    interrupted.stop(SIGINT);
    EXPECT_LT(std::chrono::steady_clock::now() - again, limit);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (const int fd : ready) ::close(fd);
}

/// Same form as io-monitor's own tests.
TRACED_TEST_F(Domains, TheSeedsProgramsHaveTheirSequences) {
    for (const char* program : {"seed1", "seed2"}) {
        const Result r =
            traced({"--domains", "FILE_OPEN_CLOSE,FILE_WRITE,START_STOP", "--start-on-open", directory_ + "/file"},
                   {helper(), program, directory_});
        std::vector<std::string> all;
        for (const std::string& line : split(r.out, '\n')) {
            const auto fields = split(line, ',');
            if (fields.size() >= 11) all.push_back(fields[4] + "," + fields[5] + "," + fields[8]);
        }
        std::vector<std::string> expected{"FILE_OPEN_CLOSE,OPEN,0", "FILE_WRITE,WRITE,4", "FILE_OPEN_CLOSE,CLOSE,0"};
        if (program == std::string("seed2")) {
            const std::vector<std::string> once = expected;
            expected.insert(expected.end(), once.begin(), once.end());
        }
        expected.emplace_back("START_STOP,STOP,0");
        EXPECT_EQ(all, expected) << program;
    }
}

TRACED_TEST_F(Domains, AProcessHasAStartAndAnEnd) {
    const Result r =
        traced(std::vector<std::string>{"--domains", "START_STOP,DIRS"} + columns_, {helper(), "spawn", directory_});
    const auto all = split(r.out, '\n');
    ASSERT_EQ(all.size(), 9U) << r.out;
    const auto fields = [&](std::size_t i) { return split(all.at(i).substr(0, all.at(i).find('\r')), ','); };
    const std::string here = fs::current_path();
    const std::string command = helper() + " spawn " + directory_;
    EXPECT_EQ(fields(1).at(1), "START");
    EXPECT_EQ(fields(1).at(5), command);
    EXPECT_EQ(fields(2).at(1), "CHDIR");
    EXPECT_EQ(fields(2).at(5), here);
    EXPECT_EQ(fields(3).at(1), "START");  // the child, as a copy of its parent …
    EXPECT_EQ(fields(3).at(5), command);
    EXPECT_EQ(fields(4).at(5), here);
    EXPECT_EQ(fields(5).at(5), helper() + " open " + directory_ + " other");  // … and after execve
    EXPECT_EQ(fields(6).at(5), here);
    EXPECT_EQ(fields(7).at(1), "STOP");
    EXPECT_EQ(fields(7).at(5), helper() + " open " + directory_ + " other");
    EXPECT_EQ(fields(7).at(6), fields(3).at(6));  // its parent
    EXPECT_EQ(fields(8).at(1), "STOP");
    EXPECT_EQ(fields(8).at(5), command);
    // a process that is already running
    const pid_t child = ::fork();
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    Tracer tracer({"fd", "--domains", "START_STOP,DIRS", "-p", std::to_string(child)});
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const Result attached = tracer.stop(0);
    const std::regex both("^u,\\d+,0.000000," + std::to_string(child) +
                          ",START_STOP,START,0,0,0,[^\n]*iolens-live-tests[^\n]*," + std::to_string(::getpid()) +
                          "\n[^\n]*,DIRS,CHDIR,0,-1,0," + here + ",\n[^\n]*,START_STOP,STOP,0,0,0,[^\n]*," +
                          std::to_string(::getpid()) + "\n$");
    EXPECT_TRUE(std::regex_match(attached.out, both)) << attached.out;
}

TRACED_TEST_F(Domains, NothingCountsBeforeTheStart) {
    const auto rows = [&](std::vector<std::string> options, const std::vector<std::string>& command) {
        return operations(traced(std::move(options) + columns_, command).out);
    };
    const std::vector<std::string> open{helper(), "open", directory_, "ab", "aaab", "after"};
    // the text is found even if its beginning occurs before
    EXPECT_EQ(rows({"--domains", "FILE_OPEN_CLOSE", "--start-on-open", "aab"}, open),
              (std::vector<std::string>{
                  "FILE_OPEN_CLOSE,OPEN,0,3,0," + directory_ + "/aaab,", "FILE_OPEN_CLOSE,CLOSE,0,3,0,,",
                  "FILE_OPEN_CLOSE,OPEN,0,3,0," + directory_ + "/after,", "FILE_OPEN_CLOSE,CLOSE,0,3,0,,"}));
    // a failed open counts, too
    EXPECT_EQ(rows({"--domains", "FILE_OPEN_CLOSE", "--start-on-open", "none/after"},
                   {helper(), "open", directory_, "ab", "none/after"})
                  .size(),
              2U);
    EXPECT_TRUE(rows({"--domains", "ALL", "--start-on-open", "is never opened"}, open).empty());
    // the elapsed time of selected operations
    auto slow = rows({"--domains", "ALL", "--start-on-elapsed", "40"}, {helper(), "slow", directory_});
    ASSERT_GE(slow.size(), 2U);
    EXPECT_EQ(slow[0], "FILE_READ,READ,0,3,1,,");
    EXPECT_EQ(slow[1], "FILE_OPEN_CLOSE,CLOSE,0,3,0,,");
    EXPECT_TRUE(
        rows({"--domains", "FILE_OPEN_CLOSE", "--start-on-elapsed", "20000"}, {helper(), "slow", directory_}).empty());
    // both: the first one to occur
    slow = rows({"--domains", "ALL", "--start-on-elapsed", "40", "--start-on-open", "is never opened"},
                {helper(), "slow", directory_});
    ASSERT_GE(slow.size(), 2U);
    EXPECT_EQ(slow[0], "FILE_READ,READ,0,3,1,,");
    EXPECT_EQ(
        rows({"--domains", "FILE_OPEN_CLOSE", "--start-on-elapsed", "20000", "--start-on-open", "aab"}, open).size(),
        4U);
    // separately for each process: a child inherits the state of its parent, execve resets it
    EXPECT_EQ(rows({"--domains", "FILE_OPEN_CLOSE,PROCESSES", "--start-on-open", directory_ + "/child"},
                   {helper(), "spawn", directory_}),
              (std::vector<std::string>{"FILE_OPEN_CLOSE,OPEN,0,4,0," + directory_ + "/child,",
                                        "FILE_OPEN_CLOSE,CLOSE,0,4,0,,",
                                        "PROCESSES,EXEC,0,-1,0," + helper() + "," + helper()}));
    EXPECT_EQ(run({iolens_path(), "fd", "--domains", "DIRS", "--start-on-open", "x", "--", "true"}).status, 125);
}

TRACED_TEST_F(Domains, TheEnvironmentIsTheDefault) {
    const std::string begin =
        "MONITOR_DOMAINS=FILE_OPEN_CLOSE FACILITY_ID=web START_ON_OPEN=" + directory_ + "/one iolens fd ";
    const Result r = shell(begin + "-o " + scratch_.path("rows") + " -- " + helper() + " open " + directory_ + " one");
    EXPECT_FALSE(lost(r)) << r.err;
    EXPECT_TRUE(std::regex_match(slurp(scratch_.path("rows")),
                                 std::regex("web,\\d+,\\d+\\.\\d{6},\\d+,FILE_OPEN_CLOSE,OPEN,0,3,0," + directory_ +
                                            "/one,\nweb,\\d+,\\d+\\.\\d{6},\\d+,FILE_OPEN_CLOSE,CLOSE,0,3,0,,\n")))
        << slurp(scratch_.path("rows")) << r.err;
}

TRACED_TEST_F(Domains, HttpIsSeenWhereItIsAskedFor) {
    const Result r =
        traced(std::vector<std::string>{"--domains", "ALL,HTTP"} + columns_, {helper(), "http", directory_});
    std::vector<std::string> seen;
    for (const std::string& line : operations(r.out)) {
        if (line.starts_with("HTTP,")) seen.push_back(line);
    }
    const std::string request = "0,GET /path?x=1 HTTP/1.1,Host: here";
    const std::string response = "0,HTTP/1.1 404 Not Found,Server: s";
    EXPECT_EQ(seen, (std::vector<std::string>{
                        "HTTP,HTTP_REQ_SEND,0,3," + request, "HTTP,HTTP_REQ_RECV,0,4," + request,
                        "HTTP,HTTP_RESP_SEND,0,4," + response, "HTTP,HTTP_RESP_RECV,0,3," + response,
                        "HTTP,HTTP_REQ_SEND,0,3,0,GET /path?x=1 HTTP/1,", "HTTP,HTTP_REQ_RECV,0,4," + request}));
    // contents are private: not included in ALL, and at most two lines, also in a recording
    const Result all = traced(std::vector<std::string>{"--domains", "ALL"} + columns_, {helper(), "http", directory_});
    EXPECT_EQ(all.out.find("HTTP"), std::string::npos);
    const std::string recording = scratch_.path("recording");
    const Result only = traced(std::vector<std::string>{"--domains", "HTTP", "--record", recording} + columns_,
                               {helper(), "http", directory_});
    EXPECT_EQ(operations(only.out).size(), seen.size());
    EXPECT_EQ(slurp(recording).find("secret"), std::string::npos);
    const Result again = run({iolens_path(), "replay", "--domains", "HTTP", "--format", "csv", "--columns",
                              "domain,op,error_code,fd,bytes,arg1,arg2", recording});
    EXPECT_EQ(operations(again.out), operations(only.out));
}

struct Message {
    long type;
    std::array<char, 4648> record;
    [[nodiscard]] s32 number(std::size_t at) const {
        s32 n = 0;
        std::memcpy(&n, record.data() + at, sizeof n);
        return n;
    }
};

/// A reader written for io-monitor, with a configurable delay.
struct QueueReader {
    int queue;
    std::vector<Message> first;
    u64 writes = 0;
    u64 all = 0;
    std::atomic<bool> gone = false;

    explicit QueueReader(const std::string& path) : queue(::msgget(::ftok(path.c_str(), 'm'), 0600 | IPC_CREAT)) {}
    ~QueueReader() { ::msgctl(queue, IPC_RMID, nullptr); }
    QueueReader(const QueueReader&) = delete;
    QueueReader& operator=(const QueueReader&) = delete;

    void read(u64 max, u64 pause_each) {
        Message message{};
        while (all < max) {
            if (::msgrcv(queue, &message, sizeof message.record, 0, 0) < 0 || message.type == last_type) break;
            if (first.size() < 3) first.push_back(message);
            ++all;
            writes += message.number(272) == 2 ? 1U : 0U;
            if (all % pause_each == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        gone = true;
    }

    /// Lets a reader that is still running read the rest of the queue, and exit.
    void end() const {
        const long last = last_type;
        EXPECT_TRUE(wait_until([&] { return gone || ::msgsnd(queue, &last, 0, IPC_NOWAIT) == 0; }));
    }

private:
    static constexpr long last_type = 2;  // iolens's messages are of type 1
};

u64 number_before(const std::string& text, const std::string& words) {
    std::smatch m;
    return std::regex_search(text, m, std::regex("([0-9]+) " + words)) ? std::stoull(m[1]) : 0;
}

/// The original's listener gets the original's records: each of the writes is delivered or counted, however slow it is.
/// The facility's name has the maximum length, to make the records large: on a real CPU, they exceed the 64 MiB that
/// iolens buffers for a slow listener.
TRACED_TEST_F(Domains, TheMessageQueueGetsAllOfIt) {
    const u64 count = emulated() ? 20'000 : 250'000;
    const std::string facility(255, 's');
    const std::string path = scratch_.path("queue");
    spit(path, "");
    QueueReader reader(path);
    NEEDS(reader.queue >= 0, "no message queues here");
    std::thread thread([&] { reader.read(~u64{0}, 1000); });
    const Result r =
        run({iolens_path(), "fd", "--domains", "FILE_OPEN_CLOSE,FILE_WRITE", "--facility", facility, "--start-on-open",
             directory_ + "/begin", "--mq", path, "--", helper(), "writes", directory_, std::to_string(count)},
            std::chrono::seconds(280));
    reader.end();
    thread.join();
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, "");
    const u64 not_seen = number_before(r.err, "events?: ring buffer full") +
                         number_before(r.err, "probe runs?: skipped by the kernel") +
                         number_before(r.err, "records?: not sent to the message queue");
    if (!lost(r)) {
        EXPECT_EQ(reader.writes, count);
        EXPECT_EQ(reader.all, count + 1);
    }
    EXPECT_LE(reader.writes, count);
    EXPECT_GE(reader.writes + not_seen, count) << r.err;
    ASSERT_EQ(reader.first.size(), 3U);
    const Message& open = reader.first[0];
    EXPECT_EQ(std::string(open.record.data()), facility);
    EXPECT_NEAR(open.number(256), static_cast<double>(std::time(nullptr)), 300);
    float elapsed = 0;
    std::memcpy(&elapsed, open.record.data() + 260, sizeof elapsed);
    EXPECT_GT(elapsed, 0);
    EXPECT_LT(elapsed, 1000);
    EXPECT_GT(open.number(264), 1);
    EXPECT_EQ(open.number(268), 13);  // FILE_OPEN_CLOSE
    EXPECT_EQ(open.number(272), 0);   // OPEN
    EXPECT_EQ(open.number(276), 0);
    EXPECT_EQ(open.number(280), 3);
    EXPECT_EQ(open.number(288), 0);
    EXPECT_EQ(std::string(open.record.data() + 296), directory_ + "/begin");
    EXPECT_STREQ(open.record.data() + 4392, "");
    const Message& write = reader.first[1];
    EXPECT_EQ(write.number(268), 11);  // FILE_WRITE
    EXPECT_EQ(write.number(272), 2);   // WRITE
    EXPECT_EQ(write.number(288), 1);
}

/// A pending operation has a row only with --unfinished, and never in io-monitor's own formats.
TRACED_TEST_F(Domains, WhatIsNotOverHasARowWithoutATime) {
    const std::string path = scratch_.path("fifo");
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const int both = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    const std::string pid_path = scratch_.path("pid");
    const std::vector<std::string> command{"--", "sh", "-c", "echo $$ >" + pid_path + "; exec cat " + path};
    const std::string rows_path = scratch_.path("rows");
    const auto traced = [&](const std::vector<std::string>& options) {
        std::vector<std::string> words{"fd", "-v", "--domains", "FILE_READ", "-o", rows_path};
        words.insert(words.end(), options.begin(), options.end());
        words.insert(words.end(), command.begin(), command.end());
        Tracer tracer(words);
        const auto blocked = [&] {
            const std::string pid = split(slurp(pid_path) + '\n', '\n')[0];
            return slurp("/proc/" + pid + "/comm") == "cat\n" &&
                   slurp("/proc/" + pid + "/syscall").starts_with(std::to_string(SYS_read) + " 0x3 ");
        };
        EXPECT_TRUE(wait_until(blocked));
        spit(pid_path, "");
        const Result r = tracer.stop();
        EXPECT_NE(r.err.find("in flight 1\n"), std::string::npos) << r.err;
        return slurp(rows_path);
    };
    const std::string json = traced({"--format", "json", "--unfinished"});
    const std::string table = traced({"--unfinished", "--format", "table"});
    const std::string metrics = traced({});
    ::close(both);
    std::vector<Json> rows = parse_json_lines(json);
    std::erase_if(rows, [&](const Json& row) { return row["file"] != path; });
    ASSERT_EQ(rows.size(), 1U) << json;
    EXPECT_EQ(rows[0]["op"], "READ");
    EXPECT_EQ(rows[0]["end"], "pending");
    EXPECT_TRUE(rows[0]["duration_ns"].is_null());
    EXPECT_TRUE(rows[0]["error_code"].is_null());
    EXPECT_TRUE(rows[0]["bytes"].is_null());
    EXPECT_NE(table.find("pending"), std::string::npos) << table;
    EXPECT_EQ(metrics.find(path), std::string::npos) << metrics;
    const Result refused =
        run({iolens_path(), "fd", "--domains", "ALL", "--unfinished", "--format", "table", "--mq", path, "-p", "1"});
    EXPECT_EQ(refused.status, 2) << refused.err;
}

/// A reader that exits: unread rows are counted, and iolens ends.
TEST_F(Domains, AReaderThatGoesIsCounted) {
    const std::string path = scratch_.path("queue");
    spit(path, "");
    QueueReader reader(path);
    NEEDS(reader.queue >= 0, "no message queues here");
    std::thread thread([&] { reader.read(100, 1000); });
    const Result r = run({iolens_path(), "fd", "--domains", "FILE_OPEN_CLOSE,FILE_WRITE", "--start-on-open",
                          directory_ + "/begin", "--mq", path, "--", helper(), "writes", directory_, "5000"});
    reader.end();
    thread.join();
    EXPECT_EQ(r.status, 0) << r.err;
    msqid_ds left{};
    ::msgctl(reader.queue, IPC_STAT, &left);
    EXPECT_EQ(reader.all, 100U);
    const u64 skipped = number_before(r.err, "probe runs?: skipped by the kernel");
    const u64 sent = reader.all + left.msg_qnum + number_before(r.err, "records?: not sent to the message queue");
    EXPECT_LE(sent, 5001U) << r.err;
    EXPECT_GE(sent + skipped, 5001U) << r.err;
}

/// A client of --socket.
class Client {
public:
    explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
        EXPECT_TRUE(wait_until([&] {
            return ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        })) << "nobody listens at "
            << path;
    }
    ~Client() { ::close(fd_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// True if the other side soon closes the connection, although nothing was read.
    [[nodiscard]] bool is_cut_off() const {
        pollfd waiting{fd_, POLLRDHUP, 0};
        return ::poll(&waiting, 1, 30'000) == 1 && (waiting.revents & (POLLRDHUP | POLLHUP)) != 0;
    }

    /// Reads everything until the other side closes the connection.
    std::string read() const {
        std::string all;
        all.reserve(256 << 20);  // reallocating 64 MiB takes longer than iolens waits for a reader
        std::array<char, 65536> buffer{};
        for (ssize_t n = 0; (n = ::read(fd_, buffer.data(), buffer.size())) > 0;)
            all.append(buffer.data(), static_cast<std::size_t>(n));
        return all;
    }

private:
    int fd_;
};

/// Number of open sockets of a process.
u64 sockets_of(pid_t pid) {
    u64 open = 0;
    for (const auto& fd : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        std::error_code closed;
        open += fs::read_symlink(fd, closed).string().starts_with("socket:") ? 1U : 0U;
    }
    return open;
}

/// Without a reader, undelivered rows are counted, and SIGINT still ends the run.
TEST_F(Domains, ASignalEndsItThoughNobodyReads) {
    const std::string queue = scratch_.path("queue");
    const std::string socket = scratch_.path("socket");
    spit(queue, "");
    const QueueReader reader(queue);
    NEEDS(reader.queue >= 0, "no message queues here");
    Tracer tracer({"fd", "--domains", "FILE_WRITE", "--comm", "iolens-libc-pro", "--ring-size", "64", "--mq", queue,
                   "--socket", socket});
    const u64 before = sockets_of(tracer.pid());
    const Client silent(socket);
    EXPECT_TRUE(wait_until([&] { return sockets_of(tracer.pid()) == before + 1; }));  // it is accepted
    EXPECT_EQ(run({helper(), "writes", directory_, "20000"}).status, 0);
    const auto start = std::chrono::steady_clock::now();
    const Result r = tracer.stop(SIGINT);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(r.status, 0) << r.err;
    if (!emulated()) {
        EXPECT_LT(took, std::chrono::milliseconds(1500));  // a second, and some time for the test to notice it
    }
    EXPECT_GT(number_before(r.err, "records?: not sent to the message queue"), 0U) << r.err;
    EXPECT_NE(r.err.find("1 socket client: disconnected for reading too slowly"), std::string::npos) << r.err;
}

TEST_F(Domains, AQueueOfAnotherUserIsRefused) {
    const std::string path = scratch_.path("queue");
    spit(path, "");
    const QueueReader reader(path);
    NEEDS(reader.queue >= 0, "no message queues here");
    msqid_ds about{};
    ASSERT_EQ(::msgctl(reader.queue, IPC_STAT, &about), 0);
    about.msg_perm.uid = 65534;
    ASSERT_EQ(::msgctl(reader.queue, IPC_SET, &about), 0);
    const Result r = run({iolens_path(), "fd", "--domains", "ALL", "--mq", path, "--", "true"});
    EXPECT_EQ(r.status, 125);
    EXPECT_NE(r.err.find("belongs to another user"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("hint: "), std::string::npos) << r.err;
}

TEST_F(Domains, ClientsOfASocketGetTheRows) {
    const u64 count =
        emulated() ? 20'000 : 200'000;  // 10 MB, 100 MB: the latter exceeds the buffer of a client that doesn't read
    const std::string path = scratch_.path("socket");
    Tracer tracer({"fd", "--domains", "FILE_OPEN_CLOSE,FILE_WRITE", "--comm", "iolens-libc-pro", "--ring-size", "256",
                   "--socket", path});
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    const u64 before = sockets_of(tracer.pid());
    std::string rows;
    std::thread reader([&] { rows = Client(path).read(); });
    const Client slow(path);
    EXPECT_TRUE(wait_until([&] { return sockets_of(tracer.pid()) == before + 2; }));  // both are accepted
    EXPECT_EQ(run({iolens_path(), "fd", "--domains", "ALL", "--socket", path, "--", "true"}).status,
              125);  // it is in use
    EXPECT_EQ(run({helper(), "writes", directory_, std::to_string(count)}, std::chrono::seconds(200)).status, 0);
    // the slow client is disconnected once it is too far behind, not only at the end
    if (!emulated()) {
        EXPECT_TRUE(slow.is_cut_off());
    }
    const Result r = tracer.stop(SIGINT);
    reader.join();
    EXPECT_EQ(r.status, 0);
    EXPECT_EQ(r.out, "");
    EXPECT_FALSE(fs::exists(path));
    u64 writes = 0;
    u64 begins = 0;
    for (const std::string& line : split(rows, '\n')) {  // one by one: all of them together are large
        SCOPED_TRACE(r.err);
        const Json row = parse_json(line);
        if (row.at("type") == "loss") continue;
        ASSERT_EQ(row.at("type"), "operation") << line;
        ASSERT_EQ(row.at("facility"), "u") << line;
        ASSERT_GT(number(row.at("unix_ns")), 0U) << line;
        writes += row.at("op") == "WRITE" ? 1U : 0U;
        begins += row.at("op") == "OPEN" && row.at("arg1") == directory_ + "/begin" ? 1U : 0U;
    }
    if (number_before(r.err, "(events?|probe runs?): ") == 0) {
        EXPECT_EQ(writes, count) << r.err;
    }
    if (!emulated()) {
        EXPECT_NE(r.err.find("1 socket client: disconnected for reading too slowly"), std::string::npos) << r.err;
    }
    EXPECT_EQ(begins, 1U) << rows.substr(0, 300);
    // the name of a killed instance is reused
    {
        Tracer killed({"fd", "--domains", "DIRS", "--comm", "nobody", "--socket", path});
        killed.stop(SIGKILL);
    }
    EXPECT_TRUE(fs::exists(path));
    Tracer next({"fd", "--domains", "DIRS", "--comm", "nobody", "--socket", path});
    EXPECT_EQ(next.stop(SIGINT).status, 0);
    EXPECT_FALSE(fs::exists(path));
}

/// The kernel has no system call that is missing in the table.
TEST_F(Domains, TheTableHasEveryCallOfThisKernel) {
    std::set<std::string> theirs;
    for (const std::string& line : split(slurp("/proc/kallsyms"), '\n')) {  // "ffffffff81000000 T __x64_sys_read"
        const std::string name = line.substr(line.rfind(' ') + 1);
        for (const char* start : {"__x64_sys_", "__arm64_sys_"}) {
            if (name.starts_with(start) && name.find('.') == std::string::npos) {
                theirs.insert(name.substr(std::strlen(start)));
            }
        }
    }
    NEEDS(theirs.size() > 100, "the kernel's symbols are not shown here");
    // functions with other names than their calls, calls of 32-bit programs, and calls of other architectures, for
    // which each kernel has a stub that returns an error
    const std::set<std::string> other{"fstatfs64",
                                      "gethostname",
                                      "ipc",
                                      "llseek",
                                      "mmap_pgoff",
                                      "newfstat",
                                      "newlstat",
                                      "newstat",
                                      "newuname",
                                      "ni_syscall",
                                      "nice",
                                      "pciconfig_iobase",
                                      "pciconfig_read",
                                      "pciconfig_write",
                                      "recv",
                                      "rtas",
                                      "send",
                                      "sendfile64",
                                      "sgetmask",
                                      "signal",
                                      "sigpending",
                                      "sigprocmask",
                                      "sigsuspend",
                                      "sigaction",
                                      "sigreturn",
                                      "socketcall",
                                      "spu_create",
                                      "spu_run",
                                      "ssetmask",
                                      "statfs64",
                                      "stime",
                                      "subpage_prot",
                                      "sync_file_range2",
                                      "umount",
                                      "vm86",
                                      "vm86old",
                                      "waitpid",
                                      "fadvise64_64",
                                      "truncate64",
                                      "ftruncate64",
                                      "stat64",
                                      "lstat64",
                                      "fstat64",
                                      "fstatat64",
                                      "fcntl64",
                                      "riscv_flush_icache",
                                      "riscv_hwprobe",
                                      "bdflush",
                                      "cacheflush",
                                      "sysmips",
                                      "arm64_personality",
                                      "or1k_atomic",
                                      "getxpid",
                                      "osf_select"};
    const auto is_other = [&](const std::string& name) {
        for (const char* start : {"ia32_", "compat_", "old", "s390_", "aarch32_", "arm64_"}) {
            if (name.starts_with(start)) return true;
        }
        return other.contains(name) || name.ends_with("16") || name.ends_with("32");
    };
    std::set<std::string> ours;
    for (const Syscall& call : syscalls()) ours.insert(std::string(call.name));
    std::vector<std::string> missing;
    for (const std::string& name : theirs) {
        if (!ours.contains(name) && !is_other(name)) missing.push_back(name);
    }
    EXPECT_TRUE(missing.empty()) << testing::PrintToString(missing);
}

TEST_F(Domains, NonsenseIsAUsageError) {
    const auto status = [](std::vector<std::string> words) {
        words.insert(words.begin(), {iolens_path(), "fd"});
        return run(words).status;
    };
    EXPECT_EQ(status({"--domains", "NO_SUCH", "--", "true"}), 125);
    EXPECT_EQ(status({"--format", "metrics", "--", "true"}), 125);
    EXPECT_EQ(status({"--libc", "--", "true"}), 125);
    EXPECT_EQ(status({"--op", "OPENS", "--", "true"}), 125);
    EXPECT_EQ(status({"--domains", "DIRS", "--op", "OPEN", "--", "true"}), 125);
    EXPECT_EQ(status({"--domains", "ALL", "--mq", "/no/such/file", "--", "true"}), 125);
    EXPECT_EQ(status({"--domains", "ALL", "--socket", "/no/such/folder/socket", "--", "true"}), 125);
    EXPECT_EQ(status({"--domains", "ALL", "--socket", helper(), "--", "true"}), 125);
    EXPECT_EQ(status({"--domains", "ALL", "--columns", "no_such", "--format", "csv", "--", "true"}), 125);
    EXPECT_EQ(run({iolens_path(), "block", "--format", "metrics", "1"}).status, 2);
}

}  // namespace
}  // namespace iolens::test
