// SPDX-License-Identifier: Apache-2.0
#include "base/directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>
#include <string>

#include "run.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

/// More entries than one read of a directory returns.
constexpr int many = 5000;

std::string full_directory(const test::Scratch& scratch) {
    std::string path = scratch.path("directory");
    fs::create_directory(path);
    for (int i = 0; i < many; ++i) test::spit(path + "/" + std::to_string(i), "");
    return path;
}

TEST(Directory, EachEntryIsVisitedOnce) {
    const test::Scratch scratch;
    std::set<std::string> names;
    for_each_entry(full_directory(scratch), [&](const fs::directory_entry& e) {
        EXPECT_TRUE(names.insert(e.path().filename().string()).second);
    });
    EXPECT_EQ(names.size(), static_cast<std::size_t>(many));
}

TEST(Directory, OneThatIsNotThereHasNoEntries) {
    const test::Scratch scratch;
    for_each_entry(scratch.path("missing"), [](const fs::directory_entry&) { FAIL(); });
}

TEST(Directory, OneThatVanishesEnds) {
    const test::Scratch scratch;
    const std::string path = full_directory(scratch);
    int visited = 0;
    for_each_entry(path, [&](const fs::directory_entry&) {
        if (visited++ == 0) fs::remove_all(path);
    });
    EXPECT_GT(visited, 0);
    EXPECT_LT(visited, many);
}

/// As in /proc for an exited process, the kernel returns an error for the rest of the directory. Here another file
/// replaces the directory's descriptor.
TEST(Directory, OneThatCannotBeReadAnyFurtherEnds) {
    const test::Scratch scratch;
    const std::string path = full_directory(scratch);
    int visited = 0;
    EXPECT_NO_THROW(for_each_entry(path, [&](const fs::directory_entry&) {
        if (visited++ != 0) return;
        for (int fd = 3; fd < 100; ++fd) {
            std::error_code error;
            if (fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error) != fs::canonical(path)) continue;
            const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
            EXPECT_EQ(::dup2(file, fd), fd);
            ::close(file);
        }
    }));
    EXPECT_GT(visited, 0);
    EXPECT_LT(visited, many);
}

}  // namespace
}  // namespace iolens
