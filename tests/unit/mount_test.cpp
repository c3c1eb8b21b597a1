// SPDX-License-Identifier: Apache-2.0
#include "fuse/mount.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/failure.h"
#include "base/fd.h"
#include "run.h"

namespace iolens {
namespace {

/// A tree in which each file throws a different exception.
class Throwing final : public TreeFiles {
public:
    std::optional<About> about(std::string_view path) override {
        if (path == "/") return About{.directory = true};
        if (path == "/bad-stat") throw std::runtime_error("stat");
        if (path == "/bad-directory") return About{.directory = true};
        return About{.readable = true, .writable = true};
    }
    std::vector<std::string> entries(std::string_view directory) override {
        if (directory == "/bad-directory") throw std::bad_alloc();
        return {"good"};
    }
    std::unique_ptr<TreeReader> read(std::string_view path) override {
        if (path == "/bad-open") throw std::system_error(std::make_error_code(std::errc::permission_denied));
        return std::make_unique<Reader>(path == "/bad-read");
    }
    int write(std::string_view path, std::string_view /*text*/, const TreeClient& /*client*/) override {
        if (path == "/bad-write") throw 5;  // NOLINT(hicpp-exception-baseclass): anything may be thrown
        return 0;
    }

private:
    class Reader final : public TreeReader {
    public:
        explicit Reader(bool throws) : throws_(throws) {}
        std::string more() override {
            if (throws_) throw std::runtime_error("read");
            return std::exchange(text_, {});
        }

    private:
        bool throws_;
        std::string text_ = "fine\n";
    };
};

/// Serves the tree in a child process: if it dies, the test's system calls fail instead of blocking forever.
class Server {
public:
    explicit Server(const std::string& path) : path_(path) {
        std::array<int, 2> ready{};
        std::array<int, 2> end{};
        EXPECT_EQ(::pipe2(ready.data(), O_CLOEXEC) + ::pipe2(end.data(), O_CLOEXEC), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(ready[0]);
            ::close(end[1]);
            serve(ready[1], end[0]);
        }
        ::close(ready[1]);
        ::close(end[0]);
        char byte = 0;
        mounted_ = ::read(ready[0], &byte, 1) == 1;
        ::close(ready[0]);
        end_ = Fd(end[1]);
    }
    ~Server() {
        end_.reset();
        ::waitpid(pid_, nullptr, 0);
        ::umount2(path_.c_str(), MNT_DETACH);  // the mount of a server that was killed
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    [[nodiscard]] bool mounted() const { return mounted_; }

private:
    [[noreturn]] void serve(int ready, int end) const {
        try {
            Throwing files;
            MountedTree tree({.directory = path_, .group = {}}, files);
            tree.start();
            char byte = 0;
            if (::write(ready, "!", 1) == 1) static_cast<void>(::read(end, &byte, 1) == 0);
        } catch (const Failure&) {
            ::_exit(1);
        }
        ::_exit(0);
    }

    std::string path_;
    pid_t pid_ = -1;
    bool mounted_ = false;
    Fd end_;
};

TEST(MountedTree, AnExceptionIsAnErrorOfTheCall) {
    if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0)
        GTEST_SKIP() << "no file system can be served here";
    const test::Scratch scratch;
    const std::string path = scratch.path("tree");
    const Server server(path);
    if (!server.mounted()) GTEST_SKIP() << "no file system can be mounted here";
    const auto error_of = [](auto result) { return result < 0 ? errno : 0; };
    struct stat info{};
    std::array<char, 16> text{};
    EXPECT_EQ(error_of(::stat((path + "/bad-stat").c_str(), &info)), EIO);
    EXPECT_EQ(error_of(::open((path + "/bad-open").c_str(), O_RDONLY | O_CLOEXEC)), EACCES);
    {
        const Fd fd(::open((path + "/bad-read").c_str(), O_RDONLY | O_CLOEXEC));
        EXPECT_EQ(error_of(::read(fd.get(), text.data(), text.size())), EIO);
    }
    {
        const Fd fd(::open((path + "/bad-write").c_str(), O_WRONLY | O_CLOEXEC));
        EXPECT_EQ(error_of(::write(fd.get(), "x", 1)), EIO);
    }
    DIR* directory = ::opendir((path + "/bad-directory").c_str());
    ASSERT_NE(directory, nullptr);
    errno = 0;
    EXPECT_EQ(::readdir(directory), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    ::closedir(directory);
    // it still serves
    EXPECT_EQ(test::slurp(path + "/good"), "fine\n");
}

}  // namespace
}  // namespace iolens
