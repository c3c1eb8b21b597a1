// SPDX-License-Identifier: Apache-2.0
// iolens file tells watched files from all others, which a table of bytes rules out first.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "accesses.h"
#include "base/fd.h"
#include "iolens/watch.h"
#include "machine.h"

namespace iolens::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class FileWatch : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// A file system in memory, which numbers its inodes one after another.
class Memory {
public:
    Memory() : mounted_(::mount("tmpfs", scratch_.path().c_str(), "tmpfs", 0, "") == 0) {}
    ~Memory() {
        if (mounted_) ::umount2(scratch_.path().c_str(), MNT_DETACH);
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    [[nodiscard]] bool mounted() const { return mounted_; }
    [[nodiscard]] std::string path(const std::string& name = {}) const { return scratch_.path(name); }

private:
    Scratch scratch_;
    bool mounted_;
};

u32 place_of(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return iolens_watch_place(info.st_ino, ::major(info.st_dev) << 20 | ::minor(info.st_dev));
}

/// Makes files, or directories, until one has the same byte in the tables as another path. False: none had.
bool make_with_byte_of(const std::string& other, const std::string& path, bool directory = false) {
    const u32 wanted = place_of(other);
    for (u32 i = 0; i < 2 * IOLENS_WATCH_BUCKETS; ++i) {
        if (directory) {
            EXPECT_EQ(::mkdir(path.c_str(), 0700), 0);
        } else {
            const Fd made(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
            EXPECT_TRUE(made);
        }
        if (testing::Test::HasFailure()) return false;
        if (place_of(path) == wanted) return true;
        directory ? ::rmdir(path.c_str()) : ::unlink(path.c_str());
    }
    return false;
}

void read_some(const std::string& path, std::size_t bytes) {
    std::array<char, 4096> data{};
    const Fd fd(::open(path.c_str(), O_RDONLY));
    EXPECT_EQ(::pread(fd.get(), data.data(), bytes, 0), static_cast<ssize_t>(bytes)) << path;
}

/// "bytes name" of each read.
Words reads(const Traced& t) {
    Words seen;
    for (const Row& row : rows_of(t, "VFS", "read"))
        seen.push_back(row.at("bytes") + " " + std::string(fs::path(row.at("file")).filename()));
    return seen;
}

TRACED_TEST_F(FileWatch, FilesWithTheSameByteAreToldApart) {
    NEEDS(!emulated(), "creates tens of thousands of files, which takes minutes on an emulated processor");
    const Memory memory;
    NEEDS(memory.mounted(), "can't mount a tmpfs");
    const std::string path = memory.path("data");
    const std::string other = memory.path("other");
    make_file(path, 100);
    NEEDS(make_with_byte_of(path, other), "the inode numbers of this tmpfs are not consecutive");
    make_file(other, 100);
    EXPECT_EQ(place_of(path), place_of(other));
    const std::string in = memory.path("in");
    const std::string beside = memory.path("beside");
    fs::create_directory(in);
    ASSERT_TRUE(make_with_byte_of(in, beside, true));
    make_file(in + "/a", 100);
    make_file(beside + "/b", 100);
    const auto work = [&] {
        for (std::size_t i = 1; i <= 3; ++i) {
            read_some(other, 10 + i);
            read_some(path, 20 + i);
            read_some(beside + "/b", 30 + i);
            read_some(in + "/a", 40 + i);
        }
    };
    each_probe({path, in, "--level", "vfs"}, work, [](const Traced& t) {
        EXPECT_EQ(reads(t), (Words{"21 data", "41 a", "22 data", "42 a", "23 data", "43 a"})) << t.result.out;
    });
    each_probe({"--recursive", in, "--level", "vfs"}, work,
               [](const Traced& t) { EXPECT_EQ(reads(t), (Words{"41 a", "42 a", "43 a"})) << t.result.out; });
}

/// Names of each length that is hashed in its own way, and one that has the same length, start and end.
TRACED_TEST_F(FileWatch, NamesOfEachLengthAreFollowed) {
    const FileSystem ext4("ext4");
    const std::string long_name = "0123456789 a name that does not fit in a dentry 0123456789";
    const Words names{"a", "1234567", "12345678", "123456789", "12345678-12345678", long_name, std::string(255, 'n')};
    const std::string like = "12345678+12345678";
    Words paths;
    for (const std::string& name : names) paths.push_back(ext4.path(name));
    for (const std::string& path : paths) make_file(path, 100);
    Words options = paths;
    options.insert(options.end(), {"--level", "vfs"});
    fs::create_directory(ext4.path("elsewhere"));
    each_probe(
        options,
        [&] {
            for (const std::string& path : paths) {  // by a rename, and made again
                make_file(ext4.path("new"), 100);
                ASSERT_EQ(::rename(ext4.path("new").c_str(), path.c_str()), 0);
                read_some(path, 1);
                ASSERT_EQ(::unlink(path.c_str()), 0);
                make_file(path, 50);
                const std::string link = ext4.path("elsewhere/link");
                ASSERT_EQ(::link(path.c_str(), link.c_str()), 0);
                read_some(link, 2);
                ASSERT_EQ(::unlink(link.c_str()), 0);
            }
            make_file(ext4.path(like), 60);
            read_some(ext4.path(like), 3);
        },
        [&](const Traced& t) {
            Words expected;
            for (const std::string& name : names) expected.insert(expected.end(), {"1 " + name, "2 link"});
            EXPECT_EQ(reads(t), expected) << t.result.out;
            EXPECT_EQ(rows_of(t, "VFS", "write").size(), names.size()) << t.result.out;
        });
}

TRACED_TEST_F(FileWatch, TenThousandFiles) {
    const Memory memory;
    NEEDS(memory.mounted(), "can't mount a tmpfs");
    const std::size_t files = emulated() ? 2000 : 10000;
    const std::string deep = memory.path("in/a/b/c/d/e");
    fs::create_directories(deep);
    fs::create_directories(memory.path("out"));
    const auto name = [&](std::size_t i) { return (i % 2 != 0 ? deep : memory.path("in")) + "/" + std::to_string(i); };
    for (std::size_t i = 0; i < files / 2; ++i) make_file(name(i), 10);
    for (std::size_t i = 0; i < files; ++i) make_file(memory.path("out/" + std::to_string(i)), 10);
    each_probe(
        {"--recursive", memory.path("in"), "--level", "vfs", "--op", "read"},
        [&] {
            for (std::size_t i = 0; i < files; ++i) {
                if (i >= files / 2) make_file(name(i), 10);  // while it is traced
                read_some(name(i), 5);
                read_some(memory.path("out/" + std::to_string(i)), 6);
            }
            for (std::size_t i = files / 2; i < files; ++i) ::unlink(name(i).c_str());
        },
        [&](const Traced& t) {
            std::map<std::string, int> rows;
            for (const Row& row : t.rows) {
                EXPECT_EQ(row.at("bytes"), "5");
                ++rows[row.at("file")];
            }
            EXPECT_EQ(rows.size(), files);
            EXPECT_TRUE(std::ranges::all_of(rows, [](const auto& row) { return row.second == 1; }));
        });
}

/// More threads in calls at once than the table that counts them has places.
TRACED_TEST_F(FileWatch, ThreadsThatShareAPlaceLoseNoRow) {
    NEEDS(!emulated() && kernel_is_since(6, 2), "here, threads are stored in a map of this size, too");
    constexpr int threads = 200;
    constexpr int rounds = 20;
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    const std::string other = ext4.path("other");
    make_file(path, 256 * kib);
    make_file(other, 64 * kib);
    const auto work = [&] {
        std::vector<std::thread> all;
        std::atomic<int> failed = 0;
        for (int i = 0; i < threads; ++i) {
            all.emplace_back([&, i] {
                const Fd direct(::open(path.c_str(), O_RDONLY | O_DIRECT));
                const Fd cached(::open(other.c_str(), O_RDONLY));
                alignas(page) std::array<char, page> data{};
                for (int round = 0; round < rounds; ++round) {
                    const off_t at = static_cast<off_t>((i + round) % 64 * page);
                    if (::pread(direct.get(), data.data(), page, at) != static_cast<ssize_t>(page)) ++failed;
                    if (::pread(cached.get(), data.data(), 100, 0) != 100) ++failed;
                }
            });
        }
        for (std::thread& thread : all) thread.join();
        EXPECT_EQ(failed, 0);
    };
    each_probe({path, "--level", "vfs", "--max-inflight", "64"}, work,
               [&](const Traced& t) {
                   std::map<std::string, int> rows;
                   for (const Row& row : t.rows) {
                       EXPECT_EQ(row.at("bytes"), std::to_string(page));
                       ++rows[row.at("tid")];
                   }
                   EXPECT_EQ(rows.size(), std::size_t{threads});
                   EXPECT_TRUE(std::ranges::all_of(rows, [](const auto& row) { return row.second == rounds; }));
               },
               {"syscalls"});
}

std::atomic<int> handled = 0;
int handlers_file = -1;
void reads_another_file(int /*signal*/) {
    std::array<char, 10> data{};
    if (::pread(handlers_file, data.data(), data.size(), 0) == static_cast<ssize_t>(data.size())) ++handled;
}

/// A call on a watched file is interrupted; the handler's own calls are on another one; then it goes on.
TRACED_TEST_F(FileWatch, AnInterruptedCallIsOneRow) {
    const FileSystem ext4("ext4");
    const std::string path = ext4.path("data");
    make_file(path, 64 * kib);
    make_file(ext4.path("other"), 100);
    const Fd other(::open(ext4.path("other").c_str(), O_RDONLY));
    handlers_file = other.get();
    struct sigaction action{};
    struct sigaction old{};
    action.sa_handler = reads_another_file;
    action.sa_flags = SA_RESTART;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &old), 0);
    const auto work = [&] {
        handled = 0;
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe2(ends.data(), O_NONBLOCK), 0);
        std::vector<char> data(kib);
        while (::write(ends[1], data.data(), data.size()) > 0) {
        }
        ::fcntl(ends[1], F_SETFL, 0);
        const Fd file(::open(path.c_str(), O_RDONLY));
        std::atomic<bool> ended = false;
        std::thread sender([&] {
            EXPECT_EQ(::sendfile(ends[1], file.get(), nullptr, 1000), 1000);
            ended = true;
        });
        for (int i = 0; i < 3; ++i) {
            ::usleep(50'000);
            ::pthread_kill(sender.native_handle(), SIGUSR1);
        }
        ::usleep(50'000);
        ::fcntl(ends[0], F_SETFL, 0);
        while (!ended) {
            std::vector<char> some(64 * kib);
            EXPECT_GT(::read(ends[0], some.data(), some.size()), 0);
            ::usleep(10'000);
        }
        sender.join();
        read_some(path, 7);
        ::close(ends[0]);
        ::close(ends[1]);
        EXPECT_EQ(handled, 3);
    };
    each_probe({path, "--level", "vfs"}, work,
               [](const Traced& t) {
                   EXPECT_EQ(reads(t), (Words{"1000 data", "7 data"})) << t.result.out;
                   EXPECT_GE(number(rows_of(t, "VFS", "read").at(0), "duration_ns"), 150'000'000U);
               },
               {"syscalls", "plain"});
    ::sigaction(SIGUSR1, &old, nullptr);
}

}  // namespace
}  // namespace iolens::test
