// SPDX-License-Identifier: Apache-2.0
// The lines of strace's log, taken apart. Nothing here knows what a call means.
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

/// A system call as a log has it. The views are of `text`, which copies share.
struct LoggedCall {
    u32 tid = 0;  ///< 0 where the log has no column for it
    LogClock clock = LogClock::none;
    u64 start_ns = 0;                         ///< since midnight, or since 1970 (epoch)
    std::optional<u64> duration_ns;           ///< of -T
    std::shared_ptr<const std::string> text;  ///< "name(arguments) = result", joined where it was interrupted
    std::string_view name;
    std::vector<std::string_view> arguments;
    std::string_view all_arguments;
    bool has_result = false;       ///< false: "= ?"
    s64 result = 0;                ///< -1 where the call failed
    int error = 0;                 ///< errno by its name; 512 and more: the kernel's own, of a call that is restarted
    std::string_view result_file;  ///< of -y: what stands in <> behind the result

    /// The nth argument from 0; "" where there are fewer.
    [[nodiscard]] std::string_view argument(std::size_t n) const {
        return n < arguments.size() ? arguments[n] : std::string_view();
    }
};

/// What a line turned out to be.
enum class LineKind : u8 {
    call,
    begun,    ///< the first part of a call; the rest comes later
    ended,    ///< "+++ exited with 0 +++": the thread is gone
    comment,  ///< a signal, a word of strace's own, an empty line
    unreadable,
};

/// Joins the parts of calls, thread by thread.
class StraceLines {
public:
    /// Takes a line without its end. `call` is filled for LineKind::call; for begun and ended, tid and name are.
    LineKind take(std::string_view line, LoggedCall& call);

    /// The first process's id, where a log on a terminal has begun to tell it: lines before had none (0). 0: not yet.
    [[nodiscard]] u32 main_tid() const { return main_tid_; }

    /// Parts that were begun and not ended when the log was over.
    [[nodiscard]] std::size_t unfinished() const { return begun_.size(); }

private:
    struct Begun {
        std::string text;
        LogClock clock = LogClock::none;
        u64 start_ns = 0;
    };
    void meet(u32 tid);

    std::unordered_map<u32, Begun> begun_;
    std::set<u32> attached_;  // of a log on a terminal: children that strace said it follows
    u32 main_tid_ = 0;
    bool main_ended_ = false;
    std::string cut_;  // the beginning of a line that a word of strace's own came into
    u64 day_ns_ = 0;   // added to times since midnight
    u64 last_ns_ = 0;  // time of day of the line before
};

}  // namespace iolens
