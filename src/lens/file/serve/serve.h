// SPDX-License-Identifier: Apache-2.0
// iolens file serve: watched files and their logs as a file tree, as iotracer had them in /proc.
#pragma once

#include <atomic>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/decode.h"
#include "fuse/mount.h"
#include "lens/file/log.h"
#include "lens/file/serve/watcher.h"
#include "lens/file/watch.h"
#include "probe/syscalls.h"
#include "probe/vfs.h"
#include "resolve/resolver.h"
#include "source/ring.h"

namespace iolens {

inline constexpr std::string_view default_tree = "/run/iolens";

/// Default limit of the memory for a tree's logs, in bytes.
inline constexpr u64 default_log_memory = u64{1} << 30;

/// The tree's contents:
///
///     control                    add PATH [MAX_EVENTS], remove PATH; one line per file: <bdev>_<inode> PATH...
///     status                     what is watched, in how much memory, what was lost, and which files were replaced
///     <bdev>_<inode>/control     stop, start, reset, timereset; <status> <T0> <max_events> <nb_events>
///     <bdev>_<inode>/log         one line per access
class LogTree final : public TreeFiles, public Receiver {
public:
    struct Options {
        VfsProbe::Options probe;
        std::size_t max_events = 10;          ///< if none is given
        u64 max_memory = default_log_memory;  ///< bytes of all logs; as much again while logs are read
    };
    /// Loads and attaches. Throws Failure.
    explicit LogTree(const Options& options);
    /// With a given watcher, for tests.
    LogTree(std::unique_ptr<FileWatcher> watcher, std::size_t max_events, u64 max_memory = default_log_memory);

    std::optional<About> about(std::string_view path) override;
    std::vector<std::string> entries(std::string_view directory) override;
    std::unique_ptr<TreeReader> read(std::string_view path) override;
    int write(std::string_view path, std::string_view text, const TreeClient& client) override;

    /// Reads the records in the ring buffer. Returns their number.
    std::size_t drain();
    /// Of the ring buffer: becomes readable when much data is waiting.
    [[nodiscard]] int descriptor() const { return watcher_->source().descriptor(); }

    bool record(std::span<const std::byte> bytes) override;

private:
    class LogReader;
    struct Watched {
        iolens_file_id id{};                                // of the first file
        std::deque<iolens_file_id> successors;              // the files that replaced it, newest last
        u64 replaced = 0;                                   // how many there were
        std::map<std::string, iolens_watch_name> followed;  // those of `names` that are followed
        std::string node;                                   // <bdev>_<inode>
        std::vector<std::string> names;                     // newest first
        AccessLog log{0};
        std::list<std::shared_ptr<Watched>>::iterator place;  // in files_
        u64 began_boot = 0;                                   // T0
        u64 began_monotonic = 0;
        u64 from = 0;         // accesses that began earlier are not logged
        bool running = true;  // and since when, by the same clock: the ring's reader sees a stop later
        u64 stopped = 0;
        u64 started = 0;
    };
    using Shared = std::shared_ptr<Watched>;

    int add(const ControlCommand& command, const TreeClient& client);
    int remove(const std::string& path, const TreeClient& client);
    [[nodiscard]] bool has_memory(const std::string& name, u64 events, u64 instead_of) const;
    void follow(const Shared& file, const FoundFile& found, const std::string& name);
    Shared log_of(const iolens_file_id& id);
    void adopt_named(const FoundFile& found, const std::string& name);
    void adopt(const Shared& file, const iolens_file_id& id);
    void drop_name(Watched& file, const std::string& name);
    void give_name(const Shared& file, const std::string& name);
    int command_log(Watched& file, std::string_view word);
    void log(const iolens_vfs_event& e);
    [[nodiscard]] Shared of_node(std::string_view path, std::string_view& rest);
    std::string status();

    std::unique_ptr<FileWatcher> watcher_;
    std::size_t max_events_;
    u64 max_memory_;
    std::atomic<u64> read_bytes_ = 0;  // of snapshots of opened logs
    u64 events_ = 0;                   // capacity of all logs
    Resolver resolver_;                // for task names, which are logged
    Decoder decoder_;
    std::mutex changes_;       // serializes adding and removing files; taken before mutex_
    std::mutex mutex_;         // guards the members below, and the source
    std::list<Shared> files_;  // in the order in which they were added
    std::unordered_map<iolens_file_id, Shared, FileIdHash> by_id_;
    std::unordered_map<std::string, Shared> by_node_;
    std::unordered_map<std::string, Shared> by_name_;
};

}  // namespace iolens
