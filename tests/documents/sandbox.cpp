// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace iolens::test {

namespace fs = std::filesystem;

namespace {

void must(bool done, const std::string& what) {
    if (!done) throw std::runtime_error(what + ": " + std::strerror(errno));
}

void must_run(const std::string& line) {
    const Result r = shell(line);
    if (r.status != 0) throw std::runtime_error(line + ": " + r.err);
}

void write_program(const std::string& path, const std::string& body) {
    spit(path, "#!/bin/sh\n" + body);
    fs::permissions(path, fs::perms{0755});
}

std::string sample(const std::string& name) {
    return slurp((fs::path(IOLENS_SOURCE_DIR) / "tests" / "golden" / name).string());
}

}  // namespace

Sandbox::Mounts::Mounts() : original_(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)) {
    must(::unshare(CLONE_NEWNS) == 0, "can't make a mount namespace");
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "can't make the mounts private");
    must(::mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") == 0, "can't mount /run");
}

Sandbox::Mounts::~Mounts() {
    // the last command of the load may still be running
    (void)wait_until([] { return ::umount2("/srv", 0) == 0 || errno != EBUSY; });
    ::setns(original_.get(), CLONE_NEWNS);
}

std::string Sandbox::missing() {
    if (std::string reason = missing_for_tracing(); !reason.empty()) return reason;
    if (!fs::exists(fs::path(IOLENS_SOURCE_DIR) / "README.md")) return "needs the documents of the source tree";
    for (const char* program : {"mkfs.ext4", "git", "make"}) {
        if (!have(program)) return std::string(program) + " is not installed";
    }
    return "";
}

Sandbox::Sandbox() : disk_(64 * mib), path_before_(std::getenv("PATH")), directory_before_(fs::current_path()) {
    must_run("mkfs.ext4 -q -F " + disk_.path() + " && mount " + disk_.path() + " /srv");
    for (const char* name : {"/srv/a", "/srv/vm.qcow2"}) spit(name, std::string(64 * kib, 'x'));

    const std::string directory = scratch_.path("work");
    fs::create_directories(scratch_.path("bin"));
    fs::create_directories(directory);
    fs::permissions(scratch_.path(), fs::perms{0755});  // a command may run as another user
    fs::create_symlink(fs::absolute(iolens_path()), scratch_.path("bin/iolens"));
    write_program(scratch_.path("bin/sudo"), "exec \"$@\"\n");  // the test is root already
    ::setenv("PATH", (scratch_.path("bin") + ":" + path_before_).c_str(), 1);
    fs::current_path(directory);

    spit("Makefile", "all:\n\t@cat Makefile | wc -c >/dev/null\n");
    spit("data.db", "data");
    spit("strace.log", sample("strace/plain.log"));
    write_program("load", "exec dd if=/dev/zero of=/srv/load bs=64k count=16 conv=fsync status=none\n");
    write_program("program", "exec cat data.db\n");
    write_program("server", "exec cat data.db\n");
    must_run("git init -q .");
    load_ = std::make_unique<Background>(std::vector<std::string>{
        "/bin/sh", "-c",
        "while :; do dd if=/dev/urandom of=/srv/a bs=16k count=4 oflag=direct conv=notrunc status=none; "
        "dd if=/dev/urandom of=/srv/a bs=4k count=4 conv=notrunc,fsync status=none; "
        "dd if=/srv/a of=/dev/null bs=16k iflag=direct status=none; "
        "cat /srv/vm.qcow2 >/dev/null; sleep 0.1; done"});
    must_run("iolens file --format iotracer --count 10 /srv/a >vm.log");
}

Sandbox::~Sandbox() {
    load_->stop(SIGKILL);
    fs::current_path(directory_before_);
    ::setenv("PATH", path_before_.c_str(), 1);
}

std::string Sandbox::node(const std::string& path) const {
    struct stat info{};
    must(::stat(path.c_str(), &info) == 0, path);
    return disk_.name() + "_" + std::to_string(info.st_ino);
}

}  // namespace iolens::test
