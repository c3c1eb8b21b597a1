// SPDX-License-Identifier: Apache-2.0
#include "lens/file/watch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/failure.h"
#include "base/record.h"
#include "base/suggest.h"
#include "base/text.h"
#include "iolens/event/call.h"
#include "iolens/event/disk.h"
#include "iolens/event/file.h"
#include "lens/requests.h"
#include "resolve/syscalls.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

constexpr u32 kind_of(u32 mode) { return mode & S_IFMT; }
constexpr u32 regular = 0100000;

/// The path of an open fd, as the kernel reports it.
std::string path_of(int fd) {
    std::error_code error;
    const fs::path path = fs::read_symlink(fmt::format("/proc/self/fd/{}", fd), error);
    return path.string();
}

/// Looks a file up with the permissions of a user, who must be allowed to read it. Empty (errno) on failure. Opens with
/// O_PATH: opening for reading could block, or wake a driver.
Fd open_as(const std::string& path, const Credentials& as) {
    if (as.uid == 0) return Fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    const AccessAs rights(as);
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_NO_MAGICLINKS;  // /proc/self/fd is ours, not the user's
    Fd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
    if (fd && ::syscall(SYS_faccessat2, fd.get(), "", R_OK, AT_EACCESS | AT_EMPTY_PATH) != 0) {
        const int error = errno;
        fd.reset();
        errno = error;
    }
    return fd;
}

}  // namespace

FoundFile Watches::look(const Fd& fd, const std::string& path) {
    const auto what = probe_.resolve(fd.get());
    if (!what) {
        throw Failure(Exit::unavailable, fmt::format("the kernel does not identify '{}'", visible(path)),
                      "'iolens doctor' shows what works on this kernel");
    }
    FoundFile found;
    found.what = *what;
    found.path = path_of(fd.get());
    if (found.path.empty()) found.path = path;
    std::optional<Disk> disk;
    if (what->disk != 0) {
        disk = disks_.find(what->disk);
    } else if (const std::string source = mounts_.source(what->id.dev); source.starts_with("/dev/")) {
        disk = disks_.find(source);  // btrfs: its superblock has no block device
    }
    if (disk) {
        found.disk = disk->name;
        found.how.first_sector = disk->first_sector;
        found.how.disk = disk->whole_dev;
        // each of several disks has its own sectors, and none belongs to the file alone
        if (what->disk == 0 && mounts_.btrfs_disks(disk->name) > 1) found.how.disk = 0;
    }
    return found;
}

FoundFile Watches::find(const std::string& path, const Credentials& as) {
    const Fd fd = open_as(path, as);
    if (!fd) {
        const int error = errno;
        std::string hint = "use an existing file or directory";
        if (error == EACCES) hint = "it or a directory above it is not accessible to you";
        if (error == ENAMETOOLONG) hint = "change to a directory near it and use a relative path";
        errno = error;
        throw Failure(Exit::usage, fmt::format("can't watch '{}': {}", visible(path), error_text(error)), hint);
    }
    FoundFile found = look(fd, path);
    if (kind_of(found.what.mode) != regular && !found.is_directory()) {
        errno = EINVAL;
        throw Failure(Exit::usage, fmt::format("can't watch '{}': not a regular file or directory", visible(path)),
                      kind_of(found.what.mode) == 0060000 ? "'iolens block -d' traces a disk"
                                                          : "'iolens fd' traces pipes and sockets");
    }
    return found;
}

void Watches::add_one(const FoundFile& found, u32 flags, bool below) {
    iolens_watch how = found.how;
    how.flags = flags;
    if (probe_.attach_functions(found.what) == AttachMode::syscalls) {
        how.flags |= IOLENS_WATCH_CALLS;
        needs_syscalls_ = true;
    }
    // unused files below a directory are evicted later, but a directory that is too large now is an error
    const bool watched =
        below ? files_ < max_ && probe_.watch_below(found.what.id, how) : probe_.watch(found.what.id, how);
    if (!watched) {
        throw Failure(Exit::usage, fmt::format("can't watch more than {}", counted(files_, "file")),
                      "use a larger --max-files");
    }
    ++files_;
    if ((flags & IOLENS_WATCH_FILE) != 0) unnamed_.push_back(found);
}

