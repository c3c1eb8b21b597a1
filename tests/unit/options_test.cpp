// SPDX-License-Identifier: Apache-2.0
#include "lens/options.h"
#include "lens/filter.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "base/failure.h"
#include "run.h"

namespace iolens {
namespace {

/// A parser that records which field each option sets.
class RecordedFlags final : public Flags {
public:
    void toggle(const char* names, bool& target, const char* help) override { record(names, &target, help); }
    void toggle_word(const char* names, std::string& target, const char* /*word*/, const char* help) override {
        record(names, &target, help);
    }
    void text(const char* names, std::string& target, const char* /*word*/, const char* help) override {
        record(names, &target, help);
    }
    void list(const char* names, std::vector<std::string>& target, const char* /*word*/, const char* help) override {
        record(names, &target, help);
    }
    void numbers(const char* names, std::vector<u64>& target, u64 min, u64 max, const char* /*word*/,
                 const char* help) override {
        EXPECT_LT(min, max) << names;
        record(names, &target, help);
    }
    void number(const char* names, std::optional<u64>& target, u64 min, u64 max, const char* /*word*/,
                const char* help) override {
        EXPECT_LT(min, max) << names;
        limits[names] = {min, max};
        record(names, &target, help);
    }
    void time(const char* names, std::optional<u64>& target, u64 bare_ns, u64 min, u64 max, const char* /*word*/,
              const char* help) override {
        EXPECT_NE(bare_ns, 0U) << names;
        EXPECT_LT(min, max) << names;
        record(names, &target, help);
    }
    void size(const char* names, std::optional<u64>& target, u64 bare, u64 min, u64 max, const char* /*word*/,
              const char* help) override {
        EXPECT_NE(bare, 0U) << names;
        EXPECT_LT(min, max) << names;
        record(names, &target, help);
    }

    std::map<std::string, const void*> targets;  // by name
    std::map<std::string, std::pair<u64, u64>> limits;

private:
    void record(const std::string& names, const void* target, const std::string& help) {
        EXPECT_NE(help, "") << names;
        EXPECT_TRUE(filled_.insert(target).second) << names << " sets the same field as another option";
        for (const std::string& name : test::split(names, ',')) {
            EXPECT_TRUE(targets.emplace(name, target).second) << name << " is defined twice";
        }
    }
    std::set<const void*> filled_;
};

/// Runs `what` and returns the failure's sentence; "" if it succeeds.
std::string failure_of(const std::function<void()>& what) {
    try {
        what();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), Exit::usage);
        EXPECT_NE(failure.hint(), "");
        return failure.what();
    }
    return {};
}

TEST(Options, EachSetsItsOwnField) {
    RecordedFlags flags;
    ViewOptions view;
    LiveOptions live;
    OptionHelp help;
    help.interval = "of a lens that has it";
    add_view_flags(flags, view, help);
    add_live_flags(flags, live, help);
    const std::map<std::string, const void*> expected{{"-t", &view.wall},
                                                      {"--pid", &view.pids},
                                                      {"--tid", &view.tid},
                                                      {"--comm", &view.comm},
                                                      {"--op", &view.ops},
                                                      {"-m", &view.min_ns},
                                                      {"--min-ms", &view.min_ns},
                                                      {"--count", &view.count},
                                                      {"-o", &view.output},
                                                      {"--columns", &view.columns},
                                                      {"--no-header", &view.no_header},
                                                      {"--summary", &view.summary_by},
                                                      {"--no-summary", &view.no_summary},
                                                      {"-v", &view.verbose},
                                                      {"-c", &live.cgroup},
                                                      {"--uid", &live.uid},
                                                      {"-D", &live.duration_ns},
                                                      {"--interval", &live.interval_ns},
                                                      {"--record", &live.record},
                                                      {"--socket", &live.socket},
                                                      {"--ring-size", &live.ring_bytes},
                                                      {"--max-inflight", &live.max_inflight}};
    for (const auto& [name, target] : expected) {
        ASSERT_TRUE(flags.targets.contains(name)) << name;
        EXPECT_EQ(flags.targets[name], target) << name;
    }
    // root is a user, too
    EXPECT_EQ(flags.limits["--uid"].first, 0U);
}

TEST(Options, OnlyALensWithIntervalsHasThem) {
    RecordedFlags flags;
    LiveOptions live;
    add_live_flags(flags, live);
    EXPECT_FALSE(flags.targets.contains("--interval"));
}

