// SPDX-License-Identifier: Apache-2.0
#include "import/strace_line.h"

#include <algorithm>

#include "import/fd_effect.h"
#include "import/strace_value.h"

namespace iolens {
namespace {

constexpr std::string_view unfinished_mark = "<unfinished ...>";
constexpr std::string_view detached_mark = "<detached ...>";
constexpr std::string_view changed_mark = "<pid changed to ";
constexpr std::string_view resumed_mark = " resumed>";

/// Joins the two parts of an interrupted call as strace prints a whole one.
std::string joined_parts(std::string_view first, std::string_view rest) {
    skip_blanks(rest);
    if (take_word(rest, unfinished_mark)) skip_blanks(rest);
    std::string text(first);
    const bool blank =
        !rest.empty() && (text.ends_with(',') ? rest[0] != ')' : rest.starts_with("=>") || text.ends_with("=>"));
    if (blank) text += ' ';
    return text += rest;
}

}  // namespace

/// Learns from a line who is there.
void StraceLines::meet(const LinePrefix& prefix, LineKind kind, const LoggedCall& call) {
    // without "Process 7 attached" (-q), a fork tells who is a child
    if (terminal_ && kind == LineKind::call && effect_of(call.name) == Effect::clone) {
        const u32 child = returned_pid(call);
        if (child != 0 && !ended_children_.contains(child)) attached_.insert(child);
    }
    if (prefix.tid == 0) return;
    if (!prefix.bracket) terminal_ = false;
    if (main_tid_ != 0 || is_child(prefix.tid)) return;
    if ((kind == LineKind::call || kind == LineKind::begun) && begun_.contains(0)) {
        attached_.insert(prefix.tid);  // the first process is still in a call
        return;
    }
    main_tid_ = prefix.tid;
    main_ended_ = kind == LineKind::ended;
    ended_children_.clear();
    if (auto begun = begun_.extract(0); !begun.empty()) {
        begun.key() = prefix.tid;
        begun_.insert(std::move(begun));
    }
}

void StraceLines::detach(u32 tid) {
    if (attached_.erase(tid) != 0 && main_tid_ == 0) ended_children_.insert(tid);
}

u32 StraceLines::default_tid() const {
    if (own_tid_ != 0) return own_tid_;
    // on a terminal, a single process has no pid column
    return main_ended_ && attached_.size() == 1 ? *attached_.begin() : main_tid_;
}

/// A program's output may be between the lines of a terminal while a call that writes is in progress.
LineKind StraceLines::not_a_call() const {
    const auto prints = [](const auto& item) {
        const std::string_view text = item.second.text;
        for (const std::string_view word : {"write", "pwrite", "sendfile", "splice", "tee", "copy_file_range"}) {
            if (text.starts_with(word)) return true;
        }
        return false;
    };
    return terminal_ && std::ranges::any_of(begun_, prints) ? LineKind::comment : LineKind::unreadable;
}

LineKind StraceLines::resumed(std::string_view text, LoggedCall& call) {
    const std::size_t mark = text.find(resumed_mark);
    if (mark == std::string_view::npos) return LineKind::unreadable;
    const std::string_view name = text.substr(0, mark);
    const auto is_it = [name](const Begun& first) {
        return first.text.starts_with(name) && first.text.size() > name.size() && first.text[name.size()] == '(';
    };
    auto first = begun_.find(call.tid);
    if (first == begun_.end() && begun_.size() == 1 && is_it(begun_.begin()->second)) {
        // on a terminal, the last process has no pid column again
        if (call.tid == default_tid()) first = begun_.begin();
    }
    // or its pid is shown for the first time
    if (first == begun_.end() && main_tid_ == 0 && !is_child(call.tid)) first = begun_.find(0);
    if (first == begun_.end()) return LineKind::headless;
    if (!is_it(first->second)) return LineKind::unreadable;
    return ended(first, text.substr(mark + resumed_mark.size()), call);
}

/// Joins a call with its rest.
LineKind StraceLines::ended(std::unordered_map<u32, Begun>::iterator first, std::string_view rest, LoggedCall& call) {
    if (first->first != 0) call.tid = first->first;
    call.owner = std::make_shared<const std::string>(joined_parts(first->second.text, rest));
    call.text = *call.owner;
    call.joined = true;
    call.clock = first->second.clock;
    call.start_ns = first->second.start_ns;
    begun_.erase(first);
    return call.parse() ? LineKind::call : LineKind::unreadable;
}

LineKind StraceLines::begun(std::string_view text, LoggedCall& call) {
    cut_blanks(text);
    if (const Entry entry = entry_of(text); entry.end != 0) text = text.substr(0, entry.end);
    call.text = text;
    if (!call.parse_begin()) return LineKind::unreadable;
    begun_[call.tid] = {std::string(text), call.clock, call.start_ns};
    return LineKind::begun;
}

/// "+++ exited with 0 +++" and the like.
LineKind StraceLines::thread_message(std::string_view text, LoggedCall& call) {
    if (take_word(text, "+++ superseded by execve in pid ")) {
        // the thread that executes a program takes over the pid of its process, whose own call is gone
        const auto by = take_digits(text);
        const auto other = by ? begun_.extract(static_cast<u32>(*by)) : decltype(begun_)::node_type();
        if (other.empty()) return LineKind::comment;
        begun_[call.tid] = other.mapped();
        moved_to_ = call.tid;
        call.tid = static_cast<u32>(by.value_or(0));
        return LineKind::moved;
    }
    if (!text.starts_with("+++ exited") && !text.starts_with("+++ killed")) return LineKind::comment;
    begun_.erase(call.tid);
    detach(call.tid);
    main_ended_ = main_ended_ || call.tid == main_tid_;
    return LineKind::ended;
}

LineKind StraceLines::body(std::string_view text, LoggedCall& call, bool joined, std::string_view line) {
    if (text.starts_with('-') && text.starts_with("--- ")) return LineKind::comment;
    if (text.starts_with('+') && text.starts_with("+++ ")) return thread_message(text, call);
    const bool second = take_word(text, "<... ");
    if (second && !text.ends_with(detached_mark)) return resumed(text, call);
    if (text.ends_with("...>")) {
        if (text.ends_with(unfinished_mark)) {
            text.remove_suffix(unfinished_mark.size());
            return begun(text, call);
        }
        if (text.ends_with(detached_mark)) {
            const bool known = call_name_length(text) != 0;
            const bool held = begun_.erase(call.tid) != 0;
            if (!known && !held) return text == detached_mark ? LineKind::comment : LineKind::unreadable;
            ++detached_;
            return LineKind::detached;
        }
        if (const std::size_t at = text.rfind(changed_mark); at != std::string_view::npos) {
            std::string_view number = text.substr(at + changed_mark.size());
            const auto tid = take_digits(number);
            const LineKind kind = begun(text.substr(0, at), call);
            if (!tid || kind != LineKind::begun) return LineKind::unreadable;
            auto moved = begun_.extract(call.tid);
            begun_[static_cast<u32>(*tid)] = std::move(moved.mapped());
            moved_to_ = static_cast<u32>(*tid);
            return kind;
        }
    }
    if (text.starts_with(')') && just_begun_ && !joined) {
        // -z leaves out "<... futex resumed>" if the line before is the call's own
        if (const auto first = begun_.find(*just_begun_); first != begun_.end()) return ended(first, text, call);
    }
    call.text = text;
    const bool parsed = call.parse();
    const auto all_digits = [](std::string_view word) { return std::ranges::all_of(word, digit); };
    const bool clean = !parsed || !call.name.starts_with("write") || all_digits(without_comment(call.argument(2))) ||
                       call.argument(2).starts_with("0x");
    if (parsed && (clean || joined)) return LineKind::call;
    return joined ? LineKind::unreadable : cut_call(text, call, line);
}

LineKind StraceLines::one(std::string_view line, LoggedCall& call, bool joined) {
    if (!joined) {
        if (is_aside(line)) return LineKind::comment;
        std::string_view head;
        if (take_message(line, head)) {
            cut_blanks(head);
            if (head.ends_with("^C")) head.remove_suffix(2);
            if (call_name_length(prefixes_.take(head).value_or(LinePrefix{}).rest) != 0 || head.ends_with('>')) {
                cut_ = std::make_unique<Cut>(
                    Cut{.text = std::string(head), .by_message = true, .expected = {}, .line = line_});
            }
            return LineKind::comment;
        }
    }
    const auto prefix = prefixes_.take(line);
    if (!prefix) return LineKind::unreadable;
    call.tid = prefix->tid != 0 ? prefix->tid : default_tid();
    call.comm = prefix->comm;
    call.clock = prefix->clock;
    call.start_ns = prefix->time_ns;
    const u32 main = main_tid_;
    const LineKind kind = body(prefix->rest, call, joined, line);
    if (kind == LineKind::unreadable || (kind == LineKind::comment && !prefix->rest.starts_with("--- "))) {
        return kind == LineKind::unreadable && !joined ? not_a_call() : kind;
    }
    prefixes_.commit(*prefix);
    meet(*prefix, kind, call);
    if (main == 0 && main_tid_ != 0 && call.tid == 0) call.tid = main_tid_;
    return kind;
}

LineKind StraceLines::take(std::string_view line, LoggedCall& call) {
    ++line_;
    call = LoggedCall{};
    moved_to_ = 0;
    abandoned_.reset();
    cut_blanks(line);
    const LineKind kind = cut_ ? continued(line, call) : one(line, call, false);
    just_begun_ = kind == LineKind::begun ? std::optional(call.tid) : std::nullopt;
    return kind;
}

}  // namespace iolens