void Watches::follow(const FoundFile& found, const iolens_file_id& first) {
    iolens_watch how = found.how;
    how.flags = IOLENS_WATCH_FILE;
    how.first = first;
    if (probe_.attach_functions(found.what) == AttachMode::syscalls) how.flags |= IOLENS_WATCH_CALLS;
    if (probe_.follow_name(found.what.name, how)) return;
    throw Failure(Exit::usage, "can't follow more names", "use a larger --max-files, or --no-follow-name");
}

void Watches::add(const FoundFile& found, bool tree) {
    if (!found.is_directory()) {
        add_one(found, IOLENS_WATCH_FILE);
        if (follow_names_) follow(found, found.what.id);
        return;
    }
    // the directory first, so that files created meanwhile are not missed
    add_one(found, u32{IOLENS_WATCH_DIRECTORY} | (tree ? u32{IOLENS_WATCH_TREE} : 0U));
    walk(found.path, tree);
}

void Watches::walk(const std::string& directory, bool tree) {
    std::error_code error;
    std::vector<std::string> directories{directory};
    while (!directories.empty()) {
        const std::string here = std::move(directories.back());
        directories.pop_back();
        for (auto at = fs::directory_iterator(here, error); !error && at != fs::directory_iterator();
             at.increment(error)) {
            std::error_code gone;
            const fs::file_type type = at->symlink_status(gone).type();
            const std::string path = at->path().string();
            if (type == fs::file_type::directory && tree) directories.push_back(path);
            // a mount is the root of a tree of its own
            const bool mount = type == fs::file_type::directory && tree;
            if (type != fs::file_type::regular && !mount) continue;
            const Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
            if (!fd) continue;  // removed meanwhile
            if (!mount) {
                add_one(look(fd, path), IOLENS_WATCH_FILE, true);
                continue;
            }
            struct stat child{};
            struct stat parent{};
            if (::fstat(fd.get(), &child) == 0 && ::stat(here.c_str(), &parent) == 0 && child.st_dev != parent.st_dev) {
                add_one(look(fd, path), u32{IOLENS_WATCH_DIRECTORY} | u32{IOLENS_WATCH_TREE});
            }
        }
    }
}

std::vector<std::vector<u64>> Watches::names() {
    std::vector<std::vector<u64>> records;
    u32 last_disk = 0;
    for (const FoundFile& found : unnamed_) {
        if (found.how.disk != last_disk) {
            last_disk = found.how.disk;
            iolens_disk_fact disk{};
            disk.h.kind = IOLENS_KIND_DISK;
            disk.h.size = sizeof disk;
            disk.dev = last_disk;
            disks_.name(last_disk).copy(reinterpret_cast<char*>(static_cast<u8*>(disk.name)), sizeof disk.name - 1);
            records.push_back(make_record(disk));
        }
        iolens_file_fact name{};
        const std::string_view path = std::string_view(found.path).substr(0, IOLENS_PATH_LEN);
        name.h.kind = IOLENS_KIND_FILE;
        name.name_id = found.what.name_id;
        name.kind = IOLENS_FILE_REGULAR;
        name.flags = IOLENS_FILE_LITERAL;
        name.length = static_cast<u16>(path.size() + 1);
        records.push_back(make_record(name, {path}));
        iolens_watch_fact fact{};
        fact.h.kind = IOLENS_KIND_WATCH;
        fact.id = found.what.id;
        fact.name_id = found.what.name_id;
        records.push_back(make_record(fact));
    }
    unnamed_.clear();
    return records;
}

