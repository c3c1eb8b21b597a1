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

[[noreturn]] void wait_and_unmount(int alive, const std::string& directory, bool made) {
    // survives what ends the server: Ctrl-C on a terminal, or a service manager's signal to the whole process group
    ::setsid();
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1}) ::signal(signal, SIG_IGN);
    ::prctl(PR_SET_NAME, "iolens-unmount");
    // closes the fds of the server, such as those that keep its BPF programs loaded
    if (alive != 0) ::dup2(alive, 0);
    ::syscall(SYS_close_range, 1U, ~0U, 0U);
    keep_only_needed(capability_bit(CAP_SYS_ADMIN), {directory});
    char byte = 0;
    while (::read(0, &byte, 1) < 0 && errno == EINTR) {
    }
    // the server has ended; it has unmounted the tree if it could
    struct stat info{};
    if (::stat(directory.c_str(), &info) != 0 && is_of_killed_server(errno)) {
        ::umount2(directory.c_str(), MNT_DETACH);
        if (made) ::rmdir(directory.c_str());
    }
    ::_exit(0);
}

}  // namespace

Unmounter::Unmounter(const std::string& directory, bool made) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    const Fd waits(ends[0]);
    alive_ = Fd(ends[1]);
    child_ = ::fork();
    if (child_ != 0) return;
    wait_and_unmount(waits.get(), directory, made);
}

Unmounter::~Unmounter() {
    alive_ = Fd();
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
}

}  // namespace iolens
