// SPDX-License-Identifier: Apache-2.0
// The processes of a log: who is whose child, and what a call that is interrupted refers to.
#include "import/fd_tables.h"

#include <algorithm>
#include <utility>

#include "import/strace_value.h"

namespace iolens {
namespace {

LoggedFile named(u8 kind, std::string name) {
    LoggedFile file;
    file.kind = kind;
    file.name = std::move(name);
    return file;
}

LoggedFile unknown(s32 fd) { return named(IOLENS_FILE_OTHER, "fd=" + std::to_string(fd)); }

s32 fd_number(std::string_view argument) { return static_cast<s32>(leading_number(argument).value_or(-1)); }

FileRef stream(const char* name) { return std::make_shared<LoggedFile>(named(IOLENS_FILE_OTHER, name)); }

/// The flags of a clone, in each order of its arguments: "flags=CLONE_VM|SIGCHLD", "{flags=…}", or a number of -X raw.
std::string_view clone_flags(const LoggedCall& call) {
    const std::string_view given = member_of(call.all_arguments, "flags=");
    return given.empty() ? call.argument(0) : given.substr(0, given.find_first_of(",}"));
}

}  // namespace

FdTables::Task FdTables::fresh() {
    // each has the names of its own: a connect() on one of them must not change another process's
    Task task;
    task.fds = std::make_shared<FdTable>();
    task.fds->set(0, {stream("stdin")});
    task.fds->set(1, {stream("stdout")});
    task.fds->set(2, {stream("stderr")});
    task.place = std::make_shared<Place>();
    task.space = ++spaces_;
    return task;
}

FdTables::Task* FdTables::find_task(u32 tid) {
    if (last_task_ != nullptr && last_tid_ == tid) return last_task_;
    const auto it = tasks_.find(tid);
    if (it == tasks_.end()) return nullptr;
    last_tid_ = tid;
    last_task_ = &it->second;
    return last_task_;
}

FdTables::Task& FdTables::task(u32 tid) {
    Task* known = find_task(tid);
    Task& task = known != nullptr ? *known : tasks_.emplace(tid, fresh()).first->second;
    task.used = ++looks_;
    return task;
}

void FdTables::name_main(u32 tid) {
    last_task_ = nullptr;
    // Extract first: inserting an element invalidates iterators.
    if (auto unnamed = tasks_.extract(0); !unnamed.empty()) tasks_[tid] = std::move(unnamed.mapped());
    if (auto unnamed = begun_.extract(0); !unnamed.empty()) begun_[tid] = std::move(unnamed.mapped());
    for (Cloning& from : cloning_) {
        if (from.parent == 0) from.parent = tid;
    }
}

void FdTables::move(u32 from, u32 to) {
    last_task_ = nullptr;
    if (auto task = tasks_.extract(from); !task.empty()) tasks_[to] = std::move(task.mapped());
    if (auto begun = begun_.extract(from); !begun.empty()) begun_[to] = std::move(begun.mapped());
    if (const auto it = tasks_.find(to); it != tasks_.end()) it->second.process = to;
}

void FdTables::forget(u32 tid) {
    last_task_ = nullptr;
    tasks_.erase(tid);
    begun_.erase(tid);
    std::erase_if(cloning_, [tid](const Cloning& from) { return from.parent == tid; });
}

u32 FdTables::process_of(u32 tid) { return task(tid).process; }

/// Evicts the least recently used half: a log need not report that a thread has exited.
void FdTables::evict_idle() {
    constexpr std::size_t max = 1 << 16;
    if (tasks_.size() <= max) return;
    last_task_ = nullptr;
    std::vector<u64> used;
    used.reserve(tasks_.size());
    for (const auto& [tid, task] : tasks_) used.push_back(task.used);
    const auto middle = used.begin() + static_cast<std::ptrdiff_t>(used.size() / 2);
    std::ranges::nth_element(used, middle);
    std::erase_if(tasks_, [oldest_left = *middle](const auto& item) { return item.second.used < oldest_left; });
    std::erase_if(begun_, [this](const auto& item) { return !tasks_.contains(item.first); });
    std::erase_if(cloning_, [this](const Cloning& from) { return !tasks_.contains(from.parent); });
}

FdTables::Cloning FdTables::cloning(const LoggedCall& call) {
    const std::string_view flags = clone_flags(call);
    const bool plain = call.name.ends_with("fork");
    const auto has = [&](std::string_view name, u64 bit) { return !plain && has_flag(flags, name, bit); };
    Cloning from;
    from.parent = call.tid;
    from.files = has("CLONE_FILES", 0x400);
    from.place = has("CLONE_FS", 0x200);
    from.memory = call.name == "vfork" || has("CLONE_VM", 0x100);
    from.thread = has("CLONE_THREAD", 0x10000);
    from.of_parent = task(call.tid);
    if (!from.files) from.fds_before = *from.of_parent.fds;
    return from;
}

FdTables::Task FdTables::child_of(const Cloning& from, u32 child) {
    Task task = from.of_parent;
    if (!from.files) task.fds = std::make_shared<FdTable>(from.fds_before);
    if (!from.place) task.place = std::make_shared<Place>(*task.place);
    if (!from.memory) task.space = ++spaces_;
    if (!from.thread) task.process = child;
    task.used = ++looks_;
    return task;
}

bool FdTables::meet(u32 tid) {
    if (is_known(tid)) return true;
    evict_idle();
    // a child's first call can precede the end of its parent's clone
    Cloning* parent = nullptr;
    for (Cloning& from : cloning_) {
        if (from.child != 0) continue;
        const bool same = parent != nullptr && from.files && parent->files &&
                          from.of_parent.fds == parent->of_parent.fds && from.thread && parent->thread;
        if (parent != nullptr && !same) return false;
        if (parent == nullptr) parent = &from;
    }
    if (parent != nullptr) {
        parent->child = tid;
        tasks_[tid] = child_of(*parent, tid);
    }
    return true;
}

void FdTables::end_clone(const LoggedCall& call, bool failed) {
    const auto it = std::ranges::find(cloning_, call.tid, &Cloning::parent);
    const Cloning from = it != cloning_.end() ? std::move(*it) : cloning(call);
    if (it != cloning_.end()) cloning_.erase(it);
    const u32 child = failed ? 0 : returned_pid(call);
    if (child == from.child) return;
    if (child == 0) {
        if (failed && from.child != 0) {  // it was somebody else's
            last_task_ = nullptr;
            tasks_.erase(from.child);
        }
        return;
    }
    tasks_[child] = child_of(from, child);
}

FileRef FdTables::known_file(Task& task, std::string_view argument) {
    const auto number = leading_number(argument);
    const FdEntry* known = number ? task.fds->find(static_cast<int>(*number)) : nullptr;
    const std::string_view shown = file_behind_fd(argument);
    if (shown.empty()) return known == nullptr ? nullptr : known->file;
    if (known != nullptr && known->file->shown == shown) return known->file;
    LoggedFile file = shown_file(shown, shown_as_deleted(argument));
    if (known != nullptr) {
        // the calls on a socket may say more of it than its inode
        const bool more = !file.is_path && !file.peer && file.kind == IOLENS_FILE_SOCKET;
        if (more && known->file->kind == IOLENS_FILE_SOCKET && known->file->shown.empty()) return known->file;
        file.open_id = known->file->open_id;
    }
    auto made = std::make_shared<LoggedFile>(std::move(file));
    if (number) task.fds->set(static_cast<int>(*number), {made, known != nullptr && known->close_on_exec});
    return made;
}

FileRef FdTables::known_file(const LoggedCall& call, std::size_t n) {
    if (current_.files.has(n)) return current_.files.at(n);
    return known_file(task(call.tid), call.argument(n));
}

/// The file of the nth argument when the call began: one of its own if it is not known.
FileRef FdTables::file_of(const LoggedCall& call, std::size_t n) {
    const FileRef known = known_file(call, n);
    return known ? known : std::make_shared<LoggedFile>(unknown(fd_number(call.argument(n))));
}

/// Shared by all rows: a program may use an fd that the log has no open of a million times.
FileRef FdTables::unknown_file(std::string_view argument) {
    constexpr std::size_t max = 4096;
    if (unknown_files_.size() >= max) unknown_files_.clear();
    const s32 fd = fd_number(argument);
    FileRef& file = unknown_files_[fd];
    if (!file) file = std::make_shared<LoggedFile>(unknown(fd));
    return file;
}

FileRef FdTables::row_file(const LoggedCall& call, std::size_t n) {
    const FileRef known = known_file(call, n);
    return known ? known : unknown_file(call.argument(n));
}

FileRef FdTables::row_file(u32 tid, std::string_view argument) {
    const FileRef known = known_file(task(tid), argument);
    return known ? known : unknown_file(argument);
}

void FdTables::begin(const LoggedCall& call) {
    Task& of = task(call.tid);
    Begun& begun = begun_[call.tid] = {};
    for (std::size_t n = 0; n < call.arguments.size() && n < ArgumentFiles::max; ++n) {
        const std::string_view argument = call.argument(n);
        if (!argument.empty() && digit(argument[0])) begun.files.set(n, known_file(of, argument));
    }
    const auto fd = leading_number(call.argument(0));
    switch (effect_of(call.name)) {
        case Effect::clone:
            std::erase_if(cloning_, [&](const Cloning& from) { return from.parent == call.tid; });
            cloning_.push_back(cloning(call));
            break;
        case Effect::close:
            if (!fd) break;
            if (FdEntry was = of.fds->take(static_cast<int>(*fd)); was.file) {
                begun.removed.emplace_back(static_cast<int>(*fd), std::move(was));
                begun.known = true;
            }
            break;
        case Effect::close_range: {
            const auto last = leading_number(call.argument(1));
            if (!fd || !last || call.argument(2).find_first_not_of('0') != std::string_view::npos) break;
            begun.removed = of.fds->take_if(static_cast<int>(*fd), static_cast<int>(std::min<s64>(*last, 0x7fffffff)),
                                            [](const FdEntry&) { return true; });
            begun.known = true;
            break;
        }
        case Effect::dup_to: {
            const auto to = leading_number(call.argument(1));
            if (!fd || !to || *fd == *to || call.arguments.size() < 2) break;
            begun.removed.emplace_back(static_cast<int>(*to), of.fds->take(static_cast<int>(*to)));
            of.fds->set(static_cast<int>(*to), {file_of(call, 0), has_flag(call.argument(2), "CLOEXEC", 0x80000)});
            begun.known = true;
            break;
        }
        case Effect::exec: begun.before = *of.fds; break;
        default: break;
    }
}

void FdTables::resume(const LoggedCall& call) {
    done();
    if (!call.joined) return;
    auto begun = begun_.extract(call.tid);
    if (begun.empty()) return;
    current_ = std::move(begun.mapped());
    resumed_ = true;
}

}  // namespace iolens
