// SPDX-License-Identifier: Apache-2.0
#include "base/readers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>

#include "base/fd.h"
#include "run.h"

namespace iolens {
namespace {

std::vector<u32> pids_behind(const PipeReaders& readers, u64 pipe) {
    std::vector<u32> pids;
    for (const PipeReader& reader : readers.behind(pipe)) pids.push_back(reader.pid);
    return pids;
}

struct Pipe {
    Fd read;
    Fd write;
    Pipe() {
        std::array<int, 2> fds{};
        EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
        read = Fd(fds[0]);
        write = Fd(fds[1]);
    }
    [[nodiscard]] ino_t ino() const {
        struct stat info{};
        ::fstat(read ? read.get() : write.get(), &info);
        return info.st_ino;
    }
};

/// A process that waits, with the given standard input and output.
class Waiting {
public:
    Waiting(const Fd& in, const Fd& out) : pid_(::fork()) {
        if (pid_ != 0) return;
        ::dup2(in.get(), 0);
        ::dup2(out.get(), 1);
        ::execlp("sleep", "sleep", "600", nullptr);
        ::_exit(1);
    }
    ~Waiting() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    [[nodiscard]] u32 pid() const { return static_cast<u32>(pid_); }
    /// True once the process has executed its program, so that it has only its own ends of the pipes.
    [[nodiscard]] bool ready() const {
        std::error_code error;
        const auto program = std::filesystem::read_symlink("/proc/" + std::to_string(pid_) + "/exe", error);
        return !error && program != std::filesystem::read_symlink("/proc/self/exe", error);
    }

private:
    pid_t pid_;
};

TEST(Readers, AreAllProcessesOfThePipelineBehindUs) {
    Pipe first;
    Pipe second;
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const Waiting tee(first.read, second.write);
    const Waiting grep(second.read, null);
    const Waiting writer(null, first.write);  // writes to the same pipe as we do, but reads none of our output
    ASSERT_TRUE(test::wait_until([&] { return tee.ready() && grep.ready() && writer.ready(); }));
    const ino_t pipe = first.ino();
    first.read.reset();
    second.read.reset();
    EXPECT_EQ(pids_behind(PipeReaders(), pipe), (std::vector<u32>{tee.pid(), grep.pid()}));
    EXPECT_EQ(stdout_pipe_of(writer.pid()), pipe);
    EXPECT_EQ(pids_behind(PipeReaders(), stdout_pipe_of(tee.pid())), std::vector<u32>{grep.pid()});
    EXPECT_EQ(stdout_pipe_of(grep.pid()), 0U);
}

TEST(Readers, PipesInARingEnd) {
    Pipe first;
    Pipe second;
    const Waiting one(first.read, second.write);
    const Waiting other(second.read, first.write);
    ASSERT_TRUE(test::wait_until([&] { return one.ready() && other.ready(); }));
    const ino_t pipe = first.ino();
    first.read.reset();
    second.read.reset();
    EXPECT_EQ(pids_behind(PipeReaders(), pipe), (std::vector<u32>{one.pid(), other.pid()}));
}

TEST(Readers, OfWhatIsNotThereAreNone) {
    EXPECT_EQ(pids_behind(PipeReaders(), ~u64{0}), std::vector<u32>());
    EXPECT_EQ(pids_behind(PipeReaders("/nowhere/"), 1), std::vector<u32>());
    EXPECT_EQ(stdout_pipe_of(~0U), 0U);
}

TEST(RowReaders, AProcessIsOneAsLongAsItTakesRows) {
    RowReaders readers;
    readers.remove(7);
    EXPECT_FALSE(readers.contains(7));
    readers.add(7);
    readers.add(7);
    readers.remove(7);
    EXPECT_TRUE(readers.contains(7));
    readers.remove(7);
    EXPECT_FALSE(readers.contains(7));
}

TEST(RowReaders, AWatcherHearsOfEachOnce) {
    RowReaders readers;
    readers.add(7, 99);
    std::vector<std::pair<PipeReader, bool>> heard;
    readers.watch([&](const PipeReader& reader, bool reads) { heard.emplace_back(reader, reads); });
    readers.add(7, 99);
    readers.add(8);
    readers.add(8, 98);  // its pipe becomes known later
    readers.remove(7);
    readers.remove(7);
    const std::vector<std::pair<PipeReader, bool>> expected{
        {{7, 99}, true}, {{8, 0}, true}, {{8, 98}, true}, {{7, 99}, false}};
    EXPECT_EQ(heard, expected);
}

}  // namespace
}  // namespace iolens