namespace {

/// Selects the system calls and requests through which SyscallProbe sees the accesses.
void choose_syscalls(SyscallProbe::Options& options, u32 ops) {
    const auto wants = [&](iolens_vfs_op op) { return ops == 0 || (ops >> op & 1U) != 0; };
    const bool moves = wants(IOLENS_VFS_READ) || wants(IOLENS_VFS_WRITE);
    const auto wanted = [&](u8 direction, std::string_view name) {
        if (direction == IOLENS_DIR_READ) return wants(IOLENS_VFS_READ);
        if (direction == IOLENS_DIR_WRITE) return wants(IOLENS_VFS_WRITE);
        constexpr std::array<std::string_view, 6> syncs{"fsync",     "fdatasync",  "msync",
                                                        "aio:fsync", "aio:fdsync", "io_uring:fsync"};
        if (std::ranges::find(syncs, name) != syncs.end()) return wants(IOLENS_VFS_FSYNC);
        return (name == "fallocate" || name == "io_uring:fallocate") && wants(IOLENS_VFS_DISCARD);
    };
    for (const Syscall& call : syscalls()) {
        if (call.number >= options.syscalls.size()) continue;  // not on this architecture
        bool chosen = wanted(call.info.direction, call.name);
        switch (call.info.shape) {
            case IOLENS_SHAPE_SEND:
            case IOLENS_SHAPE_RECEIVE:
            case IOLENS_SHAPE_MESSAGE:
            case IOLENS_SHAPE_MESSAGES:                    // only for sockets
            case IOLENS_SHAPE_TEE: chosen = false; break;  // only for pipes
            case IOLENS_SHAPE_COPY:
            case IOLENS_SHAPE_SENDFILE: chosen = moves; break;  // both read and write
            case IOLENS_SHAPE_IO_SUBMIT:
            case IOLENS_SHAPE_IO_GET:
            case IOLENS_SHAPE_IO_DESTROY: chosen = moves || wants(IOLENS_VFS_FSYNC); break;
            case IOLENS_SHAPE_SIGRETURN:
            case IOLENS_SHAPE_RESTART: chosen = true; break;
            default: break;
        }
        if (!chosen) continue;
        iolens_call_info& info = options.syscalls.at(call.number);
        info = call.info;
        if (info.shape == IOLENS_SHAPE_ALLOCATE) info.flags = 2;  // emits its mode
    }
    for (const KnownRequest& request : known_requests()) {
        const u8 direction = (request.what & IOLENS_REQUEST_READS) != 0    ? u8{IOLENS_DIR_READ}
                             : (request.what & IOLENS_REQUEST_WRITES) != 0 ? u8{IOLENS_DIR_WRITE}
                                                                           : u8{IOLENS_DIR_NONE};
        if (request.name == "io_uring:tee") continue;  // only for pipes
        const bool chosen = request.name == "io_uring:splice" ? moves : wanted(direction, request.name);
        if (chosen) choose_request(options, request);
    }
    choose_compat_calls(options);
}

}  // namespace

void Watches::complete(const VfsProbe::Options& options) {
    if (calls_ || !needs_syscalls_ || !options.vfs) return;
    SyscallProbe::Options calls;
    calls.filter = options.filter;
    calls.cgroup_fd = options.cgroup_fd;
    calls.max_threads = options.max_inflight;
    calls.watch = probe_.maps();
    choose_syscalls(calls, options.filter.ops);
    calls_ = std::make_unique<SyscallProbe>(calls);
}

RingSource::Probes Watches::source() {
    return {
        .ring_fd = probe_.ring_fd(),
        .detach =
            [this] {
                probe_.detach();
                if (calls_) calls_->detach();
            },
        .ledger =
            [this] {
                iolens_loss loss = probe_.ledger();
                if (calls_) loss.missed += calls_->missed();
                return loss;
            },
        .before = names(),
        .tidy =
            [this] {
                if (calls_) calls_->drop_ended_requests();
            },
        .unfinished = [this] { return probe_.unfinished(); },
    };
}

