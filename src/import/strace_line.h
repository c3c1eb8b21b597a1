// SPDX-License-Identifier: Apache-2.0
// Parses the lines of a strace log. Nothing here knows the meaning of a call.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "iolens/event/header.h"
#include "resolve/log_clock.h"

namespace iolens {

/// A system call from a log. The views point into `text`, which copies share.
struct LoggedCall {
    u32 tid = 0;  ///< 0 if the log has no pid column
    LogClock clock = LogClock::none;
    u64 start_ns = 0;                         ///< since midnight, or since 1970 (epoch)
    std::optional<u64> duration_ns;           ///< from -T
    std::shared_ptr<const std::string> text;  ///< "name(arguments) = result", joined if it was interrupted
    std::string_view name;
    std::vector<std::string_view> arguments;
    std::string_view all_arguments;
    bool has_result = false;       ///< false: "= ?"
    s64 result = 0;                ///< -1 if the call failed
    int error = 0;                 ///< errno value; 512 and more: kernel-internal, of a call that is restarted
    std::string_view result_file;  ///< from -y: the text in <> after the result

    /// The nth argument from 0; "" if there are fewer.
    [[nodiscard]] std::string_view argument(std::size_t n) const {
        return n < arguments.size() ? arguments[n] : std::string_view();
    }
};

/// Kinds of lines.
enum class LineKind : u8 {
    call,
    begun,    ///< the first part of a call; the rest comes later
    ended,    ///< "+++ exited with 0 +++": the thread is gone
    comment,  ///< a signal, a word of strace's own, an empty line
    unreadable,
};

/// Joins the parts of interrupted calls, per thread.
class StraceLines {
public:
    /// Parses a line without its newline. Fills `call` for LineKind::call; only tid and name for begun and ended.
    LineKind take(std::string_view line, LoggedCall& call);

    /// The first process's id, once a log on a terminal shows it: lines before had none (0). 0: not yet.
    [[nodiscard]] u32 main_tid() const { return main_tid_; }

    /// Calls that had not ended when the log ended.
    [[nodiscard]] std::size_t unfinished() const { return begun_.size(); }

private:
    struct Begun {
        std::string text;
        LogClock clock = LogClock::none;
        u64 start_ns = 0;
    };
    void meet(u32 tid);

    std::unordered_map<u32, Begun> begun_;
    std::set<u32> attached_;  // for logs on a terminal: children that strace has attached to
    u32 main_tid_ = 0;
    bool main_ended_ = false;
    std::string cut_;  // start of a line that was cut by a message of strace
    u64 day_ns_ = 0;   // added to times since midnight
    u64 last_ns_ = 0;  // time of day of the previous line
};

/// Is the file of an …at call the one of its fd? The path is "" with AT_EMPTY_PATH, or NULL.
bool is_fd_itself(const LoggedCall& logged);

}  // namespace iolens
