// SPDX-License-Identifier: Apache-2.0
// The names of the logs, and the files that replace others under a name.
#include <fmt/format.h>

#include <algorithm>

#include "base/failure.h"
#include "base/output.h"
#include "base/text.h"
#include "lens/file/serve/serve.h"

namespace iolens {
namespace {

bool same_name(const iolens_watch_name& a, const iolens_watch_name& b) {
    return a.directory == b.directory && a.hash == b.hash;
}

}  // namespace

/// The log of a file; null if there is none. A file that is found by a followed name gets the log of this name.
LogTree::Shared LogTree::log_of(const iolens_file_id& id) {
    if (const auto it = by_id_.find(id); it != by_id_.end()) return it->second;
    const auto first = watcher_->first_of(id);
    const auto it = first ? by_id_.find(*first) : by_id_.end();
    if (it == by_id_.end()) return nullptr;
    const Shared file = it->second;
    adopt(file, id);
    return file;
}

/// Continues the log that follows this name, if the file now has the name but was not accessed yet.
void LogTree::adopt_named(const FoundFile& found, const std::string& name) {
    const auto named = by_name_.find(name);
    if (named == by_name_.end() || by_id_.contains(found.what.id)) return;
    const Shared file = named->second;
    const auto followed = file->followed.find(name);
    if (followed != file->followed.end() && same_name(followed->second, found.what.name)) adopt(file, found.what.id);
}

/// Follows a name of a log.
void LogTree::follow(const Shared& file, const FoundFile& found, const std::string& name) {
    if (const auto known = file->followed.find(name); known != file->followed.end()) {
        if (same_name(known->second, found.what.name)) return;
        watcher_->unfollow(known->second);  // its directory was replaced
        file->followed.erase(known);
    }
    try {
        if (watcher_->follow(found, file->id)) file->followed[name] = found.what.name;
    } catch (const Failure& failure) {
        log_line(fmt::format("{}: {}", visible(name), failure.what()));
    }
}

/// Continues a log with a file that replaces the last one. The old ones may still be open: the latest are watched, too.
void LogTree::adopt(const Shared& file, const iolens_file_id& id) {
    constexpr std::size_t max_successors = 16;
    by_id_[id] = file;
    file->successors.push_back(id);
    ++file->replaced;
    if (file->successors.size() <= max_successors) return;
    watcher_->unwatch(file->successors.front());
    by_id_.erase(file->successors.front());
    file->successors.pop_front();
}

/// Removes a name of a log, and no longer follows it.
void LogTree::drop_name(Watched& file, const std::string& name) {
    if (const auto followed = file.followed.find(name); followed != file.followed.end()) {
        watcher_->unfollow(followed->second);
        file.followed.erase(followed);
    }
    std::erase(file.names, name);
    by_name_.erase(name);
}

/// Adds a name to a file. If another file had the name, that file keeps its log; if it has no other name, it gets one
/// under which it can still be removed.
void LogTree::give_name(const Shared& file, const std::string& name) {
    if (const auto named = by_name_.find(name); named != by_name_.end()) {
        const Shared other = named->second;
        if (other == file) return;
        drop_name(*other, name);
        if (other->names.empty()) {
            std::string gone = name + " (deleted)";
            while (by_name_.contains(gone)) gone += " (deleted)";
            other->names.push_back(gone);
            by_name_[gone] = other;
        }
    }
    by_name_[name] = file;
    file->names.insert(file->names.begin(), name);
}

}  // namespace iolens