namespace {

/// fallocate, as a call or as a request.
bool allocates(u64 id) {
    const Syscall* call = find_syscall(id);
    const KnownRequest* request = find_request(id);
    return (call != nullptr && call->info.shape == IOLENS_SHAPE_ALLOCATE) ||
           (request != nullptr && request->operation == IOLENS_OPERATION_ALLOCATE);
}

/// Converts a call on a watched file to an access; false if it is none. The caller adds the task's name.
bool access_of_call(const iolens_call_event& call, iolens_vfs_event& access) {
    access = {};
    access.h = call.h;
    access.h.kind = IOLENS_KIND_VFS;
    access.h.size = sizeof access;
    access.start = call.start;
    access.id = {.ino = call.ino, .dev = call.dev, .generation = call.generation};
    access.name_id = call.name_id;
    access.address = call.offset;
    access.requested = call.requested;
    access.result = call.result;
    access.tgid = call.tgid;
    access.tid = call.tid;
    access.host_tgid = call.host_tgid;
    access.host_tid = call.host_tid;
    access.level = IOLENS_LEVEL_VFS;
    if (call.call >= IOLENS_CALL_AIO) access.flags |= IOLENS_VFS_ASYNC;
    if ((call.flags & IOLENS_CALL_HAS_OFFSET) == 0) access.flags |= IOLENS_VFS_NO_ADDRESS;
    if ((call.flags & IOLENS_CALL_NO_RESULT) != 0) access.flags |= IOLENS_VFS_NO_END;
    if ((call.flags & IOLENS_CALL_PENDING) != 0) {
        access.flags |= IOLENS_VFS_PENDING;
    } else if (call_is_unended(call)) {
        access.flags |= IOLENS_VFS_MISSED;
    }
    if (call.direction == IOLENS_DIR_READ) {
        access.op = IOLENS_VFS_READ;
    } else if (call.direction == IOLENS_DIR_WRITE) {
        access.op = IOLENS_VFS_WRITE;
    } else if (allocates(call.call)) {
        constexpr u64 takes_out = 2 | 8;  // FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE
        if ((call.asked & takes_out) == 0) return false;
        access.op = IOLENS_VFS_DISCARD;
    } else {
        access.op = IOLENS_VFS_FSYNC;
        access.flags |= IOLENS_VFS_NO_ADDRESS;
        access.requested = 0;  // msync: the length of the range
    }
    return true;
}

}  // namespace

const iolens_vfs_event* access_of(const iolens_header& head, const Tasks& tasks, Decoder& decoder,
                                  iolens_vfs_event& storage) {
    const auto* call = decoder.as<iolens_call_event>(head, IOLENS_KIND_CALL);
    if (call == nullptr) {
        const auto* event = decoder.as<iolens_vfs_event>(head, IOLENS_KIND_VFS);
        return event != nullptr && vfs_is_known(*event) ? event : nullptr;
    }
    if (!access_of_call(*call, storage)) return nullptr;
    if (const Tasks::Task* task = tasks.find(host_tid(*call))) {
        task->comm.copy(reinterpret_cast<char*>(static_cast<u8*>(storage.comm)), IOLENS_COMM_LEN - 1);
        storage.cgroup_id = task->cgroup_id;
    }
    return &storage;
}

Levels levels_of(const std::string& word) {
    static constexpr std::array<std::string_view, 3> level_names{"vfs", "blk", "all"};
    if (!word.empty() && std::ranges::find(level_names, std::string_view(word)) == level_names.end()) {
        throw Failure(Exit::usage, unknown_name("level", word, level_names), list_names("levels", level_names));
    }
    return {.vfs = word != "blk", .blk = word != "vfs"};
}

void add_level_flag(Flags& flags, std::string& word) {
    flags.text("--level", word, "LEVEL", "show accesses at this level: vfs, blk or all (default)");
}

}  // namespace iolens
