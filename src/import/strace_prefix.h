// SPDX-License-Identifier: Apache-2.0
// What precedes a call in a line of strace: who made it and when, as -f, -t, -r, -n, -i and their variants print it.
#pragma once

#include <optional>
#include <string_view>

#include "iolens/event/header.h"
#include "resolve/log_clock.h"

namespace iolens {

struct LinePrefix {
    u32 tid = 0;            ///< 0: the line has none
    bool bracket = false;   ///< "[pid 7]", as on a terminal
    std::string_view comm;  ///< --decode-pids=comm; "" if it isn't there
    LogClock clock = LogClock::none;
    u64 time_ns = 0;        ///< since midnight of the first day, since 1970, or since the first line
    u64 day_time = 0;       ///< for LinePrefixes: the time of day, or the time since the line before
    std::string_view rest;  ///< of the line
};

/// Reads the prefixes of the lines of one log in turn.
class LinePrefixes {
public:
    /// Nothing if the prefix is damaged. Call commit() with it if the line is one of strace's.
    [[nodiscard]] std::optional<LinePrefix> take(std::string_view line) const;
    void commit(const LinePrefix& prefix);

private:
    u64 day_ns_ = 0;   // added to times of day
    u64 last_ns_ = 0;  // time of day of the previous line
    u64 sum_ns_ = 0;   // of the times of -r, which count from the line before
};

}  // namespace iolens
