// SPDX-License-Identifier: Apache-2.0
// State of processes, requests and files is deleted with them: no map fills up in a long run.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <thread>
#include <vector>

#include "int80.h"
#include "json.h"
#include "machine.h"
#include "uring.h"

namespace iolens::test {
namespace {

class State : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// Runs `work` in a child and waits for it.
void in_child(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        work();
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

std::vector<std::string> of_this_process(std::vector<std::string> options) {
    options.insert(options.begin(), {"-v", "-p", std::to_string(::getpid()), "--columns",
                                     "call,fd,offset,requested,duration_ns,bytes,result,error,file"});
    return options;
}

constexpr int in_flight = 64;

/// Submits reads of a file by libaio without fetching their results. Returns the context.
aio_context_t submit_reads(int fd, int count = in_flight) {
    static std::array<std::array<char, 512>, in_flight> buffer;
    static std::array<iocb, in_flight> blocks;
    std::array<iocb*, in_flight> pointers{};
    aio_context_t context = 0;
    if (::syscall(SYS_io_setup, 128, &context) != 0) ::_exit(1);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        blocks.at(i) = {};
        blocks.at(i).aio_fildes = static_cast<u32>(fd);
        blocks.at(i).aio_lio_opcode = IOCB_CMD_PREAD;
        blocks.at(i).aio_buf = reinterpret_cast<u64>(buffer.at(i).data());
        blocks.at(i).aio_nbytes = buffer.at(i).size();
        blocks.at(i).aio_offset = static_cast<s64>(i * buffer.at(i).size());
        pointers.at(i) = &blocks.at(i);
    }
    if (::syscall(SYS_io_submit, context, count, pointers.data()) != count) ::_exit(2);
    return context;
}

std::size_t without_end(const std::vector<Row>& rows, const std::string& call) {
    return static_cast<std::size_t>(std::ranges::count_if(rows, [&](const Row& row) {
        return row.at("call") == call && row.at("duration_ns").empty() && row.at("bytes").empty() &&
               row.at("result").empty() && row.at("error").empty();
    }));
}

/// Without libaio's completions, which some kernels show: a request whose result is not fetched has no end.
class Unfetched {
private:
    Variable forced_{"IOLENS_PROBE", "syscalls"};
};

/// When programs exit with requests in flight, their entries are freed for those of others.
TRACED_TEST_F(State, RequestsEndWithTheirProcess) {
    const Unfetched requests;
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1 << 20, 'x'));
    constexpr int programs = 12;
    // capacity for the requests of four of them
    const Traced traced = trace(
        of_this_process({"--op", "aio", "--max-inflight", std::to_string(4 * in_flight)}),
        [&] {
            for (int i = 0; i < programs; ++i) {
                in_child([&] { submit_reads(::open(path.c_str(), O_RDONLY)); });
                sleep_ms(250);
            }
        },
        "fd");
    EXPECT_EQ(traced.result.status, 0);
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    EXPECT_EQ(without_end(traced.rows, "aio:pread"), std::size_t{programs * in_flight}) << traced.result.err;
    for (const Row& row : traced.rows) {
        if (row.at("call") != "aio:pread") continue;
        EXPECT_EQ(row.at("file"), path);
        EXPECT_EQ(row.at("requested"), "512");
    }
}

/// Requests that exceed the capacity are reported as a loss of their own.
TRACED_TEST_F(State, TooManyRequestsAreNamed) {
    const Unfetched requests;
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1 << 20, 'x'));
    const Traced traced = trace(
        of_this_process({"--op", "aio", "--max-inflight", std::to_string(in_flight)}),
        [&] {
            in_child([&] {
                submit_reads(::open(path.c_str(), O_RDONLY));
                in_child([&] { submit_reads(::open(path.c_str(), O_RDONLY)); });
            });
        },
        "fd");
    EXPECT_EQ(without_end(traced.rows, "aio:pread"), std::size_t{in_flight}) << traced.result.err;
    EXPECT_NE(traced.result.err.find("64 libaio or io_uring requests: more in flight than --max-inflight"),
              std::string::npos)
        << traced.result.err;
}

