// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/privileges.h"
#include "lens/file/watch.h"
#include "probe/vfs.h"
#include "source/source.h"

namespace iolens {

/// Watches files for a log tree.
class FileWatcher {
public:
    FileWatcher() = default;
    FileWatcher(const FileWatcher&) = delete;
    FileWatcher& operator=(const FileWatcher&) = delete;
    virtual ~FileWatcher() = default;

    /// Looks a path up with a user's permissions. Throws Failure if it leads to nothing that can be watched; errno is
    /// the reason.
    virtual FoundFile find(const std::string& path, const Credentials& as) = 0;
    /// Watches a file from now on. Throws Failure: usage if there are too many files.
    virtual void watch(const FoundFile& found) = 0;
    virtual void unwatch(const iolens_file_id& file) = 0;
    /// Also watches each file that gets the name of a watched file, as one that replaces `first`. Returns false if
    /// names are not followed, or if the file is deleted. Throws Failure: usage if there are too many names.
    virtual bool follow(const FoundFile& found, const iolens_file_id& first) = 0;
    virtual void unfollow(const iolens_watch_name& name) = 0;
    /// The first file with the followed name that this file got; nothing if it has no followed name.
    virtual std::optional<iolens_file_id> first_of(const iolens_file_id& file) = 0;
    /// The accesses to the watched files.
    virtual Source& source() = 0;
};

/// A watcher that uses BPF programs. Loads and attaches. Throws Failure.
std::unique_ptr<FileWatcher> make_probe_watcher(const VfsProbe::Options& options);

}  // namespace iolens
