// SPDX-License-Identifier: Apache-2.0
// The files that the file lens watches: from paths to what the kernel side knows.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "base/decode.h"
#include "base/fd.h"
#include "base/privileges.h"
#include "iolens/event/vfs.h"
#include "lens/options.h"
#include "probe/syscalls.h"
#include "probe/vfs.h"
#include "resolve/disks.h"
#include "resolve/mounts.h"
#include "resolve/tasks.h"
#include "source/ring.h"

namespace iolens {

/// A file or folder as the kernel has it, and what its filesystem is on.
struct FoundFile {
    iolens_resolved what{};
    std::string path;    ///< as the kernel has it: links resolved
    std::string disk;    ///< name of the filesystem's block device; "" where it is on none
    iolens_watch how{};  ///< `disk` and `first_sector` of it
    [[nodiscard]] bool is_directory() const { return S_ISDIR(what.mode); }
};

class Watches {
public:
    explicit Watches(VfsProbe& probe) : probe_(probe), max_(probe.max_files()) {}

    /// Looks a path up. Throws Failure (usage) where there is no such file or it is neither a file nor a folder. errno
    /// says which. With `as`, also where this user may not read the file; its path is then not followed through /proc's
    /// links to open files.
    FoundFile find(const std::string& path, const Credentials& as = {});

    /// Watches it from now on, a folder with every file in it, with `tree` also in those below. Throws Failure
    /// (usage) where there are too many files.
    void add(const FoundFile& found, bool tree);

    /// The names of what was added, and of the disks that it is on, as records for the lens.
    [[nodiscard]] std::vector<std::vector<u64>> names();

    /// Traces system calls, too, where the functions of some filesystem can't be traced. Throws Failure.
    void complete(const VfsProbe::Options& options);
    [[nodiscard]] const SyscallProbe* calls() const { return calls_.get(); }

    /// See CallProbe and VfsProbe.
    [[nodiscard]] std::vector<u64> names_in_flight() const {
        std::vector<u64> names = probe_.names_in_flight();
        if (calls_) std::ranges::copy(calls_->names_in_flight(), std::back_inserter(names));
        return names;
    }
    void begin_period() {
        probe_.begin_period();
        if (calls_) calls_->begin_period();
    }

    /// Where the records come from: `before` is names().
    [[nodiscard]] RingSource::Probes source();

private:
    void add_one(const FoundFile& found, u32 flags, bool below = false);
    void walk(const std::string& directory, bool tree);
    [[nodiscard]] FoundFile look(const Fd& fd, const std::string& path);

    VfsProbe& probe_;
    std::unique_ptr<SyscallProbe> calls_;
    Disks disks_;
    Mounts mounts_;
    std::vector<FoundFile> unnamed_;  // whose names are still to be emitted
    std::size_t files_ = 0;
    std::size_t max_;
    bool needs_syscalls_ = false;
};

/// The access that a record is: one at the VFS, a bio, or a call on a watched file, by a task that `tasks` names. Null:
/// another record, a call that is no access, or an access of a kind unknown to this version. It may be in `room` or in
/// `decoder`.
const iolens_vfs_event* access_of(const iolens_header& head, const Tasks& tasks, Decoder& decoder,
                                  iolens_vfs_event& storage);

/// What --level asks for.
struct Levels {
    bool vfs = true;
    bool blk = true;
};
/// Of "vfs", "blk", "all" or "". Throws Failure (usage) for another word.
Levels levels_of(const std::string& word);
void add_level_flag(Flags& flags, std::string& word);

}  // namespace iolens
