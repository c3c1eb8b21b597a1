// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/blkpg.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace iolens::test {

namespace fs = std::filesystem;

std::string missing_for_tracing() {
    if (::geteuid() != 0) return "needs root";
    if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) return "this kernel has no BTF";
    return {};
}

namespace {

std::string memory_directory(u64 bytes) {
    std::error_code error;
    const auto space = fs::space("/dev/shm", error);
    return !error && space.available > 2 * bytes ? "/dev/shm" : "";
}

/// Adds a partition without a partition table, which not every kernel reads.
void add_partition(const std::string& disk, int number, u64 start, u64 length) {
    blkpg_partition partition{};
    partition.start = static_cast<long long>(start);
    partition.length = static_cast<long long>(length);
    partition.pno = number;
    blkpg_ioctl_arg request{
        .op = BLKPG_ADD_PARTITION, .flags = 0, .datalen = sizeof partition, .data = static_cast<void*>(&partition)};
    const Fd fd(::open(disk.c_str(), O_RDONLY | O_CLOEXEC));
    if (::ioctl(fd.get(), BLKPG, &request) != 0) throw std::system_error(errno, std::generic_category(), "BLKPG");
}

}  // namespace

LoopDisk::LoopDisk(u64 bytes, bool partitions, u64 capacity, bool in_memory)
    : scratch_(in_memory ? memory_directory(bytes) : std::string()), capacity_(capacity) {
    if (capacity != 0) {
        const std::string options = "mode=0700,size=" + std::to_string(capacity);
        if (::mount("tmpfs", scratch_.path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
            throw std::runtime_error("can't mount a tmpfs");
        }
    }
    std::ofstream(file()).close();
    fs::resize_file(file(), bytes);
    const Result r = shell("losetup --find --show " + std::string(partitions ? "--partscan " : "") + file());
    if (r.status != 0) throw std::runtime_error("losetup: " + r.err);
    path_ = split(r.out, '\n').at(0);
    for (int number = 1; partitions && number <= 2; ++number) {
        add_partition(path_, number, static_cast<u64>(number) * 4 * mib, 4 * mib);
    }
    if (!in_memory) shell("losetup --direct-io=on " + path_);
    // one request per bio, so that a test can count them
    spit(sys("queue/nomerges"), "2");
}

LoopDisk::~LoopDisk() {
    shell("losetup -d " + path_);
    // the device lets go of its file a moment later
    for (int i = 0; capacity_ != 0 && i < 100 && ::umount2(scratch_.path().c_str(), 0) != 0; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

std::vector<std::string> test_disks() {
    const char* names = std::getenv("IOLENS_TEST_DISKS");
    std::vector<std::string> there;
    for (const std::string& name : split(names == nullptr ? "" : names, ',')) {
        if (fs::exists("/dev/" + name)) there.push_back(name);
    }
    return there;
}

bool emulated() {
    const std::string cpu = slurp("/proc/cpuinfo");
    // x86 shows it in the model name; on arm64 the implementer is 0, which is reserved for software
    return cpu.find("TCG") != std::string::npos || cpu.find("CPU implementer\t: 0x00") != std::string::npos;
}

bool lost(const Result& result) { return result.err.find("iolens: lost ") != std::string::npos; }

bool kernel_is_since(int major, int minor) {
    utsname kernel{};
    ::uname(&kernel);
    int running_major = 0;
    int running_minor = 0;
    if (std::sscanf(static_cast<const char*>(kernel.release), "%d.%d", &running_major, &running_minor) != 2)
        return false;
    return std::pair(running_major, running_minor) >= std::pair(major, minor);
}

char* aligned(std::size_t bytes) {
    constexpr std::size_t page = 4096;
    static std::vector<char> buffer;
    buffer.assign(bytes + page, 'x');
    return buffer.data() + (page - reinterpret_cast<std::uintptr_t>(buffer.data()) % page);
}

int direct_io(const std::string& disk, bool write, u64 sector, u32 bytes) {
    const int fd = ::open(disk.c_str(), (write ? O_WRONLY : O_RDONLY) | O_DIRECT | O_CLOEXEC);
    if (fd < 0) return errno;
    char* at = aligned(bytes);
    const auto offset = static_cast<off_t>(sector * 512);
    const ssize_t n = write ? ::pwrite(fd, at, bytes, offset) : ::pread(fd, at, bytes, offset);
    const int error = n == static_cast<ssize_t>(bytes) ? 0 : n < 0 ? errno : EIO;
    ::close(fd);
    return error;
}

std::string tracefs() {
    for (const char* place : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
        if (fs::exists(std::string(place) + "/instances")) return place;
    }
    if (::mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, nullptr) == 0) return "/sys/kernel/tracing";
    return {};
}

KernelTrace::KernelTrace() {
    static int number = 0;
    place_ = tracefs() + "/instances/iolens-test-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
    if (!fs::create_directory(place_)) throw std::runtime_error("can't make " + place_);
    spit(place_ + "/trace_clock", "boot");
    spit(place_ + "/buffer_size_kb", "16384");
    for (const char* event : {"block_bio_queue", "block_rq_issue", "block_rq_complete"}) {
        spit(place_ + "/events/block/" + event + "/enable", "1");
    }
}

KernelTrace::~KernelTrace() {
    std::error_code error;
    fs::remove(place_, error);
}

void KernelTrace::clear() { spit(place_ + "/trace", ""); }

std::vector<KernelTrace::Event> KernelTrace::events(const std::string& dev) {
    // "… 12.345678: block_rq_complete: 7,0 WS () 2048 + 8 [0]"; newer kernels put more before the bracket; a bio has
    // no parentheses
    const std::regex line(
        R"( ([0-9]+\.[0-9]+): (block_\w+): ([0-9]+,[0-9]+) (\w+) (?:[0-9]+ )?(?:\(.*\) )?([0-9]+) \+ ([0-9]+) .*\[(.*)\])");
    std::vector<Event> all;
    for (const std::string& text : split(slurp(place_ + "/trace"), '\n')) {
        std::smatch m;
        if (!std::regex_search(text, m, line) || m[3] != dev) continue;
        all.push_back({m[2], std::stod(m[1]), m[4], std::stoull(m[5]), std::stoull(m[6]),
                       m[2] == "block_rq_complete" ? std::atoi(m[7].str().c_str()) : 0});
    }
    return all;
}

std::string kernel_dev(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return {};
    return std::to_string(major(info.st_rdev)) + "," + std::to_string(minor(info.st_rdev));
}

Cgroup::Cgroup() {
    for (const std::string& line : split(slurp("/proc/self/mountinfo"), '\n')) {
        if (line.find(" - cgroup2 ") == std::string::npos) continue;
        const std::string path = split(line, ' ').at(4) + "/iolens-test-" + std::to_string(::getpid());
        std::error_code error;
        if (fs::create_directory(path, error)) path_ = path;
        return;
    }
}

Cgroup::~Cgroup() {
    for (int i = 0; i < 100 && !path_.empty() && ::rmdir(path_.c_str()) != 0; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

u64 Traced::counter(const std::string& word) const {
    std::smatch m;
    if (!std::regex_search(result.err, m, std::regex(word + " ([0-9]+)(?=[,)\n]|$)"))) return ~u64{0};
    return std::stoull(m[1]);
}

Traced trace(std::vector<std::string> options, const std::function<void()>& work, const std::string& lens) {
    options.insert(options.begin(), {lens, "--format", "csv"});
    Tracer tracer(options);
    work();
    Traced traced;
    traced.result = tracer.stop();
    traced.rows = parse_csv(traced.result.out);
    const bool elsewhere = std::ranges::any_of(
        options, [](const std::string& word) { return word == "-o" || word == "--interval" || word == "--why"; });
    const u64 delivered = traced.counter("delivered");
    if (!elsewhere && delivered != ~u64{0}) {
        EXPECT_EQ(traced.rows.size(), delivered) << traced.result.err;
    }
    return traced;
}

void expect_whole(const Traced& t) {
    EXPECT_EQ(t.result.status, 0) << t.result.err;
    EXPECT_EQ(t.result.err.find("iolens: lost "), std::string::npos) << t.result.err;
    EXPECT_NE(t.counter("seen"), ~u64{0}) << t.result.err;  // stop() has checked the sum
}

std::set<u64> sectors_of(const std::string& path) {
    constexpr u32 max = 256;
    std::vector<u64> buffer((sizeof(fiemap) + max * sizeof(fiemap_extent)) / 8 + 1);
    auto& map = *reinterpret_cast<fiemap*>(buffer.data());
    map.fm_length = ~u64{0};
    map.fm_flags = FIEMAP_FLAG_SYNC;
    map.fm_extent_count = max;
    const int fd = ::open(path.c_str(), O_RDONLY);
    EXPECT_EQ(::ioctl(fd, FS_IOC_FIEMAP, &map), 0);
    ::close(fd);
    std::set<u64> sectors;
    for (u32 i = 0; i < map.fm_mapped_extents; ++i) {
        const fiemap_extent& extent = map.fm_extents[i];
        for (u64 at = 0; at < extent.fe_length; at += 512) sectors.insert((extent.fe_physical + at) / 512);
    }
    return sectors;
}

u64 number(const Row& row, const std::string& column) { return std::strtoull(row.at(column).c_str(), nullptr, 10); }

std::string FileSystem::missing(const std::string& kind) {
    if (!have("mkfs." + kind)) return "mkfs." + kind + " is not installed";
    const Result known = shell("modprobe -q " + kind + "; grep -qw " + kind + " /proc/filesystems");
    return known.status == 0 ? "" : "this kernel has no " + kind;
}

FileSystem::FileSystem(const std::string& kind, bool partition, bool in_memory)
    : disk_(u64{partition ? 256U : 512U} << 20, partition, 0, in_memory),
      device_(disk_.path() + (partition ? "p2" : "")) {
    const std::string quiet = kind == "ext4"  ? " -q -F -E lazy_itable_init=0,lazy_journal_init=0 "
                              : kind == "xfs" ? " -q -f "
                                              : " -q -f ";
    const Result made = shell("mkfs." + kind + quiet + device_);
    if (made.status != 0) throw std::runtime_error("mkfs." + kind + ": " + made.err);
    const Result mounted = shell("mount -t " + kind + " " + device_ + " " + scratch_.path());
    if (mounted.status != 0) throw std::runtime_error("mount: " + mounted.err);
}

FileSystem::~FileSystem() {
    for (int i = 0; i < 100 && ::umount2(scratch_.path().c_str(), 0) != 0 && errno == EBUSY; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

void drop_caches() {
    ::sync();
    spit("/proc/sys/vm/drop_caches", "3");
}

bool wait_until_idle(const std::string& disk) {
    return wait_until([&] {
        std::ifstream file("/sys/block/" + disk + "/inflight");
        u64 reads = 0;
        u64 writes = 0;
        return static_cast<bool>(file >> reads >> writes) && reads + writes == 0;
    });
}

}  // namespace iolens::test
