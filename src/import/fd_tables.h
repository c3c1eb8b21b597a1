// SPDX-License-Identifier: Apache-2.0
// Tracks the processes of a logged program, their directories and their fds, as far as the log shows them.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "import/fd_effect.h"
#include "import/fd_table.h"
#include "import/logged_file.h"
#include "import/strace_call.h"

namespace iolens {

/// The files of a call's first arguments when it began.
class ArgumentFiles {
public:
    static constexpr std::size_t max = 6;
    void set(std::size_t n, FileRef file) {
        files_.at(n) = std::move(file);
        set_ |= 1U << n;
    }
    [[nodiscard]] bool has(std::size_t n) const { return n < max && (set_ >> n & 1) != 0; }
    /// Null: the fd was not known.
    [[nodiscard]] const FileRef& at(std::size_t n) const { return files_.at(n); }

private:
    std::array<FileRef, max> files_;
    unsigned set_ = 0;
};

/// The fd tables of the processes in a log. A process that starts in the log gets a copy of its parent's table, or
/// shares it (CLONE_FILES).
class FdTables {
public:
    /// Call before a thread's call is processed. False: it is a new child of one of several processes that are about to
    /// clone; it is not known of which one. Then keep its calls until is_known() or a clone has ended.
    [[nodiscard]] bool meet(u32 tid);
    [[nodiscard]] bool is_known(u32 tid) { return find_task(tid) != nullptr; }
    /// Gives a thread whose parent can't be known a table of its own.
    void adopt(u32 tid) { static_cast<void>(task(tid)); }

    /// Call when the first part of an interrupted call was read: what it does at its beginning takes effect.
    void begin(const LoggedCall& call);
    /// Call when a call has ended, before its rows are made: it refers to the files of its beginning.
    void resume(const LoggedCall& call);
    /// What the call does takes effect.
    void apply(const LoggedCall& call, Effect effect);
    /// Call when its rows were made.
    void done() {
        if (resumed_) current_ = {};
        resumed_ = false;
    }

    /// Assigns an id to the process that had none (0).
    void name_main(u32 tid);
    /// A thread that has executed a program has another id from now on.
    void move(u32 from, u32 to);
    /// Call when a thread has exited.
    void forget(u32 tid);
    [[nodiscard]] std::size_t size() const { return tasks_.size(); }

    /// The file of the nth argument, "3" or, with -y, "3</etc/hosts>", when the call began; `fd=N` if it is not known.
    /// For rows: it must not be changed.
    [[nodiscard]] FileRef row_file(const LoggedCall& call, std::size_t n);
    /// Likewise the file of an fd now.
    [[nodiscard]] FileRef row_file(u32 tid, std::string_view argument);

    /// The process of a thread; 0: unknown.
    [[nodiscard]] u32 process_of(u32 tid);
    /// Identifies the address space of a thread.
    [[nodiscard]] u32 space_of(u32 tid) { return task(tid).space; }

private:
    /// Working directory and root: shared by CLONE_FS.
    struct Place {
        std::string directory;  // "" if unknown
        std::string root;       // "" for that of the machine
        bool unknown_root = false;
    };
    struct Task {
        std::shared_ptr<FdTable> fds;
        std::shared_ptr<Place> place;
        u32 process = 0;
        u32 space = 0;
        u64 used = 0;  // value of `looks_` at its last use
    };
    /// A clone that has begun.
    struct Cloning {
        u32 parent = 0;
        u32 child = 0;  // its thread, if that has been met; 0: not yet
        bool files = false;
        bool place = false;
        bool memory = false;
        bool thread = false;
        Task of_parent{};      // when it began
        FdTable fds_before{};  // likewise, for a copy
    };
    /// A call that has begun and not ended.
    struct Begun {
        ArgumentFiles files;
        std::vector<std::pair<int, FdEntry>> removed;  // by its beginning
        std::optional<FdTable> before;                 // of exec
        bool known = false;                            // close: the fd was known
    };

    Task& task(u32 tid);
    Task* find_task(u32 tid);
    Task fresh();
    Cloning cloning(const LoggedCall& call);
    Task child_of(const Cloning& from, u32 child);
    void end_clone(const LoggedCall& call, bool failed);
    void apply_to_fds(const LoggedCall& call, Effect effect, Task& task);
    void close(const LoggedCall& call, Task& task);
    void close_range(const LoggedCall& call, Task& task);
    void execute(const LoggedCall& call, Task& task);
    void dup_to(const LoggedCall& call, Task& task, bool failed);
    void connect(const LoggedCall& call, Task& task, bool failed);
    void pair(const LoggedCall& call, Task& task, bool pipe);
    void receive(const LoggedCall& call, Task& task);
    void link(const LoggedCall& call, Task& task);
    void add(const LoggedCall& call, Task& task, LoggedFile file, bool close_on_exec);
    void open(const LoggedCall& call, Task& task, std::size_t path, std::size_t flags);
    FileRef known_file(Task& task, std::string_view argument);
    FileRef known_file(const LoggedCall& call, std::size_t n);
    FileRef file_of(const LoggedCall& call, std::size_t n);
    FileRef unknown_file(std::string_view argument);
    std::string absolute(Task& task, std::string_view directory, std::string_view path);
    void evict_idle();

    std::unordered_map<u32, Task> tasks_;
    u32 last_tid_ = 0;
    Task* last_task_ = nullptr;  // the task of last_tid_; null: not at hand. Lines of one thread need it many times
    std::unordered_map<s32, FileRef> unknown_files_;  // of rows, by fd
    std::vector<Cloning> cloning_;
    std::unordered_map<u32, Begun> begun_;
    Begun current_;         // of the call that is being processed, if it was interrupted
    bool resumed_ = false;  // `current_` is set
    u64 looks_ = 0;
    u64 opened_ = 0;
    u32 spaces_ = 0;
};

}  // namespace iolens
