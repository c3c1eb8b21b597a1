// SPDX-License-Identifier: Apache-2.0
#include "import/fd_effect.h"

#include "import/name_map.h"

namespace iolens {

Effect effect_of(std::string_view name) {
    static const NameMap<Effect> effects{
        {"open", Effect::open},
        {"openat", Effect::open},
        {"openat2", Effect::open},
        {"creat", Effect::creat},
        {"close", Effect::close},
        {"close_range", Effect::close_range},
        {"dup", Effect::dup},
        {"dup2", Effect::dup_to},
        {"dup3", Effect::dup_to},
        {"fcntl", Effect::fcntl},
        {"fcntl64", Effect::fcntl},
        {"pipe", Effect::pipe},
        {"pipe2", Effect::pipe},
        {"socketpair", Effect::socketpair},
        {"socket", Effect::socket},
        {"accept", Effect::accept},
        {"accept4", Effect::accept},
        {"connect", Effect::connect},
        {"eventfd", Effect::eventfd},
        {"eventfd2", Effect::eventfd},
        {"epoll_create", Effect::epoll},
        {"epoll_create1", Effect::epoll},
        {"timerfd_create", Effect::timerfd},
        {"timerfd", Effect::timerfd},
        {"signalfd", Effect::signalfd},
        {"signalfd4", Effect::signalfd},
        {"pidfd_open", Effect::pidfd},
        {"inotify_init", Effect::inotify},
        {"inotify_init1", Effect::inotify},
        {"memfd_create", Effect::memfd},
        {"open_by_handle_at", Effect::new_fd},
        {"pidfd_getfd", Effect::new_fd},
        {"userfaultfd", Effect::new_fd},
        {"fanotify_init", Effect::new_fd},
        {"perf_event_open", Effect::new_fd},
        {"bpf", Effect::new_fd},
        {"io_uring_setup", Effect::new_fd},
        {"mq_open", Effect::new_fd},
        {"memfd_secret", Effect::new_fd},
        {"open_tree", Effect::new_fd},
        {"open_tree_attr", Effect::new_fd},
        {"fsopen", Effect::new_fd},
        {"fsmount", Effect::new_fd},
        {"fspick", Effect::new_fd},
        {"landlock_create_ruleset", Effect::new_fd},
        {"recvmsg", Effect::receive},
        {"recvmmsg", Effect::receive},
        {"recvmmsg_time64", Effect::receive},
        {"clone", Effect::clone},
        {"clone2", Effect::clone},
        {"clone3", Effect::clone},
        {"fork", Effect::clone},
        {"vfork", Effect::clone},
        {"execve", Effect::exec},
        {"execveat", Effect::exec},
        {"exit", Effect::exit},
        {"exit_group", Effect::exit},
        {"_exit", Effect::exit},
        {"unshare", Effect::unshare},
        {"chdir", Effect::chdir},
        {"fchdir", Effect::fchdir},
        {"chroot", Effect::chroot},
        {"getcwd", Effect::getcwd},
        {"linkat", Effect::link},
    };
    const Effect* effect = effects.find(name);
    return effect == nullptr ? Effect::none : *effect;
}

}  // namespace iolens
