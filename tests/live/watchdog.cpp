// SPDX-License-Identifier: Apache-2.0
// A live test that waits for something that never comes fails by its name, and says what every process was waiting for.
#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "machine.h"
#include "run.h"

namespace iolens::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// The longest that passes, on an emulated machine with rounds repeated, takes less than 60 s.
constexpr auto limit = 240s;
constexpr auto last_wait = 30s;

/// A file of /proc on one line; "?" where it cannot be read.
std::string line_of(const fs::path& file) {
    std::string text = slurp(file.string());
    for (char& c : text) {
        if (c == '\n' || c == '\0') c = ' ';
    }
    return text.empty() ? "?" : text;
}

/// Prints the state and kernel stack of each thread of this process, its descendants and iolens, and kills its
/// children. A test that waits for one of them then goes on, and fails.
void say_and_kill() {
    for (const fs::directory_entry& directory : fs::directory_iterator("/proc")) {
        const pid_t pid = std::atoi(directory.path().filename().c_str());
        if (pid <= 0) continue;
        if (!descends_from(pid, ::getpid()) && !line_of(directory.path() / "comm").starts_with("iolens")) continue;
        std::error_code gone;
        for (const fs::directory_entry& thread : fs::directory_iterator(directory.path() / "task", gone)) {
            std::fprintf(stderr, "    %s\n        %s\n", line_of(thread.path() / "stat").c_str(),
                         line_of(thread.path() / "stack").c_str());
        }
        if (process(pid).parent == ::getpid()) ::kill(pid, SIGKILL);
    }
}

class Watchdog : public testing::EmptyTestEventListener {
public:
    void OnTestProgramStart(const testing::UnitTest&) override {
        thread_ = std::jthread([this] { watch(); });
    }

    void OnTestStart(const testing::TestInfo& test) override {
        set(std::string(test.test_suite_name()) + "." + test.name());
    }
    void OnTestEnd(const testing::TestInfo&) override { set(""); }

    void OnTestProgramEnd(const testing::UnitTest&) override {
        {
            const std::lock_guard held(mutex_);
            ended_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }

private:
    void set(std::string name) {
        {
            const std::lock_guard held(mutex_);
            test_ = std::move(name);
            ++number_;
        }
        changed_.notify_one();
    }

    void watch() {
        std::unique_lock held(mutex_);
        while (!ended_) {
            const u64 now = number_;
            const auto next = [&] { return ended_ || number_ != now; };
            if (test_.empty()) {
                changed_.wait(held, next);
                continue;
            }
            if (changed_.wait_for(held, limit, next)) continue;
            std::fprintf(stderr, "%s has not ended in %lld s; what each thread waits for:\n", test_.c_str(),
                         static_cast<long long>(limit.count()));
            say_and_kill();
            ADD_FAILURE() << test_ << " did not end by itself";
            if (changed_.wait_for(held, last_wait, next)) continue;
            std::fprintf(stderr, "%s does not end\n", test_.c_str());
            std::abort();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::string test_;  // empty between two tests
    u64 number_ = 0;    // of tests that began or ended
    bool ended_ = false;
    std::jthread thread_;
};

[[maybe_unused]] const bool added = [] {
    testing::UnitTest::GetInstance()->listeners().Append(new Watchdog);  // gtest deletes it
    return true;
}();

}  // namespace
}  // namespace iolens::test
