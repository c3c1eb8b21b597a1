// SPDX-License-Identifier: Apache-2.0
#include "lens/file/serve/serve.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <future>

namespace iolens {
namespace {

/// A watcher for which every path exists. The test selects the file of a path.
class FakeFiles final : public FileWatcher, public Source {
public:
    FoundFile find(const std::string& path, const Credentials& /*as*/) override {
        FoundFile found;
        found.what.id = {.ino = 1, .dev = 8U << 20, .generation = generation_of[path]};
        found.what.mode = 0100644;
        found.disk = "sda";
        return found;
    }
    void watch(const FoundFile& found) override {
        watched.push_back(found.what.id);
        if (while_watching) while_watching();
    }
    void unwatch(const iolens_file_id& file) override { std::erase(watched, file); }
    bool follow(const FoundFile& /*found*/, const iolens_file_id& /*first*/) override { return false; }
    void unfollow(const iolens_watch_name& /*name*/) override {}
    std::optional<iolens_file_id> first_of(const iolens_file_id& /*file*/) override { return {}; }
    Source& source() override { return *this; }
    int descriptor() const override { return -1; }
    std::size_t read(Receiver& /*receiver*/) override { return 0; }
    bool ended() const override { return false; }
    void stop() override {}
    iolens_loss ledger() const override { return {}; }
    u64 wall_offset_ns() const override { return 0; }

    std::function<void()> while_watching;
    std::map<std::string, u32> generation_of;
    std::vector<iolens_file_id> watched;
};

class FileServe : public testing::Test {
protected:
    int write(const std::string& text) { return tree_.write("/control", text, {.pid = ::getpid()}); }
    std::string control() { return tree_.read("/control")->more(); }

    std::unique_ptr<FakeFiles> made_ = std::make_unique<FakeFiles>();
    FakeFiles& files_ = *made_;
    LogTree tree_{std::move(made_), 10};
};

TEST_F(FileServe, AFileWhoseNameIsTakenCanStillBeRemoved) {
    EXPECT_EQ(write("add /nowhere/a"), 0);
    files_.generation_of["/nowhere/b"] = 2;
    EXPECT_EQ(write("add /nowhere/b"), 0);
    files_.generation_of["/nowhere/a"] = 2;  // renamed
    EXPECT_EQ(write("add /nowhere/a"), 0);
    EXPECT_EQ(control(), "sda_1 /nowhere/a (deleted)\nsda_1_2 /nowhere/a /nowhere/b\n");
    files_.generation_of["/nowhere/a"] = 3;
    files_.generation_of["/nowhere/b"] = 3;
    EXPECT_EQ(write("add /nowhere/b"), 0);
    EXPECT_EQ(write("add /nowhere/a"), 0);
    EXPECT_EQ(control(),
              "sda_1 /nowhere/a (deleted)\nsda_1_2 /nowhere/a (deleted) (deleted)\nsda_1_3 /nowhere/a /nowhere/b\n");
    for (const char* name : {"/nowhere/a (deleted)", "/nowhere/a (deleted) (deleted)", "/nowhere/a", "/nowhere/b"}) {
        EXPECT_EQ(write(std::string("remove ") + name), 0) << name;
    }
    EXPECT_EQ(control(), "");
    EXPECT_TRUE(files_.watched.empty());
}

TEST(FileServeMemory, AllLogsTogetherHaveALimit) {
    auto made = std::make_unique<FakeFiles>();
    FakeFiles& files = *made;
    for (const char* name : {"a", "b", "c"})
        files.generation_of[std::string("/nowhere/") + name] = static_cast<u32>(name[0]);
    LogTree tree(std::move(made), 10, 100 * sizeof(LoggedAccess));
    const auto write = [&](const std::string& text) { return tree.write("/control", text, {.pid = ::getpid()}); };
    EXPECT_EQ(write("add /nowhere/a 101"), ENOMEM);
    EXPECT_TRUE(files.watched.empty());
    EXPECT_EQ(write("add /nowhere/a 60"), 0);
    EXPECT_EQ(write("add /nowhere/b 41"), ENOMEM);
    EXPECT_EQ(write("add /nowhere/b 40"), 0);
    EXPECT_EQ(write("add /nowhere/c"), ENOMEM) << "the default counts, too";
    EXPECT_EQ(write("add /nowhere/a 61"), ENOMEM);
    EXPECT_EQ(write("add /nowhere/a 50"), 0);
    EXPECT_EQ(write("add /nowhere/c"), 0);
    EXPECT_EQ(write("remove /nowhere/b"), 0);
    EXPECT_EQ(write("add /nowhere/c 50"), 0);
    EXPECT_NE(tree.read("/status")->more().find(fmt::format("most_memory_bytes {}\n", 100 * sizeof(LoggedAccess))),
              std::string::npos);
}

/// Data that a reader has not read yet stays in memory when the log has advanced; there is a limit for it, too.
TEST(FileServeMemory, ReadersHaveALimit) {
    auto made = std::make_unique<FakeFiles>();
    FakeFiles& files = *made;
    LogTree tree(std::move(made), 10, 10 * sizeof(LoggedAccess));
    ASSERT_EQ(tree.write("/control", "add /nowhere/a", {.pid = ::getpid()}), 0);
    iolens_vfs_event e{};
    e.h = {.ts = ~u64{0}, .kind = IOLENS_KIND_VFS, .size = sizeof e, .cpu = 0};
    e.start = ~u64{0};
    e.op = IOLENS_VFS_READ;
    e.id = files.watched.at(0);
    for (int i = 0; i < 6; ++i) tree.record(std::as_bytes(std::span(&e, 1)));
    const std::unique_ptr<TreeReader> first = tree.read("/sda_1/log");
    EXPECT_THROW(tree.read("/sda_1/log"), std::bad_alloc);
    while (!first->more().empty()) {
    }
    EXPECT_EQ(first->more(), "");  // it has reached the end, and holds no memory
    EXPECT_NE(tree.read("/sda_1/log"), nullptr);
}

TEST_F(FileServe, LogsAreReadWhileAnotherFileIsAttached) {
    EXPECT_EQ(write("add /nowhere/a"), 0);
    files_.generation_of["/nowhere/b"] = 2;
    bool read = false;
    std::future<std::string> other;
    files_.while_watching = [&] {
        other = std::async(std::launch::async, [&] {
            tree_.drain();
            return tree_.read("/sda_1/log")->more() + tree_.read("/sda_1/control")->more();
        });
        read = other.wait_for(std::chrono::seconds(5)) == std::future_status::ready;
    };
    EXPECT_EQ(write("add /nowhere/b"), 0);
    EXPECT_TRUE(read);
    EXPECT_TRUE(other.get().ends_with(" 10 0\n"));
    files_.while_watching = nullptr;
    EXPECT_EQ(control(), "sda_1 /nowhere/a\nsda_1_2 /nowhere/b\n");
}

}  // namespace
}  // namespace iolens
