// SPDX-License-Identifier: Apache-2.0
#include "lens/file/serve/serve.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/clock.h"
#include "base/decode.h"
#include "base/failure.h"
#include "base/output.h"
#include "base/text.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

/// A text that is complete when the file is opened.
class TextReader final : public TreeReader {
public:
    explicit TextReader(std::string text) : text_(std::move(text)) {}
    std::string more() override { return std::exchange(text_, {}); }

private:
    std::string text_;
};

/// Converts a client's path to a name in the tree, with the client's permissions for the lookup. Returns 0 or an errno.
int name_of(const std::string& given, const TreeClient& client, std::string& name) {
    const AccessAs rights(client.opener);
    std::error_code error;
    fs::path path = given;
    if (path.is_relative()) {
        const fs::path here = fs::read_symlink(fmt::format("/proc/{}/cwd", client.pid), error);
        if (error) return ESRCH;
        path = here / path;
    }
    name = tree_name(path, error);
    return error ? error.value() : 0;
}

}  // namespace

/// A log as it was when it was opened; after its end, the accesses logged since then.
class LogTree::LogReader final : public TreeReader {
public:
    LogReader(LogTree& tree, Shared file) : tree_(tree), file_(std::move(file)) { take(); }
    ~LogReader() override { tree_.read_bytes_ -= charged_; }
    LogReader(const LogReader&) = delete;
    LogReader& operator=(const LogReader&) = delete;

    std::string more() override {
        if (!fetch()) {
            if (!at_end_) {
                at_end_ = true;
                return {};
            }
            take();
            at_end_ = !fetch();
        }
        Buffer text;
        constexpr std::size_t piece = 64 << 10;
        for (; text.size() < piece && fetch(); rest_ = rest_.subspan(1)) append_line(text, rest_.front(), began_);
        return {text.data(), text.size()};
    }

private:
    /// False: the snapshot has no further access.
    bool fetch() {
        if (rest_.empty()) rest_ = snapshot_.next();
        return !rest_.empty();
    }

    void take() {
        tree_.drain();
        LogSnapshot fresh;
        {
            const std::scoped_lock lock(tree_.mutex_);
            fresh = file_->log.since(next_);
            next_ = file_->log.next();
            began_ = file_->began_boot;
        }
        // without the lock: this may free a lot of memory
        snapshot_ = std::move(fresh);
        rest_ = {};
        // the accesses stay in memory until they are read, even if the log has dropped them
        tree_.read_bytes_ -= std::exchange(charged_, 0);
        const u64 bytes = snapshot_.bytes();
        if (tree_.read_bytes_.fetch_add(bytes) + bytes > tree_.max_memory_) {
            tree_.read_bytes_ -= bytes;
            snapshot_ = {};
            throw std::bad_alloc();
        }
        charged_ = bytes;
    }

    LogTree& tree_;
    Shared file_;
    LogSnapshot snapshot_;
    std::span<const LoggedAccess> rest_;  // unread part of what snapshot_ returned last
    u64 next_ = 0;
    u64 began_ = 0;
    u64 charged_ = 0;  // of tree_.read_bytes_
    bool at_end_ = false;
};

LogTree::LogTree(const Options& options)
    : LogTree(make_probe_watcher(options.probe), options.max_events, options.max_memory) {}

LogTree::LogTree(std::unique_ptr<FileWatcher> watcher, std::size_t max_events, u64 max_memory)
    : watcher_(std::move(watcher)), max_events_(max_events), max_memory_(max_memory) {}

LogTree::Shared LogTree::of_node(std::string_view path, std::string_view& rest) {
    path.remove_prefix(1);
    const std::size_t slash = std::min(path.find('/'), path.size());
    rest = path.substr(slash);
    const auto it = by_node_.find(std::string(path.substr(0, slash)));
    return it == by_node_.end() ? nullptr : it->second;
}

std::optional<TreeFiles::About> LogTree::about(std::string_view path) {
    if (path == "/") return About{.directory = true};
    if (path == "/control") return About{.readable = true, .writable = true};
    if (path == "/status") return About{.readable = true};
    const std::scoped_lock lock(mutex_);
    std::string_view rest;
    if (!of_node(path, rest)) return {};
    if (rest.empty()) return About{.directory = true};
    if (rest == "/control") return About{.readable = true, .writable = true};
    if (rest == "/log") return About{.readable = true};
    return {};
}

std::vector<std::string> LogTree::entries(std::string_view directory) {
    if (directory != "/") return {"control", "log"};
    std::vector<std::string> items{"control", "status"};
    const std::scoped_lock lock(mutex_);
    for (const Shared& file : files_) items.push_back(file->node);
    return items;
}

