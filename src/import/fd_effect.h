// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

/// What a call does to fds and processes.
enum class Effect : u8 {
    none,
    open,
    creat,
    close,
    close_range,
    dup,
    dup_to,  ///< dup2, dup3
    fcntl,
    pipe,
    socketpair,
    socket,
    accept,
    connect,
    eventfd,
    epoll,
    timerfd,
    signalfd,
    pidfd,
    inotify,
    memfd,
    new_fd,  ///< an fd of which nothing more is known
    receive,
    clone,
    exec,
    exit,
    unshare,
    chdir,
    fchdir,
    chroot,
    getcwd,
    link,
};

Effect effect_of(std::string_view name);

}  // namespace iolens