/// A destroyed context, a program that calls exec, and a reused iocb.
TRACED_TEST_F(State, RequestsEndWithTheirContextProgramAndPlace) {
    const Unfetched requests;
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1 << 20, 'x'));
    // the last program lives until the test ends: its requests are then still in flight
    const Traced traced = trace(
        of_this_process({"--op", "aio", "--max-inflight", "64"}),
        [&] {
            in_child([&] {
                const int fd = ::open(path.c_str(), O_RDONLY);
                const aio_context_t context = submit_reads(fd, 24);
                submit_reads(fd, 24);  // with the same iocbs
                if (::syscall(SYS_io_destroy, context) != 0) ::_exit(3);
                sleep_ms(250);
            });
            in_child([&] {
                const aio_context_t context = submit_reads(::open(path.c_str(), O_RDONLY), 40);
                if (::syscall(SYS_io_destroy, context) != 0) ::_exit(3);
                sleep_ms(250);
                submit_reads(::open(path.c_str(), O_RDONLY), 32);
                ::execl("/bin/sh", "sh", "-c", "sleep 0.3", nullptr);
            });
        },
        "fd");
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    EXPECT_EQ(without_end(traced.rows, "aio:pread"), std::size_t{24 + 24 + 40 + 32}) << traced.result.err;
}

/// io_uring reports no completion for requests with IOSQE_CQE_SKIP_SUCCESS.
TRACED_TEST_F(State, SkippedCompletionsAreRowsWithoutAnEnd) {
    NEEDS(kernel_is_since(5, 17), "this kernel has no IOSQE_CQE_SKIP_SUCCESS");
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1 << 20, 'x'));
    constexpr u8 skip_success = 1U << 6;
    const Traced traced = trace(
        of_this_process({"--op", "io_uring"}),
        [&] {
            in_child([&] {
                Uring ring;
                if (!ring.here()) return;
                const int fd = ::open(path.c_str(), O_RDONLY);
                for (int i = 0; i < 5; ++i) ring.read(fd, i < 3 ? skip_success : 0, i < 3 ? 0 : 1);
            });
            sleep_ms(250);
        },
        "fd");
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    if (traced.rows.empty()) GTEST_SKIP() << "no io_uring here";
    EXPECT_EQ(traced.rows.size(), 5U) << traced.result.out;
    EXPECT_EQ(without_end(traced.rows, "io_uring:read"), 3U) << traced.result.out;
    EXPECT_EQ(traced.counter("in flight"), 0U) << traced.result.err;
}

/// A folder's temporary files make room for later ones, also for what was there before and is accessed again. Named
/// files stay.
TRACED_TEST_F(State, FilesOfDirectoriesAreEvicted) {
    const Scratch scratch;
    const std::string directory = scratch.path("folder");
    std::filesystem::create_directory(directory);
    const auto touch = [&](const std::string& path) {
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ::pwrite(fd, "x", 1, 0) != 1) ADD_FAILURE() << path;
        ::close(fd);
    };
    const std::string named = scratch.path("named");
    touch(named);
    touch(directory + "/first");
    // the map has at least this capacity, and reserves some entries for each CPU
    const std::size_t files = 4 * std::max<std::size_t>(1024, std::size_t{256} * std::thread::hardware_concurrency());
    const Traced traced = trace(
        {"--columns", "op,level,file", "--level", "vfs", "-v", "--ring-size", "64", "--max-files", "1024", directory,
         named},
        [&] {
            for (std::size_t i = 0; i < files; ++i) {
                touch(directory + "/temporary");
                std::filesystem::remove(directory + "/temporary");
            }
            touch(directory + "/first");
            touch(named);
        },
        "file");
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    std::map<std::string, std::size_t> rows;
    for (const Row& row : traced.rows) ++rows[row.at("file")];
    EXPECT_EQ(rows[directory + "/temporary"], files) << traced.result.err;
    EXPECT_EQ(rows[directory + "/first"], 1U);
    EXPECT_EQ(rows[named], 1U);
    EXPECT_NE(traced.result.err.find("files of watched directories that were evicted: "), std::string::npos)
        << traced.result.err;
}

