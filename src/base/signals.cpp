// SPDX-License-Identifier: Apache-2.0
#include "base/signals.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "base/fd.h"

namespace iolens {
namespace {

constexpr std::int64_t patience_ns = 500'000'000;
// timeout(1) sends its signal to the process and then to the process group, systemd may send SIGHUP after SIGTERM, and
// each means only one end. A second Ctrl-C by a person comes later.
constexpr std::int64_t repeated_ns = 100'000'000;
constexpr std::array caught{SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};

volatile std::sig_atomic_t asked = 0;
volatile std::sig_atomic_t hung_up = 0;
std::atomic<std::int64_t> asked_at{0};
int wake_fd = -1;
std::array<struct sigaction, caught.size()> before;

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void wake() {
    const std::uint64_t one = 1;
    static_cast<void>(::write(wake_fd, &one, sizeof one) == 0);
}

void on_alarm(int /*number*/) {}

void on_end(int number) {
    const int saved = errno;
    if (asked != 0) {
        if (now_ns() - asked_at > repeated_ns) ::_exit(128 + number);
        return;
    }
    asked_at = now_ns();
    asked = 1;
    wake();
    // A signal that comes just before a system call blocks does not interrupt it: repeated SIGALRMs do.
    struct sigaction action{};
    action.sa_handler = on_alarm;
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = 100'000},
                          .it_value = {.tv_sec = 0, .tv_usec = 100'000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    errno = saved;
}

void on_hangup(int /*number*/) {
    const int saved = errno;
    hung_up = 1;
    wake();
    errno = saved;
}

bool has_terminal() { return static_cast<bool>(Fd(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY))); }

}  // namespace

void catch_signals(bool hangup_reopens) {
    if (wake_fd != -1) return;
    wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const bool reopens = hangup_reopens && !has_terminal();
    for (std::size_t i = 0; i < caught.size(); ++i) {
        const int number = caught[i];
        ::sigaction(number, nullptr, &before[i]);
        struct sigaction action{};  // without SA_RESTART: blocking calls must return
        switch (number) {
            case SIGPIPE:
            case SIGXFSZ: action.sa_handler = SIG_IGN; break;
            case SIGHUP:
                if (before[i].sa_handler == SIG_IGN) continue;  // nohup
                action.sa_handler = reopens ? on_hangup : on_end;
                break;
            default: action.sa_handler = on_end; break;
        }
        ::sigaction(number, &action, nullptr);
    }
}

void restore_signals() {
    if (wake_fd == -1) return;
    for (std::size_t i = 0; i < caught.size(); ++i) ::sigaction(caught[i], &before[i], nullptr);
}

bool end_asked() { return asked != 0; }

bool end_overdue() { return asked != 0 && now_ns() - asked_at > patience_ns; }

int end_descriptor() { return wake_fd; }

bool reopen_asked() {
    if (hung_up == 0) return false;
    hung_up = 0;
    std::uint64_t count = 0;
    if (asked == 0) static_cast<void>(::read(wake_fd, &count, sizeof count) == 0);
    if (asked != 0) wake();
    return true;
}

void wait_until_writable(int fd) {
    std::array<pollfd, 2> fds{pollfd{fd, POLLOUT, 0}, pollfd{wake_fd, POLLIN, 0}};
    ::poll(fds.data(), end_asked() ? 1 : 2, end_asked() ? 50 : -1);
}

}  // namespace iolens
