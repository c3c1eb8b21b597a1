// SPDX-License-Identifier: Apache-2.0
// Real devices for live tests: created for one test and removed after it.
#pragma once

#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "iolens/event/header.h"
#include "run.h"

namespace iolens::test {

constexpr u64 kib = 1024;
constexpr u64 mib = 1024 * kib;

/// Checks for root and BTF, which every live test needs. "" if both are there, otherwise what is missing.
std::string missing_for_tracing();

#define NEEDS(condition, reason)                    \
    do {                                            \
        if (!(condition)) GTEST_SKIP() << (reason); \
    } while (false)

/// A loop device on a scratch file; in memory if there is enough, so that other load on the disk does not matter.
class LoopDisk {
public:
    /// With `room`, its file lies in a file system of so many bytes: what is written beyond fails.
    /// Without `in_memory`, its file is where temporary files are, and is not cached if that is a disk: as slow as
    /// that.
    explicit LoopDisk(u64 bytes, bool partitions = false, u64 capacity = 0, bool in_memory = true);
    ~LoopDisk();
    LoopDisk(const LoopDisk&) = delete;
    LoopDisk& operator=(const LoopDisk&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }     ///< /dev/loop3
    [[nodiscard]] std::string name() const { return path_.substr(5); }  ///< loop3
    [[nodiscard]] std::string file() const { return scratch_.path("disk"); }
    /// Takes what is left of the room, to the last page.
    void fill() const { spit(scratch_.path("rest"), std::string(capacity_, 'x')); }
    [[nodiscard]] std::string sys(const std::string& what) const { return "/sys/block/" + name() + "/" + what; }

private:
    Scratch scratch_;
    u64 capacity_;  // 0: not a file system of its own
    std::string path_;
};

/// Disks of this machine whose contents may be destroyed: $IOLENS_TEST_DISKS, comma-separated names.
std::vector<std::string> test_disks();

/// True if the CPU is emulated (QEMU without KVM).
bool emulated();

/// True if iolens reported a loss.
bool lost(const Result& result);

/// Runs `round` `rounds` times. Each run must pass. A failed run is discarded and repeated only if iolens reported a
/// loss, and a witness other than iolens explains it:
///   - the kernel skipped one of iolens's programs (recursion_misses of bpf_prog_info), or
///   - completions interrupted a process that is neither a kernel thread nor part of the test (the first column of
///     tracefs). On some virtual machines no BPF program of any kind runs there.
/// Repetitions are recorded as properties of the test.
void run_rounds(int rounds, const std::function<void()>& round);

/// Three rounds of an exact comparison with a witness, row by row. A single round would hide a row that is lost in
/// every third run.
constexpr int exact_rounds = 3;

/// Each round constructs a new fixture.
#define IOLENS_TEST_IN_ROUNDS(fixture, name, rounds)                               \
    class fixture##_##name##_Round final : public fixture {                        \
    public:                                                                        \
        static void once() {                                                       \
            fixture##_##name##_Round one;                                          \
            one.SetUp();                                                           \
            one.round();                                                           \
            one.TearDown();                                                        \
        }                                                                          \
                                                                                   \
    private:                                                                       \
        void TestBody() override {}                                                \
        void round();                                                              \
    };                                                                             \
    TEST_F(fixture, name) { run_rounds(rounds, &fixture##_##name##_Round::once); } \
    void fixture##_##name##_Round::round()

/// A test with an exact comparison: its body runs exact_rounds times.
#define EXACT_TEST_F(fixture, name) IOLENS_TEST_IN_ROUNDS(fixture, name, exact_rounds)
/// A test that runs once, and is repeated only after a loss that a witness explains.
#define TRACED_TEST_F(fixture, name) IOLENS_TEST_IN_ROUNDS(fixture, name, 1)

/// Sets an environment variable; the destructor unsets it, also when a test fails.
class Variable {
public:
    Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    ~Variable() { ::unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    const char* name_;
};

/// Ids of all loaded BPF programs named iolens_….
std::vector<u32> loaded_programs();

/// A loaded BPF map with this name; an empty Fd if there is none.
Fd map_named(const std::string& name);

/// True if the running kernel is this version or a later one.
bool kernel_is_since(int major, int minor);

/// A buffer for O_DIRECT, filled with x. Valid until the next call.
char* aligned(std::size_t bytes);

/// One O_DIRECT pread or pwrite. Returns 0 or errno.
int direct_io(const std::string& disk, bool write, u64 sector, u32 bytes);

/// The mount point of tracefs, which is mounted if necessary; "" if there is none.
std::string tracefs();

/// Events of the kernel's block tracepoints, recorded during its lifetime.
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
    /// Drops all events so far.
    void clear();
    /// All events so far of the disk "major,minor".
    std::vector<Event> events(const std::string& dev);

private:
    std::string place_;
};

/// "7,3" of /dev/loop3.
std::string kernel_dev(const std::string& path);

/// A cgroup v2 directory for the test; the path is empty if there is no cgroup v2.
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

u64 number(const Row& row, const std::string& column);

/// 512-byte sectors of a file on its filesystem's device, from the kernel's extent map.
std::set<u64> sectors_of(const std::string& path);

/// Traces a disk while `work` runs.
struct Traced {
    std::vector<Row> rows;
    Result result;
    [[nodiscard]] u64 counter(const std::string& word) const;  ///< "seen" in the verbose output
};
Traced trace(std::vector<std::string> options, const std::function<void()>& work, const std::string& lens = "block");

/// Expects no loss, and that all requests are accounted for.
void expect_whole(const Traced& traced);

/// A scratch filesystem on a loop device.
class FileSystem {
public:
    /// `kind` is ext4, xfs or btrfs; `partition`: on the second partition of the disk; `in_memory`: as for LoopDisk.
    explicit FileSystem(const std::string& kind, bool partition = false, bool in_memory = true);
    ~FileSystem();
    FileSystem(const FileSystem&) = delete;
    FileSystem& operator=(const FileSystem&) = delete;

    [[nodiscard]] std::string path(const std::string& name = {}) const { return scratch_.path(name); }
    [[nodiscard]] const LoopDisk& disk() const { return disk_; }
    [[nodiscard]] const std::string& device() const { return device_; }
    /// What is missing to create and mount one on this machine; "" if nothing is.
    static std::string missing(const std::string& kind);

private:
    LoopDisk disk_;
    Scratch scratch_;
    std::string device_;
};

/// Drops the page cache.
void drop_caches();

/// The parent of a process and its flags (PF_…), from /proc/PID/stat; zeros if it is gone.
struct Process {
    pid_t parent = 0;
    unsigned flags = 0;
};
Process process(pid_t pid);
/// True also of the ancestor itself.
bool descends_from(pid_t pid, pid_t ancestor);

/// Waits until a disk ("loop3") has no request in flight.
[[nodiscard]] bool wait_until_idle(const std::string& disk);

}  // namespace iolens::test