/// Bytes per CPU of the per-CPU maps of a program's BPF objects.
std::size_t per_processor(pid_t pid) {
    std::map<std::string, std::size_t> maps;  // by id
    for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fdinfo")) {
        std::map<std::string, std::string> fields;
        for (const std::string& line : split(slurp(fd.path()), '\n')) {
            const std::size_t colon = line.find(":\t");
            if (colon != std::string::npos) fields[line.substr(0, colon)] = line.substr(colon + 2);
        }
        constexpr const char* per_cpu_array = "6";
        if (fields["map_type"] != per_cpu_array) continue;
        maps[fields["map_id"]] = std::stoul(fields["value_size"]) * std::stoul(fields["max_entries"]);
    }
    std::size_t sum = 0;
    for (const auto& [id, bytes] : maps) sum += bytes;
    return sum;
}

/// A machine may have hundreds of CPUs: each has only the scratch memory that the loaded programs need.
TRACED_TEST_F(State, ScratchMemoryIsForWhatIsUsed) {
    const Scratch scratch;
    spit(scratch.path("file"), "x");
    const auto expect_at_most = [](std::size_t max, const std::vector<std::string>& arguments) {
        Tracer tracer(arguments);
        const std::size_t bytes = per_processor(tracer.pid());
        EXPECT_GT(bytes, 0U);
        EXPECT_LE(bytes, max) << arguments.at(0) << " " << arguments.at(1);
        static_cast<void>(tracer.stop());
    };
    const std::string self = std::to_string(::getpid());
    expect_at_most(52 << 10, {"fd", "-v", "-p", self});
    expect_at_most(84 << 10, {"fd", "--domains", "ALL", "-p", self});
    expect_at_most(40 << 10, {"file", scratch.path("file")});
}

/// Names that are unused for a while are dropped: they are sent again with the next call, and at the end of a long one.
TRACED_TEST_F(State, ForgottenNamesAreSentAgain) {
    const Variable period("IOLENS_PERIOD_MS", "50");
    for (const char* variant : {"", "plain"}) {
        const Variable forced("IOLENS_PROBE", variant);
        const Scratch scratch;
        spit(scratch.path("idle"), "idle");
        Tracer tracer({"fd", "-v", "-p", std::to_string(::getpid()), "--op", "pread64,read", "--format", "csv",
                       "--columns", "comm,call,file"});
        in_child([&] {
            const int idle = ::open(scratch.path("idle").c_str(), O_RDONLY);
            const int event = ::eventfd(0, 0);
            std::array<int, 2> sockets{};
            sockets[0] = ::socket(AF_UNIX, SOCK_DGRAM, 0);
            sockets[1] = ::socket(AF_UNIX, SOCK_DGRAM, 0);
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            scratch.path("socket").copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
            const auto* bound = reinterpret_cast<const sockaddr*>(&address);
            if (::bind(sockets[0], bound, sizeof address) != 0) ::_exit(1);
            if (::connect(sockets[1], bound, sizeof address) != 0) ::_exit(1);
            std::array<char, 8> buffer{};
            static_cast<void>(::pread(idle, buffer.data(), 4, 0));
            std::vector<std::thread> waiting;
            for (const int fd : {event, sockets[0]}) {
                waiting.emplace_back([fd] {
                    std::array<char, 8> bytes{};
                    if (::read(fd, bytes.data(), bytes.size()) <= 0) ::_exit(1);
                });
            }
            const std::string other = scratch.path("other");
            for (int i = 0; i < 4096 + 512; ++i) {  // more than the number that never expires; then several periods
                const int fd = ::open((other + std::to_string(i)).c_str(), O_RDWR | O_CREAT, 0600);
                static_cast<void>(::pread(fd, buffer.data(), 1, 0));
                ::close(fd);
                if (i >= 4096 && i % 16 == 0) sleep_ms(20);
            }
            static_cast<void>(::pread(idle, buffer.data(), 4, 0));
            const u64 one = 1;
            if (::write(event, &one, sizeof one) < 0 || ::write(sockets[1], "x", 1) < 0) ::_exit(1);
            for (std::thread& thread : waiting) thread.join();
        });
        const Traced traced{.rows = {}, .result = tracer.stop()};
        std::map<std::string, int> files;
        for (const Row& row : parse_csv(traced.result.out)) {
            EXPECT_FALSE(row.at("comm").empty());
            files[row.at("file")]++;
        }
        EXPECT_EQ(files[""], 0) << variant;
        EXPECT_EQ(files[scratch.path("idle")], 2) << variant;
        EXPECT_EQ(files["anon_inode:[eventfd]"], 1) << variant;
        EXPECT_EQ(files[scratch.path("socket")], 1) << variant;
    }
}

