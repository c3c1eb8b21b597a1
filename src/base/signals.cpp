// SPDX-License-Identifier: Apache-2.0
#include "base/signals.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <initializer_list>

namespace iolens {
namespace {

volatile std::sig_atomic_t asked = 0;
int wake_fd = -1;

void on_signal(int number) {
    const int saved = errno;
    if (asked != 0) ::_exit(128 + number);
    asked = 1;
    const std::uint64_t one = 1;
    static_cast<void>(::write(wake_fd, &one, sizeof one) == 0);
    errno = saved;
}

}  // namespace

void catch_signals() {
    if (wake_fd == -1) wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction action{};
    action.sa_handler = on_signal;
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction before{};
        // started with SIGHUP ignored (nohup): stay so
        if (::sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_IGN && number == SIGHUP) continue;
        ::sigaction(number, &action, nullptr);
    }
    std::signal(SIGPIPE, SIG_IGN);
}

bool end_asked() { return asked != 0; }

int end_descriptor() { return wake_fd; }

}  // namespace iolens
