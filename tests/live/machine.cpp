// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <stdexcept>
#include <thread>

namespace iolens::test {

namespace fs = std::filesystem;

std::string missing_for_tracing() {
    if (::geteuid() != 0) return "needs root";
    if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) return "this kernel has no BTF";
    return {};
}

namespace {

std::string memory_folder(u64 bytes) {
    std::error_code error;
    const auto space = fs::space("/dev/shm", error);
    return !error && space.available > 2 * bytes ? "/dev/shm" : "";
}

}  // namespace

LoopDisk::LoopDisk(u64 bytes, bool partitions, u64 room) : scratch_(memory_folder(bytes)) {
    if (room != 0) {
        const std::string options = "mode=0700,size=" + std::to_string(room);
        if (::mount("tmpfs", scratch_.path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
            throw std::runtime_error("can't mount a tmpfs");
        }
        mounted_ = true;
    }
    std::ofstream(file()).close();
    fs::resize_file(file(), bytes);
    if (partitions) {
        const Result r = shell("printf 'size=4MiB\\nsize=4MiB\\n' | sfdisk -q " + file());
        if (r.status != 0) throw std::runtime_error("sfdisk: " + r.err);
    }
    const Result r = shell("losetup --find --show " + std::string(partitions ? "--partscan " : "") + file());
    if (r.status != 0) throw std::runtime_error("losetup: " + r.err);
    path_ = split(r.out, '\n').at(0);
    // one request for each bio, so that a test can count them
    spit(sys("queue/nomerges"), "2");
}

LoopDisk::~LoopDisk() {
    shell("losetup -d " + path_);
    // the device lets go of its file a moment later
    for (int i = 0; mounted_ && i < 100 && ::umount2(scratch_.path().c_str(), 0) != 0; ++i) {
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
    // x86 has it in the model's name; arm64 says that the implementer is 0, which is reserved for software
    return cpu.find("TCG") != std::string::npos || cpu.find("CPU implementer\t: 0x00") != std::string::npos;
}

int attempts() { return emulated() ? 12 : 4; }

bool lost(const Result& result) { return result.err.find("lost: ") != std::string::npos; }

bool kernel_at_least(int major, int minor) {
    utsname kernel{};
    ::uname(&kernel);
    int its_major = 0;
    int its_minor = 0;
    if (std::sscanf(static_cast<const char*>(kernel.release), "%d.%d", &its_major, &its_minor) != 2) return false;
    return std::pair(its_major, its_minor) >= std::pair(major, minor);
}

std::vector<char>& direct_buffer(std::size_t bytes) {
    static std::vector<char> room;
    room.assign(bytes + 4096, 'x');
    return room;
}

int direct_io(const std::string& disk, bool write, u64 sector, u32 bytes) {
    const int fd = ::open(disk.c_str(), (write ? O_WRONLY : O_RDONLY) | O_DIRECT | O_CLOEXEC);
    if (fd < 0) return errno;
    std::vector<char>& room = direct_buffer(bytes);
    char* at = room.data() + (4096 - reinterpret_cast<std::uintptr_t>(room.data()) % 4096);
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

KernelTrace::KernelTrace() : place_(tracefs() + "/instances/iolens-test-" + std::to_string(::getpid())) {
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
    if (!std::regex_search(result.err, m, std::regex(word + " ([0-9]+)"))) return ~u64{0};
    return std::stoull(m[1]);
}

Traced trace(std::vector<std::string> options, const std::function<void()>& work) {
    options.insert(options.begin(), {"block", "--format", "csv"});
    Traced traced;
    for (int attempt = 0; attempt < attempts(); ++attempt) {
        Tracer tracer(options);
        work();
        traced.result = tracer.stop();
        traced.rows = parse_csv(traced.result.out);
        if (!lost(traced.result)) break;
    }
    return traced;
}

}  // namespace iolens::test