TEST(Options, TheRingSizeIsAPowerOfTwo) {
    LiveOptions live;
    EXPECT_EQ(ring_bytes(live), u64{8} << 20);
    for (const u64 mib : {u64{1}, u64{2}, u64{1024}}) {
        live.ring_bytes = mib << 20;
        EXPECT_EQ(ring_bytes(live), mib << 20);
    }
    for (const u64 mib : {u64{3}, u64{6}, u64{1023}}) {
        live.ring_bytes = mib << 20;
        EXPECT_NE(failure_of([&] { ring_bytes(live); }).find(std::to_string(mib) + "MiB"), std::string::npos) << mib;
    }
}

TEST(TaskFilters, ByDefaultExcludeOnlyIolens) {
    Fd cgroup;
    const auto filters = task_filters({}, {}, cgroup);
    EXPECT_EQ(filters.pid_count, 0U);
    EXPECT_EQ(filters.by_tid, 0);
    EXPECT_EQ(filters.by_uid, 0);
    EXPECT_EQ(filters.by_comm, 0);
    EXPECT_EQ(filters.by_cgroup, 0);
    EXPECT_EQ(filters.min_ns, 0U);
    EXPECT_EQ(filters.self[0], static_cast<u32>(::getpid()));
    EXPECT_EQ(filters.self[1], 0U);
    EXPECT_FALSE(cgroup);
}

TEST(TaskFilters, FollowTheOptions) {
    ViewOptions view;
    view.pids = {1, 0x7fffffff};
    view.tid = 5;
    view.min_ns = 1'500'000;
    LiveOptions live;
    live.uid = 0;
    Fd cgroup;
    const auto filters = task_filters(view, live, cgroup);
    EXPECT_EQ(filters.pid_count, 2U);
    EXPECT_EQ(filters.pids[0], 1U);
    EXPECT_EQ(filters.pids[1], 0x7fffffffU);
    EXPECT_EQ(filters.by_tid, 1);
    EXPECT_EQ(filters.tid, 5U);
    EXPECT_EQ(filters.by_uid, 1);
    EXPECT_EQ(filters.uid, 0U);
    EXPECT_EQ(filters.min_ns, 1'500'000U);
}

TEST(TaskFilters, RejectTooManyProcesses) {
    ViewOptions view;
    Fd cgroup;
    const std::size_t max = std::size(task_filters(view, {}, cgroup).pids);
    for (u64 pid = 1; pid <= max; ++pid) view.pids.push_back(pid);
    EXPECT_EQ(task_filters(view, {}, cgroup).pid_count, max);
    view.pids.push_back(99);
    EXPECT_NE(failure_of([&] { task_filters(view, {}, cgroup); }).find(fmt::format("at most {}", max)),
              std::string::npos);
}

TEST(TaskFilters, TruncateANameLikeTheKernel) {
    ViewOptions view;
    Fd cgroup;
    for (const std::string& comm : {std::string("dd"), std::string(15, 'x'), std::string(1000, 'x')}) {
        view.comm = comm;
        const auto filters = task_filters(view, {}, cgroup);
        EXPECT_EQ(filters.by_comm, 1);
        EXPECT_EQ(std::string(reinterpret_cast<const char*>(static_cast<const u8*>(filters.comm))), comm.substr(0, 15));
    }
}

TEST(TaskFilters, RejectWhatIsNotACgroupV2Directory) {
    const test::Scratch scratch;
    test::spit(scratch.path("file"), "");
    LiveOptions live;
    Fd cgroup;
    for (const auto& [path, words] : std::map<std::string, std::string>{{scratch.path("missing"), "No such file"},
                                                                        {scratch.path("file"), "Not a directory"},
                                                                        {"/proc", "cgroup v2"},
                                                                        {scratch.path(), "cgroup v2"}}) {
        live.cgroup = path;
        const std::string sentence = failure_of([&] { task_filters({}, live, cgroup); });
        EXPECT_NE(sentence.find(words), std::string::npos) << sentence;
        EXPECT_NE(sentence.find(path), std::string::npos) << sentence;
    }
}

TEST(TaskFilters, KeepTheCgroupOpen) {
    LiveOptions live;
    std::ifstream mounts("/proc/self/mounts");
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream words(line);
        std::string source;
        std::string place;
        std::string type;
        words >> source >> place >> type;
        if (type == "cgroup2") live.cgroup = place;
    }
    if (live.cgroup.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy is mounted";
    Fd cgroup;
    EXPECT_EQ(task_filters({}, live, cgroup).by_cgroup, 1);
    EXPECT_TRUE(cgroup);
}

}  // namespace
}  // namespace iolens