/// A program that blocks in calls and requests until tracing has ended.
class Waiting {
public:
    explicit Waiting(const std::function<void(int)>& wait) {
        if (::pipe(pipe_.data()) != 0) throw std::runtime_error("pipe");
        child_ = ::fork();
        if (child_ != 0) return;
        ::close(pipe_[1]);
        ::alarm(60);
        wait(pipe_[0]);
        ::_exit(0);
    }
    ~Waiting() {
        ::close(pipe_[1]);
        ::waitpid(child_, nullptr, 0);
        ::close(pipe_[0]);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

private:
    std::array<int, 2> pipe_{};
    pid_t child_ = -1;
};

/// When a ring is closed, the kernel cancels its requests in flight, while the process continues.
TRACED_TEST_F(State, RequestsEndWithTheirRing) {
    NEEDS(Uring().here(), "no io_uring here");
    Traced traced;
    {
        std::vector<std::string> words = of_this_process({"--op", "io_uring", "--format", "csv"});
        words.insert(words.begin(), "fd");
        Tracer tracer(words);
        const Waiting waiting([](int fd) {
            for (int i = 0; i < 3; ++i) {
                Uring ring;
                for (int j = 0; j < 4; ++j) ring.read(fd, 0, 0);
            }
            std::array<char, 16> buffer{};
            if (::read(fd, buffer.data(), buffer.size()) != 0) ::_exit(1);
        });
        sleep_ms(500);
        traced.result = tracer.stop();
    }
    traced.rows = parse_csv(traced.result.out);
    EXPECT_EQ(traced.counter("in flight"), 0U) << traced.result.err;
    expect_whole(traced);
    std::erase_if(traced.rows, [](const Row& row) { return row.at("call") != "io_uring:read"; });
    EXPECT_EQ(traced.rows.size(), 12U) << traced.result.out;
}

/// Operations in flight at the end are not lost. They have rows only if requested.
TRACED_TEST_F(State, WhatIsInFlightAtTheEndIsNoLoss) {
    for (const char* variant : {"", "plain"}) {
        const Variable forced("IOLENS_PROBE", variant);
        const std::string self = std::to_string(::getpid());
        Traced json;
        Result csv;
        {
            Tracer first({"fd", "-v", "-p", self, "--format", "json", "--unfinished", "--op", "read"});
            Tracer second({"fd", "-v", "-p", self, "--format", "csv", "--op", "read"});
            const Waiting waiting([](int fd) {
                std::array<char, 16> buffer{};
                if (::read(fd, buffer.data(), buffer.size()) != 0) ::_exit(1);
            });
            sleep_ms(200);
            json.result = first.stop();
            csv = second.stop();
        }
        EXPECT_EQ(json.counter("in flight"), 1U) << json.result.err;
        expect_whole(json);
        EXPECT_NE(csv.err.find("in flight 1\n"), std::string::npos) << csv.err;
        EXPECT_EQ(csv.out.find("pipe:"), std::string::npos) << csv.out;
        std::vector<Json> rows = parse_json_lines(json.result.out);
        std::erase_if(rows, [](const Json& row) { return row["call"] != "read" || row["end"].is_null(); });
        ASSERT_EQ(rows.size(), 1U) << json.result.out;
        EXPECT_EQ(rows[0]["end"], "pending");
        EXPECT_EQ(rows[0]["requested"], 16);
        EXPECT_EQ(rows[0]["kind"], "pipe");
        EXPECT_TRUE(rows[0]["duration_ns"].is_null());
        EXPECT_TRUE(rows[0]["bytes"].is_null());
        EXPECT_TRUE(rows[0]["result"].is_null());
    }
}

/// The state that iolens stores for a thread's current call.
class CallState {
public:
    CallState(const std::string& map, pid_t thread)
        : map_(map_named(map)),
          // task storage is looked up by pidfd
          task_(map == "threads" ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, thread, 0))),
          key_(map == "threads" ? thread : task_.get()) {
        bpf_map_info info{};
        u32 size = sizeof info;
        if (::bpf_obj_get_info_by_fd(map_.get(), &info, &size) == 0) value_.resize(info.value_size);
    }
    bool save() { return ::bpf_map_lookup_elem(map_.get(), &key_, value_.data()) == 0; }
    void remove() const { EXPECT_EQ(::bpf_map_delete_elem(map_.get(), &key_), 0); }
    void restore() const { EXPECT_EQ(::bpf_map_update_elem(map_.get(), &key_, value_.data(), BPF_ANY), 0); }

