// SPDX-License-Identifier: Apache-2.0
// Lines of a log on a terminal, where a message of strace or the output of a program can be in the middle of a call,
// and what is between the calls.
#include <algorithm>

#include "import/strace_line.h"
#include "import/strace_value.h"

namespace iolens {
namespace {

/// Are there only words, numbers and parentheses? "attached (waiting for parent)"
bool plain(std::string_view text) {
    return std::ranges::all_of(
        text, [](char c) { return (c >= 'a' && c <= 'z') || digit(c) || c == ' ' || c == '(' || c == ')'; });
}

bool matches(std::string_view output, std::string_view expected) {
    return !output.empty() &&
           (expected.starts_with(output) || output.starts_with(expected.substr(0, expected.find('\n'))));
}

}  // namespace

/// The table of -c and -C.
bool StraceLines::is_table(std::string_view line) {
    const auto rule = [](std::string_view text) {
        return text.starts_with("-----") && text.find_first_not_of("- ") == std::string_view::npos;
    };
    const auto has = [line](std::string_view word) { return line.find(word) != std::string_view::npos; };
    if (!table_) {
        const bool head =
            line.starts_with("% time") || (has("syscall") && has("calls") && line.find('(') == std::string_view::npos);
        table_ = head || line.starts_with("System call usage summary");
        return table_;
    }
    if (rule(line)) return true;
    table_ = !line.ends_with(" total") && !line.empty() && line.find('(') == std::string_view::npos;
    return table_ || line.ends_with(" total");
}

/// Is a line something that strace prints beside calls?
bool StraceLines::is_aside(std::string_view line) {
    if (line.empty()) {
        table_ = false;
        return true;
    }
    if (line[0] == ' ' || line[0] == '>') {
        // a frame of -k, and what -e read, write prints of buffers
        for (const std::string_view mark : {" > ", "> /", " | ", " * ", " = "}) {
            if (line.starts_with(mark)) return true;
        }
    }
    // most lines begin with a number
    if (!table_ && (digit(line[0]) || line.starts_with("[pid"))) return false;
    std::string_view text = line;
    skip_blanks(text);
    if (text.empty()) return true;
    return is_table(text) || text.starts_with("strace: ") || text.starts_with("[ Process PID=");
}

/// Takes "strace: Process 7 attached" at the end of a line; `head` is what precedes it, a call. False if there is none.
bool StraceLines::take_message(std::string_view line, std::string_view& head) {
    constexpr std::string_view word = "Process ";
    // most lines end with a result or a duration
    if (line.empty() || std::string_view("ds)").find(line.back()) == std::string_view::npos) return false;
    const std::size_t at = line.rfind(word);
    if (at == std::string_view::npos) return false;
    std::string_view rest = line.substr(at + word.size());
    const auto tid = take_digits(rest);
    if (!tid || !plain(rest)) return false;
    const bool attached = rest.starts_with(" attached");
    const bool other = rest.starts_with(" detached") || rest.starts_with(" suspended") ||
                       rest.starts_with(" resumed") || rest.starts_with(" exited");
    if (!attached && !other) return false;
    if (attached) {
        attached_.insert(static_cast<u32>(*tid));
    } else if (rest.starts_with(" detached") || rest.starts_with(" exited")) {
        detach(static_cast<u32>(*tid));
    }
    head = line.substr(0, at);
    if (head.ends_with("strace: ")) head.remove_suffix(8);
    if (head.ends_with("[ ")) head.remove_suffix(2);
    return true;
}

/// Finds where a write's line ends before its result: a program's output may follow at once, even a digit.
StraceLines::Entry StraceLines::entry_of(std::string_view text) {
    const std::size_t name = call_name_length(text);
    const std::string_view called = text.substr(0, name);
    if (called != "write" && called != "writev") return {};
    std::size_t at = 0;
    Entry entry;
    if (called == "write") {
        at = text.find(", ", name);
        if (at == std::string_view::npos) return {};
        at += 2;
        if (text.substr(at).starts_with("buf=")) at += 4;
        if (at >= text.size() || text[at] != '"') return {};
        const std::size_t end = behind_quotes(text, at);
        if (end == std::string_view::npos) return {};
        entry.expected = unquoted(text.substr(at, end - at)).value_or("");
        entry.whole = !text.substr(end).starts_with("...");
        at = entry.whole ? end : end + 3;
    } else {
        at = find_outside(text, "], ");
        if (at == std::string_view::npos) return {};
        ++at;
    }
    if (!text.substr(at).starts_with(", ")) return {};
    at += 2;
    for (const std::string_view word : {"count=", "vlen="}) {
        if (text.substr(at).starts_with(word)) at += word.size();
    }
    std::size_t digits = 0;
    while (at + digits < text.size() && digit(text[at + digits])) ++digits;
    if (digits == 0) return {};
    std::size_t length = digits;
    if (entry.whole) {
        const std::string count = std::to_string(entry.expected.size());
        if (text.substr(at, digits).starts_with(count)) length = count.size();
    } else if (!entry.expected.empty()) {
        for (std::size_t n = 1; n <= digits; ++n) {
            if (!matches(text.substr(at + n), entry.expected)) continue;
            length = n;
            break;
        }
    }
    entry.end = at + length;
    return entry;
}

/// A call without an end: the rest may follow in a later line, behind what a program has printed.
LineKind StraceLines::cut_call(std::string_view text, LoggedCall& call, std::string_view line) {
    if (call_name_length(text) == 0) return LineKind::unreadable;
    const std::size_t before = line.size() - text.size();
    if (Entry entry = entry_of(text); entry.end != 0) {
        if (entry.end < text.size() && text[entry.end] == ')')
            return LineKind::unreadable;  // it has an end, a damaged one
        cut_ = std::make_unique<Cut>(Cut{.text = std::string(line.substr(0, before + entry.end)),
                                         .of_write = true,
                                         .whole = entry.whole,
                                         .expected = std::move(entry.expected),
                                         .output = std::string(text.substr(entry.end)),
                                         .line = line_});
        return behind_output(std::string_view(cut_->output), call);
    }
    // cut inside of a text, or at its end: that is damage, because strace writes what it knows of a call at once
    call.text = text;
    call.parse_begin();
    std::size_t at = 0;
    for (at = text.find('"'); at != std::string_view::npos; at = text.find('"', at)) {
        at = behind_quotes(text, at);
        if (at == std::string_view::npos) return LineKind::unreadable;
    }
    if (find_outside(text, ")") != std::string_view::npos && find_outside(text, ") ") != std::string_view::npos) {
        return LineKind::unreadable;
    }
    cut_ = std::make_unique<Cut>(Cut{.text = std::string(line), .expected = {}, .line = line_});
    return LineKind::comment;
}

void StraceLines::abandon() {
    abandoned_ = Abandoned{.line = cut_->line, .lines = cut_->lines, .text = std::move(cut_->text)};
    cut_.reset();
}

void StraceLines::end() {
    abandoned_.reset();
    if (cut_) abandon();
}

/// Looks for the rest of a write behind its output, of which `last` is the newest line.
LineKind StraceLines::behind_output(std::string_view last, LoggedCall& call) {
    std::string output = cut_->output;
    std::erase(output, '\r');
    const auto attempt = [&](std::string_view rest) {
        std::string text = cut_->text;
        text += rest;
        LoggedCall whole;
        std::swap(text, whole_);
        const LineKind kind = one(whole_, whole, true);
        if (kind != LineKind::call && kind != LineKind::begun) return false;
        call = whole;
        cut_.reset();
        return true;
    };
    const auto kind_of = [&] {
        return call.has_result || !call.result_text.empty() ? LineKind::call : LineKind::begun;
    };
    if (cut_->whole) {
        if (output.starts_with(cut_->expected) && attempt(output.substr(cut_->expected.size()))) return kind_of();
        if (cut_ && cut_->expected.starts_with(output)) return LineKind::comment;
    }
    if (last.ends_with("<unfinished ...>") && attempt(" <unfinished ...>")) return kind_of();
    const std::string line(last);
    for (std::size_t at = line.rfind(')'); at != std::string::npos;
         at = at == 0 ? std::string::npos : line.rfind(')', at - 1)) {
        std::string_view rest = std::string_view(line).substr(at + 1);
        skip_blanks(rest);
        if (rest.starts_with("= ") && attempt(line.substr(at))) return kind_of();
    }
    return LineKind::comment;
}

/// A line behind one that was cut.
LineKind StraceLines::continued(std::string_view line, LoggedCall& call) {
    constexpr std::size_t max_output = 1 << 16;
    if (cut_->by_message) {
        std::string_view head;
        if (take_message(line, head) && head.empty()) return LineKind::comment;
        if (line.starts_with("[pid")) {  // another thread's line comes first
            const auto prefix = prefixes_.take(cut_->text);
            if (prefix && call_name_length(prefix->rest) != 0) {
                const u32 tid = prefix->tid != 0 ? prefix->tid : default_tid();
                begun_[tid] = {std::string(prefix->rest), prefix->clock, prefix->time_ns};
                prefixes_.commit(*prefix);
            }
            cut_.reset();
            return one(line, call, false);
        }
        // not whole_: the line may turn out to be cut by output as well
        behind_message_ = std::move(cut_->text);
        cut_.reset();
        behind_message_ += line;
        return one(behind_message_, call, false);
    }
    const bool expected = cut_->whole && [&] {
        std::string next = cut_->output + '\n';
        next += line;
        std::erase(next, '\r');
        const std::string_view all = cut_->expected;
        if (!next.starts_with(all)) return all.starts_with(next);
        const std::string_view rest = std::string_view(next).substr(all.size());
        return rest.starts_with(')') || rest.starts_with(" <");
    }();
    if (!expected) {
        // is it a line of its own?
        LoggedCall other;
        const auto prefix = prefixes_.take(line);
        if (prefix) other.text = prefix->rest;
        const bool own =
            prefix && (other.parse() || prefix->rest.starts_with("<... ") || prefix->rest.starts_with("+++ ") ||
                       prefix->rest.starts_with("--- ") ||
                       (call_name_length(prefix->rest) != 0 && prefix->rest.ends_with("<unfinished ...>")));
        if (own || cut_->output.size() > max_output) {
            abandon();
            return one(line, call, false);
        }
    }
    ++cut_->lines;
    if (cut_->of_write) {
        (cut_->output += '\n') += line;
        return behind_output(line, call);
    }
    // what follows the last argument is not of strace, if more arguments follow here
    std::string text = cut_->text;
    if (!line.starts_with(')')) {
        const std::size_t comma = text.rfind(", ");
        if (comma != std::string::npos) text.resize(comma + 2);
    }
    text += line;
    whole_ = std::move(text);
    LoggedCall whole;
    const LineKind kind = one(whole_, whole, true);
    if (kind == LineKind::call || kind == LineKind::begun) {
        call = whole;
        cut_.reset();
        return kind;
    }
    cut_->output += line;
    return LineKind::comment;
}

}  // namespace iolens
