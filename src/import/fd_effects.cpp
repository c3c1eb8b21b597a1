// SPDX-License-Identifier: Apache-2.0
// What calls do to fds. close, dup2 and exec take effect when they begin, calls that open something when they end: only
// then can the program know the fd.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "import/fd_tables.h"
#include "import/strace_value.h"

namespace iolens {
namespace {

constexpr u64 cloexec = 02000000;  // O_CLOEXEC, and that of most other calls

LoggedFile named(u8 kind, std::string name, bool is_path = false) {
    LoggedFile file;
    file.kind = kind;
    file.name = std::move(name);
    file.is_path = is_path;
    return file;
}

std::string path_of(std::string_view given) {
    auto path = unquoted(given);
    if (!path) return std::string(given);
    if (given.ends_with("\"...")) *path += "…";
    return std::move(*path);
}

/// The fd in "/proc/self/fd/3" or "/dev/fd/3".
std::optional<int> fd_of_path(std::string_view path) {
    const bool own =
        take_word(path, "/proc/self/fd/") || take_word(path, "/proc/thread-self/fd/") || take_word(path, "/dev/fd/");
    if (!own) {
        if (!take_word(path, "/proc/") || !take_digits(path) || !take_word(path, "/fd/")) return {};
    }
    const auto fd = take_digits(path);
    return fd && path.empty() && *fd < 0x7fffffff ? std::optional(static_cast<int>(*fd)) : std::nullopt;
}

/// "SOCK_STREAM" of "SOCK_STREAM|SOCK_CLOEXEC" or of a number.
std::string socket_type(std::string_view given) {
    given = by_name(given);
    if (!given.empty() && digit(given[0])) {
        switch (leading_number(given).value_or(0) & 0xf) {
            case SOCK_STREAM: return "SOCK_STREAM";
            case SOCK_DGRAM: return "SOCK_DGRAM";
            case SOCK_RAW: return "SOCK_RAW";
            default: return std::string(given);
        }
    }
    return std::string(given.substr(0, given.find('|')));
}

bool is_unix(std::string_view family) {
    family = by_name(family);
    for (const std::string_view word : {"_UNIX", "_FILE", "_LOCAL"}) {
        if (family.ends_with(word)) return true;
    }
    return family == "0x1" || family == "1";
}

}  // namespace

/// A path as the machine has it; "" if the log does not determine it. `directory` is an argument, or "".
std::string FdTables::absolute(Task& of, std::string_view directory, std::string_view path) {
    constexpr std::size_t longest = 4096;
    if (of.place->unknown_root || path.ends_with("…")) return {};
    std::string base;
    if (path.starts_with('/')) {
        base = of.place->root;
        if (base.empty()) return std::string(path);
    } else {
        const std::string_view shown = file_behind_fd(directory);
        const auto number = leading_number(directory);
        constexpr s64 at_cwd = -100;
        const bool working =
            directory.empty() || directory.starts_with("AT_FDCWD") || (number && static_cast<s32>(*number) == at_cwd);
        if (shown.starts_with('/') || shown.starts_with('\\')) {
            base = shown_file(shown).name;
            if (working) of.place->directory = base;
        } else if (working) {
            base = of.place->directory;
        } else if (number) {
            const FdEntry* known = of.fds->find(static_cast<int>(*number));
            if (known != nullptr) base = known->file->absolute();
        }
        if (base.empty()) return {};
    }
    if (base == "/") base.clear();
    while (path.starts_with("./")) {
        path.remove_prefix(2);
        while (path.starts_with('/')) path.remove_prefix(1);
    }
    if (path == ".") path = {};
    if (!path.empty()) {
        if (!path.starts_with('/')) base += '/';
        base += path;
    }
    if (base.empty()) base = "/";
    return base.size() > longest ? std::string() : base;
}

void FdTables::add(const LoggedCall& call, Task& of, LoggedFile file, bool close_on_exec) {
    if (!call.result_file.empty()) {
        LoggedFile shown = shown_file(call.result_file);
        if (shown.is_path || file.kind != IOLENS_FILE_SOCKET) {
            shown.peer = shown.peer ? shown.peer : file.peer;
            // the csv of iomonitor has the path as the program gave it
            shown.unnamed = file.unnamed;
            file = std::move(shown);
        } else if (shown.peer) {
            file.peer = shown.peer;
        }
    }
    file.open_id = ++opened_;
    of.fds->set(static_cast<int>(call.result), {std::make_shared<LoggedFile>(std::move(file)), close_on_exec});
}

void FdTables::open(const LoggedCall& call, Task& of, std::size_t path, std::size_t flags) {
    const std::string_view given = call.argument(flags);
    LoggedFile file = named(IOLENS_FILE_REGULAR, path_of(call.argument(path)), true);
    std::string whole = absolute(of, path == 0 ? std::string_view() : call.argument(0), file.name);
    constexpr u64 tmpfile = 020200000;
    constexpr u64 arm_tmpfile = 020040000;
    file.unnamed =
        flags != path && (has_flag(given, "O_TMPFILE", tmpfile) || has_flag(given, "O_TMPFILE", arm_tmpfile));
    if (file.unnamed) {
        // as in /proc, whose number is not in the log
        for (std::string* name : {&file.name, &whole}) {
            if (!name->empty()) *name += name->ends_with('/') ? "#… (deleted)" : "/#… (deleted)";
        }
    }
    if (whole != file.name) file.path = std::move(whole);
    add(call, of, std::move(file), flags != path && has_flag(given, "CLOEXEC", cloexec));
}

void FdTables::close(const LoggedCall& call, Task& of) {
    const auto fd = leading_number(call.argument(0));
    if (!fd) return;
    if (call.error == EBADF) {
        // it was not open: another thread has closed it, which is in the log
        for (auto& [number, entry] : current_.removed) {
            if (of.fds->find(number) == nullptr) of.fds->set(number, std::move(entry));
        }
        return;
    }
    // The fd is gone, whatever the error. If it was known when the call began, it went at once; what is there now was
    // opened since.
    if (!current_.known) of.fds->take(static_cast<int>(*fd));
}

void FdTables::close_range(const LoggedCall& call, Task& of) {
    const auto first = leading_number(call.argument(0));
    const auto last = leading_number(call.argument(1));
    if (!first || !last) return;
    if (!call.has_result || call.result < 0) {
        for (auto& [number, entry] : current_.removed) of.fds->set(number, std::move(entry));
        return;
    }
    if (current_.known) return;
    const std::string_view flags = call.argument(2);
    if (has_flag(flags, "UNSHARE", 2)) of.fds = std::make_shared<FdTable>(*of.fds);
    const int end = static_cast<int>(std::min<s64>(static_cast<u32>(*last), 0x7fffffff));
    const auto taken = of.fds->take_if(static_cast<int>(*first), end, [](const FdEntry&) { return true; });
    if (!has_flag(flags, "CLOEXEC", 4)) return;
    for (const auto& [number, entry] : taken) of.fds->set(number, {entry.file, true});
}

void FdTables::execute(const LoggedCall& call, Task& of) {
    // no longer shared; what was opened while it began is not there for long
    FdTable fds = current_.before ? std::move(*current_.before) : *of.fds;
    fds.take_if(0, 0x7fffffff, [](const FdEntry& entry) { return entry.close_on_exec; });
    of.fds = std::make_shared<FdTable>(std::move(fds));
    of.space = ++spaces_;
    of.process = call.tid;
}

void FdTables::dup_to(const LoggedCall& call, Task& of, bool failed) {
    const auto to = leading_number(call.argument(1));
    if (failed) {
        for (auto& [number, entry] : current_.removed) of.fds->set(number, std::move(entry));
        return;
    }
    const auto from = leading_number(call.argument(0));
    if (current_.known || !to || (from && *from == *to)) return;
    of.fds->set(static_cast<int>(*to), {file_of(call, 0), has_flag(call.argument(2), "CLOEXEC", cloexec)});
}

void FdTables::connect(const LoggedCall& call, Task& of, bool failed) {
    std::string path;
    const auto number = leading_number(call.argument(0));
    const auto address = address_of(call.argument(1), path);
    if (!number || !address || (failed && call.error != EINPROGRESS)) return;  // in progress: connected, too
    const FdEntry* known = of.fds->find(static_cast<int>(*number));
    FileRef file = current_.files.has(0) && current_.files.at(0) ? current_.files.at(0)
                   : known != nullptr                            ? known->file
                                                                 : nullptr;
    if (!file) {
        file = std::make_shared<LoggedFile>(named(IOLENS_FILE_SOCKET, "fd=" + std::to_string(*number)));
        of.fds->set(static_cast<int>(*number), {file});
    }
    file->kind = IOLENS_FILE_SOCKET;
    if (address->family == AF_INET || address->family == AF_INET6) {
        file->peer = address;
        return;
    }
    file->name_id = 0;
    file->is_path = !path.empty();
    if (!path.empty()) {
        file->name = std::move(path);
        return;
    }
    std::string_view family = by_name(member_of(call.argument(1), "sa_family="));
    family = family.substr(0, family.find_first_of(",}"));
    file->name = std::string(family) + ":fd=" + std::to_string(*number);
}

void FdTables::pair(const LoggedCall& call, Task& of, bool pipe) {
    const auto fds = pair_of(call.argument(pipe ? 0 : 3));
    if (fds.size() != 2) return;
    const s64 ends[2] = {leading_number(fds[0]).value_or(-1), leading_number(fds[1]).value_or(-1)};
    for (std::size_t i = 0; i < 2; ++i) {
        const std::string_view shown = file_behind_fd(fds[i]);
        LoggedFile file = pipe ? named(IOLENS_FILE_OTHER, (i == 0 ? "pipe<-" : "pipe->") + std::to_string(ends[1 - i]))
                               : named(IOLENS_FILE_SOCKET, "unix:");
        if (!shown.empty()) file = shown_file(shown);
        file.open_id = ++opened_;
        of.fds->set(static_cast<int>(ends[i]),
                    {std::make_shared<LoggedFile>(std::move(file)), has_flag(call.argument(1), "CLOEXEC", cloexec)});
    }
}

/// linkat(AT_FDCWD, "/proc/self/fd/3", …) or linkat(3, "", …, AT_EMPTY_PATH): names a file that has no name.
void FdTables::link(const LoggedCall& call, Task& of) {
    const std::string old = path_of(call.argument(1));
    auto fd = fd_of_path(old);
    if (!fd && old.empty()) {
        if (const auto number = leading_number(call.argument(0))) fd = static_cast<int>(*number);
    }
    const FdEntry* known = fd ? of.fds->find(*fd) : nullptr;
    if (known == nullptr || !known->file->unnamed) return;
    LoggedFile& file = *known->file;
    file.unnamed = false;
    file.name_id = 0;
    file.shown.clear();
    file.name = path_of(call.argument(3));
    file.path = absolute(of, call.argument(2), file.name);
    if (file.path == file.name) file.path.clear();
}

void FdTables::apply_to_fds(const LoggedCall& call, Effect effect, Task& of) {
    const auto anonymous = [&](std::string_view name, bool close_on_exec) {
        add(call, of, named(IOLENS_FILE_ANON, "anon_inode:" + std::string(name)), close_on_exec);
    };
    const auto closes = [&](std::size_t n) { return has_flag(call.argument(n), "CLOEXEC", cloexec); };
    switch (effect) {
        case Effect::open: {
            const std::size_t path = call.name == "open" ? 0 : 1;
            open(call, of, path, path + 1);
            return;
        }
        case Effect::creat: open(call, of, 0, 0); return;
        case Effect::dup: of.fds->set(static_cast<int>(call.result), {file_of(call, 0), false}); return;
        case Effect::fcntl: {
            const std::string_view command = by_name(call.argument(1));
            if (command.starts_with("F_DUPFD") || command == "0x406" || command == "0") {
                of.fds->set(static_cast<int>(call.result), {file_of(call, 0), has_flag(command, "CLOEXEC", 0x406)});
            } else if (command == "F_SETFD" || command == "0x2") {
                const auto fd = leading_number(call.argument(0));
                const FdEntry* known = fd ? of.fds->find(static_cast<int>(*fd)) : nullptr;
                if (known != nullptr)
                    of.fds->set(static_cast<int>(fd.value_or(-1)),
                                {known->file, has_flag(call.argument(2), "FD_CLOEXEC", 1)});
            }
            return;
        }
        case Effect::pipe: pair(call, of, true); return;
        case Effect::socketpair: pair(call, of, false); return;
        case Effect::socket: {
            std::string type = socket_type(call.argument(1));
            if (is_unix(call.argument(0))) {
                type = "unix";
            } else if (type == "SOCK_DGRAM") {
                type = "udp";
            } else if (type == "SOCK_STREAM") {
                type = "tcp";
            }
            add(call, of, named(IOLENS_FILE_SOCKET, type + ":"), closes(1));
            return;
        }
        case Effect::accept: {
            std::string path;
            LoggedFile file = named(IOLENS_FILE_SOCKET, "fd=" + std::to_string(call.result));
            const auto address = address_of(call.argument(1), path);
            if (address && address->family != AF_UNIX) file.peer = address;
            if (address && address->family == AF_UNIX) {
                const bool unnamed = path.empty();
                file = named(IOLENS_FILE_SOCKET, unnamed ? "unix:" : std::move(path), !unnamed);
            }
            add(call, of, std::move(file), closes(3));
            return;
        }
        case Effect::eventfd: anonymous("[eventfd]", closes(1)); return;
        case Effect::epoll: anonymous("[eventpoll]", closes(0)); return;
        case Effect::timerfd: anonymous("[timerfd]", closes(1)); return;
        case Effect::signalfd:
            // with an fd, it is that one; only the mask is new
            if (leading_number(call.argument(0)).value_or(-1) < 0) anonymous("[signalfd]", closes(3));
            return;
        case Effect::pidfd: anonymous("[pidfd]", true); return;
        case Effect::inotify: anonymous("inotify", closes(0)); return;
        case Effect::memfd:
            add(call, of, named(IOLENS_FILE_REGULAR, "/memfd:" + path_of(call.argument(0)) + " (deleted)", true),
                has_flag(call.argument(1), "CLOEXEC", 1));
            return;
        case Effect::new_fd:
            if (call.name == "bpf" && call.result_file.empty()) return;  // not each command makes one
            of.fds->take(static_cast<int>(call.result));
            if (!call.result_file.empty())
                add(call, of, LoggedFile(), find_outside(call.all_arguments, "CLOEXEC") != std::string_view::npos);
            return;
        case Effect::receive: receive(call, of); return;
        case Effect::link: link(call, of); return;
        default: break;
    }
    // another call whose result -y shows as a file: ioctl, io_uring_setup …
    if (!call.result_file.empty())
        add(call, of, LoggedFile(), find_outside(call.all_arguments, "CLOEXEC") != std::string_view::npos);
}

void FdTables::apply(const LoggedCall& call, Effect effect) {
    if (effect == Effect::none && call.result_file.empty()) return;
    const bool failed = !call.has_result || call.result < 0;
    switch (effect) {
        case Effect::clone: end_clone(call, failed); return;
        case Effect::close: close(call, task(call.tid)); return;
        case Effect::close_range: close_range(call, task(call.tid)); return;
        case Effect::dup_to: dup_to(call, task(call.tid), failed); return;
        case Effect::connect: connect(call, task(call.tid), failed); return;
        case Effect::exit: return;
        default: break;
    }
    if (failed) return;
    Task& of = task(call.tid);
    const auto change_directory = [&of](std::string directory) {
        if (of.place.use_count() == 0) return;
        of.place->directory = std::move(directory);
    };
    switch (effect) {
        case Effect::exec: execute(call, of); return;
        case Effect::unshare:
            if (has_flag(call.argument(0), "CLONE_FILES", 0x400)) of.fds = std::make_shared<FdTable>(*of.fds);
            if (has_flag(call.argument(0), "CLONE_FS", 0x200)) of.place = std::make_shared<Place>(*of.place);
            return;
        case Effect::chdir: change_directory(absolute(of, "", path_of(call.argument(0)))); return;
        case Effect::fchdir: change_directory(std::string(file_of(call, 0)->absolute())); return;
        case Effect::chroot: {
            std::string root = absolute(of, "", path_of(call.argument(0)));
            of.place->unknown_root = root.empty();
            of.place->root = root == "/" ? std::string() : std::move(root);
            return;
        }
        case Effect::getcwd: {
            const std::string directory = path_of(call.argument(0));
            if (directory.starts_with('/')) change_directory(absolute(of, "", directory));
            return;
        }
        default: apply_to_fds(call, effect, of); return;
    }
}

}  // namespace iolens
