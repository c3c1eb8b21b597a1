// SPDX-License-Identifier: Apache-2.0
// A system call as a strace log has it: name(arguments) = result. Nothing here knows the meaning of a call.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "import/scan.h"
#include "iolens/event/header.h"
#include "resolve/log_clock.h"

namespace iolens {

/// The arguments of a call, split at the outer commas. Those behind the eighth are dropped: no system call has more
/// than six, and strace prints at most one beside them.
class ArgumentViews {
public:
    void push_back(std::string_view argument) {
        if (count_ < views_.size()) views_.at(count_++) = argument;
    }
    void clear() { count_ = 0; }
    [[nodiscard]] std::size_t size() const { return count_; }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] auto begin() { return views_.begin(); }
    [[nodiscard]] auto end() { return views_.begin() + static_cast<std::ptrdiff_t>(count_); }
    [[nodiscard]] auto begin() const { return views_.begin(); }
    [[nodiscard]] auto end() const { return views_.begin() + static_cast<std::ptrdiff_t>(count_); }
    [[nodiscard]] std::string_view operator[](std::size_t n) const { return views_.at(n); }

private:
    std::array<std::string_view, 8> views_;
    std::size_t count_ = 0;
};

/// A system call from a log. The views point into the line that was parsed, or into `owner` if that is set.
struct LoggedCall {
    u32 tid = 0;            ///< 0 if the log has no pid column
    std::string_view comm;  ///< from --decode-pids=comm; "" if it isn't there
    LogClock clock = LogClock::none;
    u64 start_ns = 0;                ///< since midnight, since 1970 (epoch), or since the log's first line (relative)
    std::optional<u64> duration_ns;  ///< from -T
    std::shared_ptr<const std::string> owner;
    std::string_view text;  ///< "name(arguments) = result", joined if it was interrupted
    std::string_view name;
    ArgumentViews arguments;  ///< without the names that -N prints
    std::string_view all_arguments;
    bool has_result = false;       ///< false: "= ?"
    s64 result = 0;                ///< -1 if the call failed
    int error = 0;                 ///< errno value; 512 and more: kernel-internal, of a call that is restarted
    std::string_view result_text;  ///< the result as it is in the log, without what follows it: "0x7f00", "-1", "?"
    std::string_view result_file;  ///< from -y: the text in <> after the result
    std::string_view trailer;      ///< what follows the result: "(Timeout)", "/* 7 in strace's PID NS */"
    bool joined = false;           ///< its beginning and its end are in different lines

    /// The nth argument from 0; "" if there are fewer.
    [[nodiscard]] std::string_view argument(std::size_t n) const {
        return n < arguments.size() ? arguments[n] : std::string_view();
    }

    /// Parses `text`, which must stay. False if it isn't a complete call.
    bool parse();
    /// Parses the first part of a call. False if it doesn't begin with a name and a parenthesis.
    bool parse_begin();
    /// Copies the text, so that the call outlives its line. Drops `comm`.
    void own();
};

/// The length of the name at the start of `text`, if "(" follows it; otherwise 0.
std::size_t call_name_length(std::string_view text);

/// The pid that a call has returned, as the tracer sees it: "2 /* 4243 in strace's PID NS */". 0 if there is none.
u32 returned_pid(const LoggedCall& call);

/// Is the file of an …at call the one of its fd? The path is "" with AT_EMPTY_PATH, or NULL.
bool is_fd_itself(const LoggedCall& logged);

}  // namespace iolens