std::unique_ptr<TreeReader> LogTree::read(std::string_view path) {
    drain();
    if (path == "/status") return std::make_unique<TextReader>(status());
    std::unique_lock lock(mutex_);
    if (path == "/control") {
        std::string text;
        for (const Shared& file : files_) {
            text += file->node;
            for (const std::string& name : file->names) text += " " + line_path(name);
            text += '\n';
        }
        return std::make_unique<TextReader>(std::move(text));
    }
    std::string_view rest;
    const Shared file = of_node(path, rest);
    if (!file) return nullptr;
    if (rest == "/control") {
        return std::make_unique<TextReader>(
            fmt::format("{} {}.{:09} {} {}\n", file->running ? 1 : 0, file->began_monotonic / 1'000'000'000,
                        file->began_monotonic % 1'000'000'000, file->log.capacity(), file->log.size()));
    }
    if (rest != "/log") return nullptr;
    lock.unlock();
    return std::make_unique<LogReader>(*this, file);
}

int LogTree::write(std::string_view path, std::string_view text, const TreeClient& client) {
    if (path == "/control") {
        ControlCommand command;
        if (const int error = parse_control(text, command); error != 0) return error;
        try {
            return command.what == ControlCommand::What::add ? add(command, client) : remove(command.path, client);
        } catch (const std::bad_alloc&) {
            return ENOMEM;
        }
    }
    constexpr std::size_t longest = 32;
    if (text.size() > longest) return EINVAL;
    const std::string_view word = trimmed(text, " \n");
    drain();
    const std::scoped_lock lock(mutex_);
    std::string_view rest;
    const Shared file = of_node(path, rest);
    if (!file) return ENOENT;
    return rest == "/control" ? command_log(*file, word) : EACCES;
}

int LogTree::command_log(Watched& file, std::string_view word) {
    const u64 now = clock_ns(CLOCK_BOOTTIME);
    if (word == "stop") {
        if (file.running) file.stopped = now;
        file.running = false;
    } else if (word == "start") {
        if (!file.running) file.started = now;
        file.running = true;
    } else if (word == "reset") {
        file.log.clear();
        file.from = now;
    } else if (word == "timereset") {
        file.log.clear();
        file.from = file.began_boot = now;
        file.began_monotonic = clock_ns(CLOCK_MONOTONIC);
    } else {
        return EINVAL;
    }
    return 0;
}

/// Is there memory for a log of `events` events in place of one of `instead_of` events? Logs a message if not.
bool LogTree::has_memory(const std::string& name, u64 events, u64 instead_of) const {
    const u64 rest =
        max_memory_ / sizeof(LoggedAccess) - std::min(max_memory_ / sizeof(LoggedAccess), events_ - instead_of);
    if (events <= rest) return true;
    log_line(fmt::format("{}: a log of {} would exceed --max-memory, which has room for {} more", visible(name),
                         counted(events, "event"), rest));
    return false;
}

int LogTree::add(const ControlCommand& command, const TreeClient& client) {
    std::string name;
    if (const int error = name_of(command.path, client, name); error != 0) return error;
    FoundFile found;
    try {
        // without the lock: the path may lead into this tree, and another thread has to serve it
        errno = 0;
        found = watcher_->find(name, client.opener);
    } catch (const Failure& failure) {
        return errno != 0 ? errno : EINVAL;
    }
    if (found.is_directory()) return EISDIR;
    // a log of this tree would log its own readers
    constexpr u32 fuse = 0x65735546;  // FUSE_SUPER_MAGIC
    if (found.what.magic == fuse && Mounts().source(found.what.id.dev) == tree_source) return EINVAL;

    const std::scoped_lock changing(changes_);
    std::unique_lock lock(mutex_);
    adopt_named(found, name);
    if (const auto known = by_id_.find(found.what.id); known != by_id_.end()) {
        Watched& file = *known->second;
        if (command.max_events != 0 && command.max_events != file.log.capacity()) {
            if (!has_memory(name, command.max_events, file.log.capacity())) return ENOMEM;
            events_ += command.max_events - file.log.capacity();
            log_line(fmt::format("{}: log capacity changed from {} to {}", visible(name), file.log.capacity(),
                                 counted(command.max_events, "event")));
            file.log.resize(command.max_events);
        }
        give_name(known->second, name);
        follow(known->second, found, name);
        return 0;
    }
    const u64 events = command.max_events != 0 ? command.max_events : max_events_;
    if (!has_memory(name, events, 0)) return ENOMEM;
    // Attaching takes a while: without the lock, so that logs can be read and written meanwhile.
    lock.unlock();
    try {
        watcher_->watch(found);
    } catch (const Failure& failure) {
        log_line(fmt::format("{}: {}", visible(name), failure.what()));
        watcher_->unwatch(found.what.id);
        return failure.status() == Exit::usage ? ENOSPC : EOPNOTSUPP;
    }
    auto file = std::make_shared<Watched>();
    lock.lock();
    file->id = found.what.id;
    file->node = fmt::format(
        "{}_{}", found.disk.empty() ? fmt::format("0:{}", found.what.id.dev & 0xfffff) : found.disk, found.what.id.ino);
    // taken by an earlier file with this inode number, which is still listed
    if (by_node_.contains(file->node)) file->node += fmt::format("_{}", found.what.id.generation);
    file->log.resize(events);
    events_ += events;
    file->began_boot = file->from = clock_ns(CLOCK_BOOTTIME);
    file->began_monotonic = clock_ns(CLOCK_MONOTONIC);
    file->place = files_.insert(files_.end(), file);
    by_id_[file->id] = file;
    by_node_[file->node] = file;
    give_name(file, name);
    follow(file, found, name);
    return 0;
}

int LogTree::remove(const std::string& path, const TreeClient& client) {
    std::string name;
    const int error = name_of(path, client, name);
    const std::scoped_lock lock(changes_, mutex_);
    auto named = error == 0 ? by_name_.find(name) : by_name_.end();
    if (named == by_name_.end()) named = by_name_.find(path);  // as the control file shows it
    if (named == by_name_.end()) return error != 0 ? error : ENOENT;
    const Shared file = named->second;
    drop_name(*file, std::string(named->first));
    if (!file->names.empty()) return 0;
    file->successors.push_back(file->id);
    for (const iolens_file_id& id : file->successors) {
        watcher_->unwatch(id);
        by_id_.erase(id);
    }
    events_ -= file->log.capacity();
    by_node_.erase(file->node);
    files_.erase(file->place);
    return 0;
}

void LogTree::log(const iolens_vfs_event& e) {
    if (!vfs_moves(e)) return;
    const Shared of = log_of(e.id);
    if (!of) return;
    Watched& file = *of;
    if (e.start < file.from) return;
    // log accesses that were in flight at a stop, but not those that began before a start
    if (file.running ? e.start >= file.stopped && e.start < file.started : e.start >= file.stopped) return;
    LoggedAccess access;
    access.start = e.start;
    access.address = vfs_address(e);
    access.bytes = e.requested;
    access.pid = e.tgid;
    access.level = e.level == IOLENS_LEVEL_BLK ? 1 : 0;
    access.op = e.op;
    std::copy_n(static_cast<const u8*>(e.comm), IOLENS_COMM_LEN, static_cast<u8*>(access.comm));
    file.log.add(access);
}

bool LogTree::record(std::span<const std::byte> bytes) {
    const iolens_header* head = decode_header(bytes);
    if (head == nullptr) return true;
    if (head->kind == IOLENS_KIND_TASK) {
        resolver_.learn(*head);
        return true;
    }
    iolens_vfs_event storage;
    if (const iolens_vfs_event* access = access_of(*head, resolver_.tasks(), decoder_, storage)) log(*access);
    return true;
}

std::size_t LogTree::drain() {
    constexpr int max_reads = 256;  // records that arrive meanwhile are left for the next call
    std::size_t sum = 0;
    for (int i = 0; i < max_reads; ++i) {
        const std::scoped_lock lock(mutex_);
        const std::size_t count = watcher_->source().read(*this);
        if (count == 0) break;
        sum += count;
    }
    const std::scoped_lock lock(mutex_);
    resolver_.age([] {}, [] { return std::vector<u64>(); });
    return sum;
}

std::string LogTree::status() {
    const std::scoped_lock lock(changes_, mutex_);  // the ledger covers everything that is attached
    const iolens_loss ledger = watcher_->source().ledger();
    std::size_t events = 0;
    std::size_t bytes = 0;
    for (const Shared& file : files_) {
        events += file->log.size();
        bytes += file->log.bytes();
    }
    std::string text = fmt::format(
        "files {}\nevents {}\nmemory_bytes {}\nmost_memory_bytes {}\nseen {}\ndelivered {}\nlost_ring_full {}\n"
        "lost_state_full {}\nlost_stale {}\nlost_missed {}\n",
        files_.size(), events, bytes, events_ * sizeof(LoggedAccess), ledger.n.seen, ledger.n.delivered,
        ledger.n.ring_full, ledger.n.state_full, ledger.n.no_end, ledger.missed);
    for (const Shared& file : files_) {
        if (file->replaced == 0) continue;
        text += fmt::format("replaced {} {} times, now inode {}\n", file->node, file->replaced,
                            file->successors.back().ino);
    }
    return text;
}

}  // namespace iolens
