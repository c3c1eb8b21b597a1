// SPDX-License-Identifier: Apache-2.0
// The files that the file lens watches: maps paths to the ids that the kernel side uses.
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

/// A file or directory as the kernel identifies it, and the disk of its filesystem.
struct FoundFile {
    iolens_resolved what{};
    std::string path;    ///< as the kernel reports it: symbolic links resolved
    std::string disk;    ///< name of the filesystem's block device; "" if it has none
    iolens_watch how{};  ///< with `disk` and `first_sector`
    [[nodiscard]] bool is_directory() const { return S_ISDIR(what.mode); }
};

class Watches {
public:
    explicit Watches(VfsProbe& probe, bool follow_names = false)
        : probe_(probe), max_(probe.max_files()), follow_names_(follow_names) {}

    /// Looks a path up. Throws Failure (usage) if there is no such file, or if it is neither a regular file nor a
    /// directory; errno is the reason. With `as`, also throws if this user may not read the file; /proc's links to open
    /// files are then not followed.
    FoundFile find(const std::string& path, const Credentials& as = {});

    /// Watches a file from now on, or every file in a directory, with `tree` also in the directories below it. Throws
    /// Failure (usage) if there are too many files.
    void add(const FoundFile& found, bool tree);

    /// Also watches each file that gets this file's name from now on, as one that replaces `first`; add() does so if
    /// names are followed. Throws Failure (usage) if there are too many names.
    void follow(const FoundFile& found, const iolens_file_id& first);

    /// The names of the added files and of their disks, as records for the lens.
    [[nodiscard]] std::vector<std::vector<u64>> names();

    /// Also traces system calls if the functions of some filesystem can't be traced. Throws Failure.
    void complete(const VfsProbe::Options& options);
    [[nodiscard]] const SyscallProbe* calls() const { return calls_.get(); }

    /// See SyscallProbe and VfsProbe.
    [[nodiscard]] std::vector<u64> names_in_flight() const {
        std::vector<u64> names = probe_.names_in_flight();
        if (calls_) std::ranges::copy(calls_->names_in_flight(), std::back_inserter(names));
        return names;
    }
    void begin_period() {
        probe_.begin_period();
        if (calls_) calls_->begin_period();
    }

    /// The source of the records: `before` is names().
    [[nodiscard]] RingSource::Probes source();

private:
    void add_one(const FoundFile& found, u32 flags, bool below = false);
    void walk(const std::string& directory, bool tree);
    [[nodiscard]] FoundFile look(const Fd& fd, const std::string& path);

    VfsProbe& probe_;
    std::unique_ptr<SyscallProbe> calls_;
    Disks disks_;
    Mounts mounts_;
    std::vector<FoundFile> unnamed_;  // names not yet emitted
    std::size_t files_ = 0;
    std::size_t max_;
    bool follow_names_;
    bool needs_syscalls_ = false;
};

/// The access in a record: at the VFS, a bio, or a call on a watched file by a task that `tasks` names. Null: another
/// record, a call that is not an access, or an access of a kind unknown to this version. The result may be in `storage`
/// or in `decoder`.
const iolens_vfs_event* access_of(const iolens_header& head, const Tasks& tasks, Decoder& decoder,
                                  iolens_vfs_event& storage);

/// The levels that --level selects.
struct Levels {
    bool vfs = true;
    bool blk = true;
};
/// For "vfs", "blk", "all" or "". Throws Failure (usage) for another word.
Levels levels_of(const std::string& word);
void add_level_flag(Flags& flags, std::string& word);

}  // namespace iolens
