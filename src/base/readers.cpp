// SPDX-License-Identifier: Apache-2.0
#include "base/readers.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>

#include "base/directory.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

/// Parses the whole text as a number; 0 if it isn't one.
u64 number_in(std::string_view text) {
    u64 number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

/// The inode of a pipe, from a link in /proc/PID/fd ("pipe:[1234]"); 0 if it isn't a pipe.
u64 pipe_of(const fs::path& link) {
    std::error_code error;
    const std::string target = fs::read_symlink(link, error).string();
    constexpr std::string_view start = "pipe:[";
    if (!target.starts_with(start) || !target.ends_with(']')) return 0;
    return number_in(std::string_view(target).substr(start.size(), target.size() - start.size() - 1));
}

/// The permissions of the link show the mode that the file was opened with.
bool is_read(const fs::path& link) {
    std::error_code error;
    return (fs::symlink_status(link, error).permissions() & fs::perms::owner_read) != fs::perms::none;
}

}  // namespace

u64 stdout_pipe_of(u32 pid, const std::string& root) {
    return pipe_of(fs::path(root) / "proc" / std::to_string(pid) / "fd/1");
}

PipeReaders::PipeReaders(const std::string& root) {
    for_each_entry(fs::path(root) / "proc", [&](const fs::directory_entry& process) {
        const auto pid = static_cast<u32>(number_in(process.path().filename().native()));
        if (pid == 0) return;
        bool reads = false;
        for_each_entry(process.path() / "fd", [&](const fs::directory_entry& fd) {
            const u64 pipe = pipe_of(fd.path());
            if (pipe == 0 || !is_read(fd.path())) return;
            std::vector<u32>& items = readers_[pipe];
            if (items.empty() || items.back() != pid) items.push_back(pid);
            reads = true;
        });
        if (reads) stdout_[pid] = stdout_pipe_of(pid, root);
    });
}

std::vector<PipeReader> PipeReaders::behind(u64 pipe) const {
    std::vector<PipeReader> found;
    std::vector<u64> pipes{pipe};  // each once: pipes may form a cycle
    for (std::size_t i = 0; i < pipes.size(); ++i) {
        const auto readers = readers_.find(pipes[i]);
        if (readers == readers_.end()) continue;
        for (const u32 pid : readers->second) {
            if (std::ranges::find(found, pid, &PipeReader::pid) == found.end()) found.push_back({pid, pipes[i]});
            const u64 next = stdout_.at(pid);
            if (next != 0 && std::ranges::find(pipes, next) == pipes.end()) pipes.push_back(next);
        }
    }
    return found;
}

void RowReaders::add(u32 pid, u64 pipe) {
    Known& known = known_[pid];
    if (known.count++ == 0 || (known.pipe == 0 && pipe != 0)) {
        known.pipe = pipe;
        if (watcher_) watcher_({pid, pipe}, true);
    }
}

void RowReaders::remove(u32 pid) {
    const auto it = known_.find(pid);
    if (it == known_.end() || --it->second.count != 0) return;
    const PipeReader gone{pid, it->second.pipe};
    known_.erase(it);
    if (watcher_) watcher_(gone, false);
}

void RowReaders::watch(std::function<void(const PipeReader& reader, bool reads)> watcher) {
    watcher_ = std::move(watcher);
    if (!watcher_) return;
    for (const auto& [pid, known] : known_) watcher_({pid, known.pipe}, true);
}

RowReaders& row_readers() {
    static RowReaders readers;
    return readers;
}

}  // namespace iolens
