// SPDX-License-Identifier: Apache-2.0
#include "import/strace_line.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "import/strace_value.h"

namespace iolens {
namespace {

constexpr std::string_view unfinished_mark = "<unfinished ...>";
constexpr std::string_view resumed_mark = " resumed>";
constexpr u64 day = 86'400'000'000'000;

bool name_char(char c) { return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

void skip_blanks(std::string_view& text) { text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size())); }

void cut_blanks(std::string_view& text) {
    const std::size_t last = text.find_last_not_of(" \t\r");
    text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

bool take_word(std::string_view& text, std::string_view word) {
    if (!text.starts_with(word)) return false;
    text.remove_prefix(word.size());
    return true;
}

std::optional<u64> take_digits(std::string_view& text) {
    u64 n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end == text.data()) return {};
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return n;
}

/// Takes ".123456" as nanoseconds; nothing if there is no fraction.
std::optional<u64> take_fraction(std::string_view& text) {
    if (text.size() < 2 || text[0] != '.' || !digit(text[1])) return {};
    text.remove_prefix(1);
    u64 ns = 0;
    u64 unit = 100'000'000;
    for (; !text.empty() && digit(text[0]); text.remove_prefix(1), unit /= 10) {
        ns += static_cast<u64>(text[0] - '0') * unit;
    }
    return ns;
}

/// Takes "11:22:33", "11:22:33.123456" or "1700000000.123456", followed by a blank. Leaves `text` unchanged if there is
/// none.
std::optional<u64> take_time(std::string_view& text, LogClock& clock) {
    std::string_view rest = text;
    const std::optional<u64> first = take_digits(rest);
    if (!first) return {};
    u64 ns = 0;
    if (rest.starts_with(':')) {
        take_word(rest, ":");
        const std::optional<u64> minutes = take_digits(rest);
        if (!minutes || !take_word(rest, ":")) return {};
        const std::optional<u64> seconds = take_digits(rest);
        if (!seconds || *first > 23 || *minutes > 59 || *seconds > 60) return {};
        const std::optional<u64> fraction = take_fraction(rest);
        clock = fraction ? LogClock::microseconds : LogClock::seconds;
        ns = ((*first * 60 + *minutes) * 60 + *seconds) * 1'000'000'000 + fraction.value_or(0);
    } else {
        const std::optional<u64> fraction = take_fraction(rest);
        if (!fraction || *first > 18'000'000'000) return {};
        clock = LogClock::epoch;
        ns = *first * 1'000'000'000 + *fraction;
    }
    if (rest.empty() || (rest[0] != ' ' && rest[0] != '\t')) return {};
    text = rest;
    return ns;
}

/// True if the < at this offset opens what -y prints: then it follows a number or AT_FDCWD; "1<<3" is a shift.
bool opens_angles(std::string_view text, std::size_t at) {
    if (at == 0 || at + 1 >= text.size() || text[at + 1] == '<') return false;
    return digit(text[at - 1]) || text.substr(0, at).ends_with("AT_FDCWD");
}

constexpr std::size_t deepest = 64;

/// Splits "arguments)" from `at`. Returns the offset after the closing parenthesis, npos if there is none.
std::size_t take_arguments(std::string_view text, std::size_t at, std::vector<std::string_view>& arguments) {
    std::string closing;
    std::size_t begin = at;
    const auto end_of_one = [&](std::size_t end) {
        std::string_view item = text.substr(begin, end - begin);
        skip_blanks(item);
        cut_blanks(item);
        if (!item.empty() || !arguments.empty()) arguments.push_back(item);
    };
    while (at < text.size()) {
        const char c = text[at];
        switch (c) {
            case '"':
                at = behind_quotes(text, at);
                if (at == std::string_view::npos) return at;
                continue;
            case '<':
                if (opens_angles(text, at)) {
                    at = behind_angles(text, at);
                    if (at == std::string_view::npos) return at;
                    continue;
                }
                break;
            case '(': closing += ')'; break;
            case '[': closing += ']'; break;
            case '{': closing += '}'; break;
            case '/':
                if (text.substr(at).starts_with("/*")) {
                    at = text.find("*/", at);
                    if (at == std::string_view::npos) return at;
                }
                break;
            case ')':
            case ']':
            case '}':
                if (closing.empty()) {
                    if (c != ')') return std::string_view::npos;
                    end_of_one(at);
                    return at + 1;
                }
                if (closing.back() == c) closing.pop_back();
                break;
            case ',':
                if (closing.empty()) {
                    end_of_one(at);
                    begin = at + 1;
                }
                break;
            default: break;
        }
        if (closing.size() > deepest) return std::string_view::npos;
        ++at;
    }
    return std::string_view::npos;
}

int errno_of(std::string_view name) {
    constexpr std::pair<std::string_view, int> kernels_own[] = {
        {"ERESTARTSYS", 512}, {"ERESTARTNOINTR", 513}, {"ERESTARTNOHAND", 514}, {"ERESTART_RESTARTBLOCK", 516}};
    for (const auto& [word, number] : kernels_own) {
        if (word == name) return number;
    }
    if (name == "EWOULDBLOCK") return EAGAIN;
    for (int error = 1; error < 256; ++error) {
        const char* word = ::strerrorname_np(error);
        if (word != nullptr && name == word) return error;
    }
    return 0;
}

/// Parses "= -1 ENOENT (No such file or directory) <0.000012>".
bool take_result(std::string_view rest, LoggedCall& call) {
    skip_blanks(rest);
    if (!take_word(rest, "=")) return false;
    skip_blanks(rest);
    cut_blanks(rest);
    if (rest.ends_with('>')) {
        const std::size_t open = rest.rfind('<');
        std::string_view seconds = open == std::string_view::npos ? "" : rest.substr(open + 1);
        if (open != 0 && !seconds.empty() && digit(seconds[0]) && (open == 0 || rest[open - 1] == ' ')) {
            const std::optional<u64> whole = take_digits(seconds);
            const std::optional<u64> fraction = take_fraction(seconds);
            if (whole && fraction && seconds == ">" && *whole < 1'000'000'000) {
                call.duration_ns = *whole * 1'000'000'000 + *fraction;
                rest = rest.substr(0, open);
                cut_blanks(rest);
            }
        }
    }
    if (take_word(rest, "?")) {
        skip_blanks(rest);
        call.error = errno_of(rest.substr(0, rest.find(' ')));
        return true;
    }
    const std::optional<s64> number = leading_number(rest);
    if (!number) return false;
    call.has_result = true;
    call.result = *number;
    call.result_file = file_behind_fd(rest);
    if (*number == -1) {
        const std::size_t word = rest.find(' ');
        if (word == std::string_view::npos) return true;
        rest.remove_prefix(word + 1);
        call.error = errno_of(rest.substr(0, rest.find(' ')));
    }
    return true;
}

bool take_call(LoggedCall& call) {
    const std::string_view text = *call.text;
    std::size_t at = 0;
    while (at < text.size() && name_char(text[at])) ++at;
    if (at == 0 || at >= text.size() || text[at] != '(') return false;
    call.name = text.substr(0, at);
    call.arguments.clear();
    const std::size_t end = take_arguments(text, at + 1, call.arguments);
    if (end == std::string_view::npos) return false;
    call.all_arguments = text.substr(at + 1, end - at - 2);
    cut_blanks(call.all_arguments);
    return take_result(text.substr(end), call);
}

}  // namespace

void StraceLines::meet(u32 tid) {
    if (main_tid_ != 0 || attached_.contains(tid)) return;
    main_tid_ = tid;
    if (auto begun = begun_.extract(0); !begun.empty()) {
        begun.key() = tid;
        begun_.insert(std::move(begun));
    }
}

LineKind StraceLines::take(std::string_view line, LoggedCall& call) {
    call = LoggedCall{};
    std::string whole;
    if (!cut_.empty()) {
        whole = std::move(cut_);
        cut_.clear();
        whole += line;
        line = whole;
    }
    cut_blanks(line);
    // On a terminal: "clone(flags=SIGCHLDstrace: Process 31155 attached", with the rest on the next line.
    constexpr std::string_view attached = "strace: Process ";
    if (const std::size_t at = line.find(attached); at != std::string_view::npos && line.ends_with(" attached")) {
        std::string_view number = line.substr(at + attached.size());
        const std::optional<u64> tid = take_digits(number);
        if (tid && number == " attached") {
            attached_.insert(static_cast<u32>(*tid));
            cut_ = line.substr(0, at);
            return LineKind::comment;
        }
    }
    skip_blanks(line);
    if (line.empty() || line.starts_with("strace: ") || line.starts_with("Process ")) return LineKind::comment;
    // who: "[pid 123] ", or "123 " in front of a time or a call
    if (take_word(line, "[pid ")) {
        skip_blanks(line);
        const std::optional<u64> tid = take_digits(line);
        if (!tid || *tid > 0x7fffffff || !take_word(line, "]")) return LineKind::unreadable;
        call.tid = static_cast<u32>(*tid);
        meet(call.tid);
    } else {
        std::string_view rest = line;
        const std::optional<u64> tid = take_digits(rest);
        if (tid && *tid <= 0x7fffffff && !rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) {
            call.tid = static_cast<u32>(*tid);
            meet(call.tid);
            line = rest;
        } else {
            // on a terminal, a single process has no pid column
            call.tid = main_ended_ && attached_.size() == 1 ? *attached_.begin() : main_tid_;
        }
    }
    skip_blanks(line);
    const std::optional<u64> time = take_time(line, call.clock);
    if (time && call.clock != LogClock::epoch) {
        if (*time + day / 2 < last_ns_) day_ns_ += day;  // past midnight
        last_ns_ = *time;
    }
    call.start_ns = time.value_or(0) + (call.clock == LogClock::epoch ? 0 : day_ns_);
    skip_blanks(line);

    if (line.starts_with("--- ")) return LineKind::comment;
    if (line.starts_with("+++ ")) {
        begun_.erase(call.tid);
        attached_.erase(call.tid);
        main_ended_ = main_ended_ || call.tid == main_tid_;
        return line.starts_with("+++ exited") || line.starts_with("+++ killed") ? LineKind::ended : LineKind::comment;
    }
    if (take_word(line, "<... ")) {
        const std::size_t mark = line.find(resumed_mark);
        const auto begun = begun_.find(call.tid);
        if (mark == std::string_view::npos || begun == begun_.end()) return LineKind::unreadable;
        const std::string_view name = line.substr(0, mark);
        if (!begun->second.text.starts_with(name)) return LineKind::unreadable;
        call.text =
            std::make_shared<const std::string>(begun->second.text.append(line.substr(mark + resumed_mark.size())));
        call.clock = begun->second.clock;
        call.start_ns = begun->second.start_ns;
        begun_.erase(begun);
        return take_call(call) ? LineKind::call : LineKind::unreadable;
    }
    if (line.ends_with(unfinished_mark)) {
        line.remove_suffix(unfinished_mark.size());
        const auto name = static_cast<std::size_t>(std::ranges::find_if_not(line, [](char c) { return name_char(c); }) -
                                                   line.begin());
        if (name == 0 || name >= line.size() || line[name] != '(') return LineKind::unreadable;
        call.text = std::make_shared<const std::string>(line);
        call.name = std::string_view(*call.text).substr(0, name);
        begun_[call.tid] = {*call.text, call.clock, call.start_ns};
        return LineKind::begun;
    }
    call.text = std::make_shared<const std::string>(line);
    return take_call(call) ? LineKind::call : LineKind::unreadable;
}

bool is_fd_itself(const LoggedCall& logged) {
    if (leading_number(logged.argument(0)).value_or(-1) < 0) return false;
    const std::string_view path = logged.argument(1);
    if (path == "NULL" && logged.name == "utimensat") return true;
    return (path == "\"\"" || path == "NULL") && logged.all_arguments.find("AT_EMPTY_PATH") != std::string::npos;
}

}  // namespace iolens
