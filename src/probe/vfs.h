// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "iolens/event/vfs.h"
#include "iolens/filter.h"
#include "iolens/watch.h"
#include "probe/addresses.h"
#include "probe/bpf.h"

struct vfs_bpf;

namespace iolens {

/// Maps of one object that another one shares, by descriptor.
struct WatchMaps {
    int ring = -1;
    int counters = -1;
    int watched = -1;
    int below = -1;
    int names = -1;
    int found = -1;
    int tables = -1;
    u32 depth = 0;  ///< see bpf/lib/watch.bpf.h
};

/// How accesses to a file are traced.
enum class AttachMode : u8 { fentry, kprobe, syscalls };
inline constexpr std::array<std::string_view, 3> attach_mode_names{"fentry", "kprobe", "syscalls"};

/// The programs of bpf/vfs.bpf.c, loaded from construction to destruction, and the files that they watch.
class VfsProbe {
public:
    struct Options {
        iolens_filter filter{};  ///< its ops are enum iolens_vfs_op
        int cgroup_fd = -1;      ///< for filter.by_cgroup
        u64 ring_bytes = 8 << 20;
        u32 max_inflight = 32768;  ///< accesses, and bios
        u32 max_files = 1;         ///< named files and directories; the same number again of files in directories
        bool vfs = true;           ///< trace levels
        bool blk = true;
        std::optional<AttachMode> only;  ///< try no other mode
        u32 depth = 0;  ///< how many levels above a file its watched directory may be; 0: no directory is watched
        bool directories = true;    ///< directories are watched; else only the files that replace named ones
        bool follow_names = false;  ///< also watch the files that replace named ones; depth is then 1 or more
        u32 max_names = ~0U;        ///< followed names; at most max_files, before 6.1 an eighth of it (or 16384)
    };

    /// Loads, and attaches the block level. Throws Failure (unavailable) if the kernel rejects a program.
    explicit VfsProbe(const Options& options);
    ~VfsProbe();
    VfsProbe(const VfsProbe&) = delete;
    VfsProbe& operator=(const VfsProbe&) = delete;

    /// Identifies an open file in the kernel; nothing if the kernel can't run the program. Thread-safe.
    [[nodiscard]] std::optional<iolens_resolved> resolve(int fd);

    /// Attaches to the functions of this file's filesystem, unless already attached. Returns how accesses to it are
    /// traced: with AttachMode::syscalls nothing is attached, and the caller has to load SyscallProbe.
    AttachMode attach_functions(const iolens_resolved& file);

    /// Watches a file or directory from now on; returns false if there are too many.
    bool watch(const iolens_file_id& id, const iolens_watch& how);
    /// Likewise for a file in a watched directory, which may be evicted for others when it is not in use.
    bool watch_below(const iolens_file_id& id, const iolens_watch& how);
    void unwatch(const iolens_file_id& id);
    /// Also watches every file that gets this name in its directory; returns false if there are too many names. A
    /// deleted file has no name to follow.
    bool follow_name(const iolens_watch_name& name, const iolens_watch& how);
    void unfollow_name(const iolens_watch_name& name);
    /// The first file with the followed name that this file got; nothing if it was not found by a followed name.
    [[nodiscard]] std::optional<iolens_file_id> first_of(const iolens_file_id& id) const;
    /// Number of files that replaced another one under a followed name.
    [[nodiscard]] u64 replaced() const { return watch_count(2); }

    /// The names (name_id) that accesses in flight will need when they end.
    [[nodiscard]] std::vector<u64> names_in_flight() const;
    /// Names of files are sent again when they are next used.
    void begin_period();
    void detach();
    [[nodiscard]] int ring_fd() const;
    [[nodiscard]] WatchMaps maps() const;
    [[nodiscard]] iolens_loss ledger() const;
    /// After detach(): records of accesses still in flight.
    [[nodiscard]] std::vector<std::vector<u64>> unfinished() { return std::exchange(unfinished_, {}); }
    /// Files in watched directories that are not watched themselves: --max-files was reached.
    [[nodiscard]] u64 unwatched_files() const;
    [[nodiscard]] u32 max_files() const { return options_.max_files; }
    /// Files of watched directories that were evicted; they are found again when they are accessed.
    [[nodiscard]] u64 evicted() const;
    /// Why no better mode is available, for -v.
    [[nodiscard]] const std::vector<std::string>& why() const { return why_; }
    /// True if the mode in use sees page faults.
    [[nodiscard]] bool sees_faults() const { return sees_faults_; }

    /// Loads and attaches each program by itself and reports the result; leaves nothing attached.
    static std::vector<ProbeStatus> examine(bool variants);

private:
    struct Close {
        void operator()(vfs_bpf* object) const;
    };
    using Object = std::unique_ptr<vfs_bpf, Close>;
    /// Programs attached to one filesystem's functions, or to the kernel's common ones.
    struct Attached {
        Object object;
        std::vector<Link> links;
    };
    using Targets = std::map<std::string, std::string>;  // place, as in bpf/vfs.bpf.c → function

    [[nodiscard]] u32 names_capacity() const;
    [[nodiscard]] Object make() const;
    bool try_attach(const Targets& targets, AttachMode mode, const Targets& optional, Targets& missing);
    AttachMode attach_best(const Targets& targets, const Targets& optional);
    [[nodiscard]] bool wants(iolens_vfs_op op) const;
    Targets kernel_targets() const;
    static std::vector<ProbeStatus> examine_functions(std::optional<AttachMode> only);
    void attach_seen_faults();
    void settle(iolens_vfs_event e);
    [[nodiscard]] u64 watch_count(u32 item) const;
    int put_watch(const bpf_map* map, const iolens_file_id& id, const iolens_watch& how, u64 flags);
    void set_byte(iolens_watch_table table, u32 place);

    Options options_;
    bool allocates_ = false;  // hash maps may allocate entries when they are added
    KernelAddresses addresses_;
    Object object_;
    iolens_watch_bytes* bytes_ = nullptr;  // mapped
    std::vector<Link> links_;
    std::vector<Attached> attached_;
    std::map<std::array<u64, IOLENS_FUNCTIONS>, AttachMode> known_;  // by a filesystem's functions
    std::set<std::string> functions_;                                // attached functions
    bool kernel_attached_ = false;
    u64 added_below_ = 0;  // files of watched directories that user space added
    bool sees_faults_ = false;
    bool seen_faults_ =
        false;  // the tracepoints that substitute for the fault functions are attached, if there are any
    bool detached_ = false;
    iolens_counters settled_{};                 // accesses left over after detaching …
    std::vector<std::vector<u64>> unfinished_;  // … as records
    std::vector<std::string> why_;
    std::mutex resolving_;
};

}  // namespace iolens