private:
    Fd map_, task_;
    int key_;
    std::vector<std::byte> value_;
};

/// Takes turns with a child, which waits in readv() or, if it must not make system calls, in a loop.
class Turns {
public:
    explicit Turns(bool calls) : calls_(calls) {
        if (::pipe(pipe_.data()) != 0) throw std::runtime_error("pipe");
        turn_ = new (::mmap(nullptr, sizeof *turn_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
            std::array<std::atomic<int>, 2>{};
    }
    ~Turns() {
        ::munmap(turn_, sizeof *turn_);
        for (const int fd : pipe_) ::close(fd);
    }
    Turns(const Turns&) = delete;
    Turns& operator=(const Turns&) = delete;

    /// For the child: waits for its n-th turn.
    void wait(int n) {
        (*turn_)[1] = n;
        char byte = 0;
        const iovec one{&byte, 1};
        if (calls_) {
            if (::readv(pipe_[0], &one, 1) != 1) ::_exit(9);
        } else {
            while ((*turn_)[0] < n) continue;
        }
    }
    /// For the parent: waits until the child waits for its n-th turn; give() lets it continue.
    [[nodiscard]] bool is_waiting(pid_t child, int n) const {
        return wait_until([&] { return (*turn_)[1] == n && (!calls_ || is_in_call(child, SYS_readv)); });
    }
    void give(int n) {
        (*turn_)[0] = n;
        EXPECT_EQ(::write(pipe_[1], "x", 1), 1);
    }
    static bool is_in_call(pid_t child, long call) {
        return slurp("/proc/" + std::to_string(child) + "/syscall").starts_with(std::to_string(call) + " ");
    }

private:
    bool calls_;
    std::array<int, 2> pipe_{};
    std::array<std::atomic<int>, 2>* turn_ = nullptr;  // turns given, turns reached
};

/// A call whose return was missed gets a row when its thread returns from another call or starts the next one.
TRACED_TEST_F(State, AMissedEndOfACallIsARow) {
    // plain first: its maps are then older, so map_named() does not return them for the other variants
    for (const auto& [variant, calls] : {std::pair("plain", true), std::pair("", true), std::pair("", false)}) {
        const Variable forced("IOLENS_PROBE", variant);
        Turns turns(calls);
        std::array<int, 2> pipe{};
        ASSERT_EQ(::pipe(pipe.data()), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(60);
            std::array<char, 16> buffer{};
            turns.wait(1);
            if (::read(pipe[0], buffer.data(), 16) <= 0) ::_exit(1);
            turns.wait(2);
            if (::read(pipe[0], buffer.data(), 8) <= 0) ::_exit(2);
            ::_exit(0);
        }
        Traced traced;
        {
            Tracer tracer({"fd", "-v", "-p", std::to_string(child), "--format", "json", "--op", "read"});
            turns.give(1);
            EXPECT_TRUE(wait_until([&] { return Turns::is_in_call(child, SYS_read); }));
            CallState state(map_named("thread_storage") ? "thread_storage" : "threads", child);
            EXPECT_TRUE(state.save());
            state.remove();
            EXPECT_EQ(::write(pipe[1], "x", 1), 1);
            EXPECT_TRUE(turns.is_waiting(child, 2));
            state.restore();
            EXPECT_EQ(::write(pipe[1], "x", 1), 1);
            turns.give(2);
            int status = 0;
            ::waitpid(child, &status, 0);
            EXPECT_EQ(status, 0);
            traced.result = tracer.stop(0);
        }
        for (const int fd : pipe) ::close(fd);
        EXPECT_EQ(traced.result.status, 0);
        EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
        EXPECT_EQ(traced.counter("returns without a start"), 1U) << traced.result.err;
        EXPECT_NE(traced.result.err.find("1 row without a latency"), std::string::npos) << traced.result.err;
        std::vector<Json> rows = parse_json_lines(traced.result.out);
        std::erase_if(rows, [](const Json& row) { return row["type"] != "fd"; });
        ASSERT_EQ(rows.size(), 2U) << traced.result.out;
        EXPECT_EQ(rows[0]["end"], "missed");
        EXPECT_EQ(rows[0]["requested"], 16);
        EXPECT_TRUE(rows[0]["duration_ns"].is_null());
        EXPECT_TRUE(rows[0]["bytes"].is_null());
        EXPECT_TRUE(rows[1]["end"].is_null());
        EXPECT_EQ(rows[1]["requested"], 8);
        EXPECT_EQ(rows[1]["bytes"], 1);
    }
}

#if defined(__x86_64__)
/// Calls of 32-bit programs without a decoder are counted as such, and those that seccomp denies as returns without a
/// start.
TRACED_TEST_F(State, UndecodedAndDeniedCallsAreCounted) {
    NEEDS(has_int80(), "the kernel has no system calls of 32-bit programs");
    const Traced traced = trace(
        of_this_process({"--op", "shmget,fsync"}),
        [&] {
            in_child([] {
                constexpr long ipc = 117;
                constexpr u32 shmget = 23;
                for (int i = 0; i < 3; ++i) int80(ipc, {shmget, 1, 0, 0});
            });
            in_child([] {
                std::array<sock_filter, 4> code{
                    sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                    sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_fsync},
                    sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
                    sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
                };
                const sock_fprog filter{code.size(), code.data()};
                ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) ::_exit(1);
                for (int i = 0; i < 5; ++i) {
                    if (::fsync(0) == 0 || errno != EPERM) ::_exit(2);
                }
            });
        },
        "fd");
    EXPECT_NE(traced.result.err.find("lost 3 calls: of 32-bit programs, not decoded"), std::string::npos)
        << traced.result.err;
    EXPECT_EQ(traced.counter("lost"), 3U);
    // also includes calls in progress when tracing began
    EXPECT_GE(traced.counter("returns without a start"), 5U) << traced.result.err;
}
#endif

/// Likewise for files: traced at filesystem functions or as system calls.
TRACED_TEST_F(State, TheLedgerOfFilesBalances) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1 << 20, 'x'));
    const Traced traced = trace(
        {"-v", "--min-ms", "0", path},
        [&] {
            in_child([&] {
                submit_reads(::open(path.c_str(), O_RDONLY));
                const int fd = ::open(path.c_str(), O_RDWR);
                std::array<char, 4096> buffer{};
                for (int i = 0; i < 100; ++i) {
                    if (::pwrite(fd, buffer.data(), buffer.size(), i * 4096) < 0) ::_exit(1);
                }
                ::fsync(fd);
            });
            sleep_ms(250);
        },
        "file");
    EXPECT_EQ(traced.counter("lost"), 0U) << traced.result.err;
    EXPECT_GE(traced.rows.size(), std::size_t{100 + in_flight}) << traced.result.err;
}

}  // namespace
}  // namespace iolens::test
