// SPDX-License-Identifier: Apache-2.0
// Rounds of a live test, and the witnesses that can explain a difference.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <set>
#include <string_view>

#include "base/fd.h"
#include "machine.h"

namespace iolens::test {

Process process(pid_t pid) {
    const std::string text = slurp("/proc/" + std::to_string(pid) + "/stat");
    Process found;
    const std::size_t end = text.rfind(')');
    if (end != std::string::npos) {
        int ignored = 0;
        std::sscanf(text.c_str() + end + 2, "%*c %d %d %d %d %d %u", &found.parent, &ignored, &ignored, &ignored,
                    &ignored, &found.flags);
    }
    return found;
}

bool descends_from(pid_t pid, pid_t ancestor) {
    while (pid > 1 && pid != ancestor) pid = process(pid).parent;
    return pid == ancestor;
}

namespace {

namespace fs = std::filesystem;

bpf_prog_info program_info(const Fd& program) {
    bpf_prog_info info{};
    u32 size = sizeof info;
    if (::bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) return {};
    return info;
}

/// Runs of iolens's programs that the kernel skipped. The test holds fds of the programs, so that it can read their
/// statistics after iolens has exited.
class SkippedRuns {
public:
    SkippedRuns() {
        each_new([](Fd) {});
    }

    /// Adds programs that were loaded since the last call.
    void look() {
        each_new([&](Fd program) {
            if (std::strncmp(program_info(program).name, "iolens_", 7) == 0) programs_.push_back(std::move(program));
        });
    }

    [[nodiscard]] u64 count() const {
        u64 sum = 0;
        for (const Fd& program : programs_) sum += program_info(program).recursion_misses;
        return sum;
    }

private:
    template <typename F>
    void each_new(F&& each) {
        u32 next = 0;
        while (::bpf_prog_get_next_id(last_, &next) == 0) {
            last_ = next;
            Fd program(::bpf_prog_get_fd_by_id(next));
            if (program) each(std::move(program));
        }
    }

    u32 last_ = 0;
    std::vector<Fd> programs_;
};

/// True for a process that is neither a kernel thread nor part of the test. False if it is gone: foreign processes
/// stay.
bool is_foreign(pid_t pid) {
    constexpr unsigned kernel_thread = 0x00200000;  // PF_KTHREAD
    const Process found = process(pid);
    return found.flags != 0 && (found.flags & kernel_thread) == 0 && !descends_from(pid, ::getpid());
}

/// Completions that interrupted foreign processes, from tracefs.
class ForeignCompletions {
public:
    ForeignCompletions() {
        if (emulated() || tracefs().empty()) return;
        place_ = tracefs() + "/instances/iolens-rounds-" + std::to_string(::getpid());
        std::error_code error;
        fs::create_directory(place_, error);
        spit(place_ + "/buffer_size_kb", "4096");
        spit(place_ + "/events/block/block_rq_complete/enable", "1");
    }
    ~ForeignCompletions() {
        std::error_code error;
        if (!place_.empty()) fs::remove(place_, error);
    }
    ForeignCompletions(const ForeignCompletions&) = delete;
    ForeignCompletions& operator=(const ForeignCompletions&) = delete;

    [[nodiscard]] u64 count() const {
        if (place_.empty()) return 0;
        u64 sum = 0;
        std::map<pid_t, bool> known;
        for (const std::string& line : split(slurp(place_ + "/trace"), '\n')) {
            // "  comm-PID   [001] ..."; a comm may contain dashes and blanks
            const std::size_t end = line.find_last_not_of(' ', line.find(" ["));
            if (line.starts_with('#') || end == std::string::npos) continue;
            const std::size_t dash = line.rfind('-', end);
            if (dash == std::string::npos) continue;
            const auto pid = static_cast<pid_t>(std::strtol(line.c_str() + dash + 1, nullptr, 10));
            const auto [at, fresh] = known.try_emplace(pid, false);
            if (fresh) at->second = pid > 0 && is_foreign(pid);
            sum += at->second ? 1 : 0;
        }
        return sum;
    }

private:
    std::string place_;
};

void report(const testing::TestPartResult& result) {
    const char* file = result.file_name();
    testing::internal::AssertHelper(result.type(), file == nullptr ? "" : file, result.line_number(),
                                    result.message()) = testing::Message();
}

/// Allows only one run of the live tests at a time on a machine.
class MachineLock : public testing::Environment {
public:
    void SetUp() override {
        if (::geteuid() != 0) return;
        lock_ = Fd(::open("/run/iolens-live-tests.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!lock_) return;
        if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return;
        std::fputs("waiting for another run of the live tests on this machine\n", stderr);
        while (::flock(lock_.get(), LOCK_EX) != 0 && errno == EINTR) {
        }
    }

private:
    Fd lock_;
};

const auto* const machine_lock = testing::AddGlobalTestEnvironment(new MachineLock);

}  // namespace

std::vector<u32> loaded_programs() {
    std::vector<u32> ids;
    u32 id = 0;
    while (::bpf_prog_get_next_id(id, &id) == 0) {
        const Fd program(::bpf_prog_get_fd_by_id(id));
        if (program && std::strncmp(program_info(program).name, "iolens_", 7) == 0) ids.push_back(id);
    }
    return ids;
}

Fd map_named(const std::string& name) {
    Fd last;
    u32 id = 0;
    while (::bpf_map_get_next_id(id, &id) == 0) {
        Fd map(::bpf_map_get_fd_by_id(id));
        bpf_map_info info{};
        u32 size = sizeof info;
        if (!map || ::bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) continue;
        if (name == static_cast<const char*>(info.name)) last = std::move(map);
    }
    return last;
}

void run_rounds(int rounds, const std::function<void()>& round) {
    const int max_repetitions = emulated() ? 9 : 3;
    int repetitions = 0;
    for (int done = 0; done < rounds;) {
        SkippedRuns skipped;
        const ForeignCompletions foreign;
        const u64 losses = losses_reported();
        testing::TestPartResultArray results;
        {
            const WhileWaiting looking([&] { skipped.look(); });
            const testing::ScopedFakeTestPartResultReporter reporter(
                testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &results);
            round();
        }
        bool failed = false;
        for (int i = 0; i < results.size(); ++i) {
            const testing::TestPartResult& result = results.GetTestPartResult(i);
            failed = failed || result.failed();
            if (result.skipped()) {
                report(result);
                return;
            }
        }
        const u64 runs = skipped.count();
        const u64 completions = foreign.count();
        if (failed && repetitions < max_repetitions && losses_reported() > losses && runs + completions > 0) {
            ++repetitions;
            const std::string why = "the kernel skipped " + std::to_string(runs) + " runs of programs, and " +
                                    std::to_string(completions) + " completions interrupted other processes";
            std::printf("round %d is repeated: %s\n", done + 1, why.c_str());
            testing::Test::RecordProperty("repeated", repetitions);
            testing::Test::RecordProperty("repeated_why", why);
            continue;
        }
        for (int i = 0; i < results.size(); ++i) report(results.GetTestPartResult(i));
        if (failed) {
            std::printf(
                "round %d of %d failed, after %d repeated ones (losses reported: %d, runs skipped: %d, completions on "
                "other processes: %d)\n",
                done + 1, rounds, repetitions, static_cast<int>(losses_reported() - losses), static_cast<int>(runs),
                static_cast<int>(completions));
            return;
        }
        ++done;
    }
}

}  // namespace iolens::test
