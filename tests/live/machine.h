// SPDX-License-Identifier: Apache-2.0
// Real devices for live tests: made for one test, gone after it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "iolens/event/header.h"
#include "run.h"

namespace iolens::test {

/// Root, BTF: what every live test needs. "" = all there, else what is missing.
std::string missing_for_tracing();

#define NEEDS(condition, reason)                    \
    do {                                            \
        if (!(condition)) GTEST_SKIP() << (reason); \
    } while (false)

/// A loop device on a file of the test's own; in memory where there is room, so that the disk's own load does not
/// count.
class LoopDisk {
public:
    /// With `room`, its file lies in a file system of so many bytes: what is written beyond fails.
    explicit LoopDisk(u64 bytes, bool partitions = false, u64 room = 0);
    ~LoopDisk();
    LoopDisk(const LoopDisk&) = delete;
    LoopDisk& operator=(const LoopDisk&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }     ///< /dev/loop3
    [[nodiscard]] std::string name() const { return path_.substr(5); }  ///< loop3
    [[nodiscard]] std::string file() const { return scratch_.path("disk"); }
    [[nodiscard]] std::string sys(const std::string& what) const { return "/sys/block/" + name() + "/" + what; }

private:
    Scratch scratch_;
    bool mounted_ = false;
    std::string path_;
};

/// Disks of this machine whose contents may be destroyed: $IOLENS_TEST_DISKS, names by comma.
std::vector<std::string> test_disks();

/// Is this processor emulated (QEMU without KVM)?
bool emulated();

/// How often an exact comparison is tried while iolens reports a loss: newer kernels may preempt a program, and then
/// skip it for the next task on that processor. On an emulated processor a program runs long enough for that to be
/// frequent. Exact rows are only promised without a loss.
int attempts();

/// Did iolens report a loss?
bool lost(const Result& result);

/// Is the running kernel this version or a later one?
bool kernel_at_least(int major, int minor);

/// An aligned buffer for O_DIRECT.
std::vector<char>& direct_buffer(std::size_t bytes);

/// One O_DIRECT pread or pwrite. Returns 0 or errno.
int direct_io(const std::string& disk, bool write, u64 sector, u32 bytes);

/// tracefs, mounted where it is missing; "" where there is none.
std::string tracefs();

/// What the kernel's own tracepoints say of one disk, while it lives.
class KernelTrace {
public:
    struct Event {
        std::string name;  ///< block_rq_complete
        double time = 0;   ///< seconds
        std::string rwbs;
        u64 sector = 0;
        u64 sectors = 0;
        int error = 0;
    };
    KernelTrace();
    ~KernelTrace();
    KernelTrace(const KernelTrace&) = delete;
    KernelTrace& operator=(const KernelTrace&) = delete;
    /// Everything so far of the disk "major,minor".
    std::vector<Event> events(const std::string& dev);

private:
    std::string place_;
};

/// "7,3" of /dev/loop3.
std::string kernel_dev(const std::string& path);

/// A cgroup v2 directory of the test's own; empty path where there is none.
class Cgroup {
public:
    Cgroup();
    ~Cgroup();
    Cgroup(const Cgroup&) = delete;
    Cgroup& operator=(const Cgroup&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

using Row = std::map<std::string, std::string>;

/// Traces a disk while `work` runs. The trace is repeated (see attempts()) when iolens reports a loss, since exact
/// counts are only promised without one; the last one is returned, loss or not.
struct Traced {
    std::vector<Row> rows;
    Result result;
    [[nodiscard]] u64 counter(const std::string& word) const;  ///< "seen" of the verbose remarks
};
Traced trace(std::vector<std::string> options, const std::function<void()>& work);

}  // namespace iolens::test
