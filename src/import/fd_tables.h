// SPDX-License-Identifier: Apache-2.0
// Tracks the fds of a logged program, as far as the log shows them.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "import/strace_line.h"
#include "iolens/event/file.h"

namespace iolens {

/// A socket's address.
struct LoggedAddress {
    u16 family = 0;
    u16 port = 0;
    std::array<u8, 16> bytes{};
};

/// The file that an fd refers to.
struct LoggedFile {
    u8 kind = IOLENS_FILE_OTHER;  ///< enum iolens_file_kind
    std::string name;             ///< a path, or a generated name: "pipe->4", "tcp:"
    bool is_path = false;         ///< the name is shown in quotes
    std::optional<LoggedAddress> peer;
    bool close_on_exec = false;
    u64 ino = 0;      ///< of a pipe, if the log has it
    u64 open_id = 0;  ///< identifies the open file description; 0: opened before the log began
};

/// The fd tables of the processes in a log. A process that starts in the log gets a copy of its parent's table, or
/// shares it (CLONE_FILES).
class FdTables {
public:
    /// Call before a thread's call is processed. `begun`: only its first part has been read.
    void meet(const LoggedCall& call, bool begun);
    /// Call when a call has ended: applies its changes to the fd table.
    void apply(const LoggedCall& call);
    /// Assigns an id to the process that had none (0).
    void name_main(u32 tid);
    /// Call when a thread has exited.
    void forget(u32 tid) {
        tables_.erase(tid);
        cloning_.erase(tid);
    }
    [[nodiscard]] std::size_t size() const { return tables_.size(); }

    /// The file of an argument: "3" or, with -y, "3</etc/hosts>"; `fd=N` is not resolved.
    [[nodiscard]] LoggedFile file_of(u32 tid, std::string_view argument);

    /// The fds in "[3, 4]", as returned by pipe and socketpair, each as an argument.
    static std::vector<std::string_view> pair_of(std::string_view argument);

    /// The address in "{sa_family=AF_INET, sin_port=htons(80), …}"; stores a unix socket's path in `path`.
    static std::optional<LoggedAddress> address_of(std::string_view argument, std::string& path);

private:
    using Table = std::map<int, LoggedFile>;
    std::shared_ptr<Table>& table(u32 tid);
    void add(u32 tid, const LoggedCall& call, LoggedFile file, std::string_view flags);

    void evict_idle();

    struct Thread {
        std::shared_ptr<Table> table;
        u64 used = 0;  // value of `looks_` at its last use
    };
    std::unordered_map<u32, Thread> tables_;
    u64 looks_ = 0;
    u64 opened_ = 0;
    std::unordered_map<u32, bool> cloning_;  // threads inside clone; true with CLONE_FILES
};

}  // namespace iolens
