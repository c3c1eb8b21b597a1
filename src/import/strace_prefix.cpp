// SPDX-License-Identifier: Apache-2.0
#include "import/strace_prefix.h"

#include <algorithm>

#include "import/strace_call.h"
#include "import/strace_value.h"

namespace iolens {
namespace {

constexpr u64 day = 86'400'000'000'000;
constexpr u64 second = 1'000'000'000;
constexpr u64 max_pid = 1 << 22;          // the kernel's PID_MAX_LIMIT
constexpr u64 first_epoch = 100'000'000;  // seconds: 1973; -r never has as many between two lines
constexpr u64 last_epoch = 18'000'000'000;

bool blank(std::string_view text) { return !text.empty() && (text[0] == ' ' || text[0] == '\t'); }

/// Takes "11:22:33", "11:22:33.123456", "1700000000.123456", "1700000000" or "0.000123", followed by a blank. Leaves
/// `text` unchanged if there is none.
std::optional<u64> take_time(std::string_view& text, LogClock& clock) {
    std::string_view rest = text;
    const std::optional<u64> first = take_digits(rest);
    if (!first) return {};
    u64 ns = 0;
    if (take_word(rest, ":")) {
        const std::optional<u64> minutes = take_digits(rest);
        if (!minutes || !take_word(rest, ":")) return {};
        const std::optional<u64> seconds = take_digits(rest);
        if (!seconds || *first > 23 || *minutes > 59 || *seconds > 60) return {};
        const std::optional<u64> fraction = take_fraction(rest);
        clock = fraction ? LogClock::microseconds : LogClock::seconds;
        ns = ((*first * 60 + *minutes) * 60 + *seconds) * second + fraction.value_or(0);
    } else {
        if (*first > last_epoch) return {};
        const std::optional<u64> fraction = take_fraction(rest);
        clock = *first < first_epoch ? LogClock::relative : LogClock::epoch;
        ns = *first * second + fraction.value_or(0);
    }
    if (!blank(rest)) {
        clock = LogClock::none;
        return {};
    }
    text = rest;
    return ns;
}

/// Takes "<cat>" after a pid. strace escapes < and > in a name.
bool take_comm(std::string_view& text, std::string_view& comm) {
    if (!text.starts_with('<')) return true;
    const std::size_t end = text.find('>');
    if (end == std::string_view::npos) return false;
    comm = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    return true;
}

/// Takes "run.7:" as grep puts it before the lines of several -ff files.
void take_file_name(std::string_view& text, LinePrefix& prefix) {
    const std::size_t end = text.substr(0, text.find_first_of(" (\"<")).find(':');
    if (end == std::string_view::npos || end + 1 >= text.size()) return;
    const std::string_view name = text.substr(0, end);
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) return;
    std::string_view number = name.substr(dot + 1);
    const std::optional<u64> tid = take_digits(number);
    if (!tid || !number.empty() || *tid == 0 || *tid > max_pid) return;
    prefix.tid = static_cast<u32>(*tid);
    text.remove_prefix(end + 1);
}

/// Takes "[ 257]" of -n and "[00007f2b3c4d5e6f]" of -i.
void take_brackets(std::string_view& text) {
    while (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || end + 1 >= text.size() || text[end + 1] != ' ') return;
        const std::string_view inside = text.substr(1, end - 1);
        if (inside.empty() || inside.find_first_not_of("0123456789abcdefx? ") != std::string_view::npos) return;
        text.remove_prefix(end + 1);
        skip_blanks(text);
    }
}

}  // namespace

std::optional<LinePrefix> LinePrefixes::take(std::string_view line) const {
    LinePrefix prefix;
    const bool indented = blank(line);
    skip_blanks(line);
    if (take_word(line, "[pid")) {
        prefix.bracket = true;
        if (!blank(line)) return {};
        skip_blanks(line);
        const std::optional<u64> tid = take_digits(line);
        if (!tid || *tid > max_pid || !take_comm(line, prefix.comm) || !take_word(line, "]")) return {};
        prefix.tid = static_cast<u32>(*tid);
    } else if (!line.empty() && digit(line[0])) {
        std::string_view rest = line;
        const std::optional<u64> tid = take_digits(rest);
        // a number alone is a pid; a time in seconds is aligned to the right, or greater than any pid
        std::string_view next = rest;
        skip_blanks(next);
        const bool pid = tid && *tid != 0 && *tid <= max_pid && !rest.empty() &&
                         (rest[0] == '<' || (blank(rest) && (!indented || (!next.empty() && digit(next[0])))));
        if (pid) {
            if (!take_comm(rest, prefix.comm) || !blank(rest)) return {};
            prefix.tid = static_cast<u32>(*tid);
            line = rest;
        }
    } else {
        take_file_name(line, prefix);
    }
    skip_blanks(line);
    const std::optional<u64> time = take_time(line, prefix.clock);
    if (time) {
        prefix.day_time = *time;
        switch (prefix.clock) {
            case LogClock::epoch: prefix.time_ns = *time; break;
            case LogClock::relative: prefix.time_ns = sum_ns_ + *time; break;
            default: prefix.time_ns = *time + day_ns_ + (*time + day / 2 < last_ns_ ? day : 0); break;  // past midnight
        }
    }
    skip_blanks(line);
    if (line.starts_with('(') && line.starts_with("(+")) {  // -r with -t
        std::string_view rest = line.substr(2);
        skip_blanks(rest);
        if (take_digits(rest)) {
            static_cast<void>(take_fraction(rest));
            if (take_word(rest, ")")) line = rest;
        }
        skip_blanks(line);
    }
    take_brackets(line);
    prefix.rest = line;
    return prefix;
}

void LinePrefixes::commit(const LinePrefix& prefix) {
    switch (prefix.clock) {
        case LogClock::boot:
        case LogClock::none:
        case LogClock::epoch: return;
        case LogClock::relative: sum_ns_ += prefix.day_time; return;
        case LogClock::seconds:
        case LogClock::microseconds:
            if (prefix.day_time + day / 2 < last_ns_) day_ns_ += day;
            last_ns_ = prefix.day_time;
            return;
    }
}

}  // namespace iolens
