// SPDX-License-Identifier: Apache-2.0
#include "fuse/unmounter.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/privileges.h"
#include "fuse/mount.h"

namespace iolens {
namespace {

/// `made`: the directory that the server created; nullptr if there was one.
[[noreturn]] void wait_and_unmount(int alive, const std::string& directory, const struct stat* made) {
    // survives what ends the server: Ctrl-C on a terminal, or a service manager's signal to the whole process group
    ::setsid();
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1}) ::signal(signal, SIG_IGN);
    ::prctl(PR_SET_NAME, "iolens-unmount");
    // closes the fds of the server, such as those that keep its BPF programs loaded
    if (alive != 0) ::dup2(alive, 0);
    ::syscall(SYS_close_range, 1U, ~0U, 0U);
    keep_only_needed(capability_bit(CAP_SYS_ADMIN), {directory});
    char byte = 0;
    ssize_t got = 0;
    while ((got = ::read(0, &byte, 1)) < 0 && errno == EINTR) {
    }
    // a byte: the server has cleaned up, and the directory may be another server's by now
    if (got == 1) ::_exit(0);
    struct stat info{};
    if (::stat(directory.c_str(), &info) != 0 && is_of_killed_server(errno)) {
        ::umount2(directory.c_str(), MNT_DETACH);
        if (::stat(directory.c_str(), &info) != 0) ::_exit(0);
    }
    // also if the server was killed before it mounted the tree
    if (made != nullptr && info.st_dev == made->st_dev && info.st_ino == made->st_ino) ::rmdir(directory.c_str());
    ::_exit(0);
}

}  // namespace

Unmounter::Unmounter(const std::string& directory, bool made) {
    struct stat info{};
    std::array<int, 2> ends{};
    if (::stat(directory.c_str(), &info) != 0 || ::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    const Fd waits(ends[0]);
    alive_ = Fd(ends[1]);
    child_ = ::fork();
    if (child_ != 0) return;
    wait_and_unmount(waits.get(), directory, made ? &info : nullptr);
}

Unmounter::~Unmounter() {
    static_cast<void>(::write(alive_.get(), "", 1) == 1);
    alive_ = Fd();
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
}

}  // namespace iolens
