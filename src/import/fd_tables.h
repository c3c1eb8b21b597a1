// SPDX-License-Identifier: Apache-2.0
// What each fd of a logged program is, as far as the log tells.
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

/// What an fd is.
struct LoggedFile {
    u8 kind = IOLENS_FILE_OTHER;  ///< enum iolens_file_kind
    std::string name;             ///< a path, or a word of our own: "pipe->4", "tcp:"
    bool is_path = false;         ///< the name is shown in quotes
    std::optional<LoggedAddress> peer;
    bool close_on_exec = false;
    u64 ino = 0;      ///< of a pipe, where the log has it
    u64 open_id = 0;  ///< tells one open file from others; 0: it was open before
};

/// The fd tables of the processes in a log. A process that begins in the log has a copy of its parent's table, or
/// shares it (CLONE_FILES).
class FdTables {
public:
    /// Before a thread's call is looked at. `begun`: only its first part is there yet.
    void meet(const LoggedCall& call, bool begun);
    /// When a call has ended: what it changes.
    void apply(const LoggedCall& call);
    /// The id of the process that had none (0) is known now.
    void name_main(u32 tid);
    /// A thread has ended.
    void forget(u32 tid) {
        tables_.erase(tid);
        cloning_.erase(tid);
    }
    [[nodiscard]] std::size_t size() const { return tables_.size(); }

    /// The file of an argument: "3" or, with -y, "3</etc/hosts>"; nothing is known of `fd=N`.
    [[nodiscard]] LoggedFile file_of(u32 tid, std::string_view argument);

    /// The fds of "[3, 4]", as pipe and socketpair give them back, each as an argument.
    static std::vector<std::string_view> pair_of(std::string_view argument);

    /// The address in "{sa_family=AF_INET, sin_port=htons(80), …}"; a unix socket's path goes to `path`.
    static std::optional<LoggedAddress> address_of(std::string_view argument, std::string& path);

private:
    using Table = std::map<int, LoggedFile>;
    std::shared_ptr<Table>& table(u32 tid);
    void add(u32 tid, const LoggedCall& call, LoggedFile file, std::string_view flags);

    void evict_idle();

    struct Thread {
        std::shared_ptr<Table> table;
        u64 used = 0;  // the number of the look at it
    };
    std::unordered_map<u32, Thread> tables_;
    u64 looks_ = 0;
    u64 opened_ = 0;
    std::unordered_map<u32, bool> cloning_;  // threads within clone; do they share their files?
};

}  // namespace iolens
