// SPDX-License-Identifier: Apache-2.0
// The lines of one strace log: joins the parts of interrupted calls, and sets aside what is not a call.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "import/strace_call.h"
#include "import/strace_prefix.h"

namespace iolens {

/// Kinds of lines.
enum class LineKind : u8 {
    call,
    begun,     ///< the first part of a call; the rest comes later
    ended,     ///< "+++ exited with 0 +++": the thread is gone
    moved,     ///< a thread that executed a program has the pid moved_to() now
    detached,  ///< strace left the process during a call: its end is not in the log
    headless,  ///< the end of a call whose beginning is not in the log
    comment,   ///< a signal, a stack, a dump, a table, a word of strace's or of the program's own, an empty line
    unreadable,
};

/// Joins the parts of interrupted calls, per thread.
class StraceLines {
public:
    /// `tid`: whose log it is, for lines without a pid (-ff); 0: unknown.
    explicit StraceLines(u32 tid = 0) : own_tid_(tid) {}

    /// Parses a line without its newline. For LineKind::call, `call` is complete; for begun it has the first part.
    /// Otherwise only tid is set. Its views are valid until the next call, or longer if the line is.
    LineKind take(std::string_view line, LoggedCall& call);

    /// A line that ended in the middle of a call, which turned out unreadable with what followed it.
    struct Abandoned {
        u64 line = 0;  ///< its number, from 1
        u64 lines = 1;
        std::string text;
    };
    /// Of the last take(); null if there is none.
    [[nodiscard]] const Abandoned* abandoned() const { return abandoned_ ? &*abandoned_ : nullptr; }
    /// Call at the end of the log: sets abandoned().
    void end();

    /// For LineKind::moved, and for begun with "<pid changed to 7 ...>"; otherwise 0.
    [[nodiscard]] u32 moved_to() const { return moved_to_; }

    /// The first process's id, once a log on a terminal shows it: lines before had none (0). 0: not yet.
    [[nodiscard]] u32 main_tid() const { return main_tid_; }

    /// Calls whose end is not in the log, at its end.
    [[nodiscard]] u64 unfinished() const { return begun_.size() + detached_; }

private:
    struct Begun {
        std::string text;
        LogClock clock = LogClock::none;
        u64 start_ns = 0;
    };
    /// A call whose line was cut: by a message of strace, or by what a program printed on the same terminal.
    struct Cut {
        std::string text;  // up to where it was cut
        bool by_message = false;
        bool of_write = false;  // the output is what the call writes
        bool whole = false;     // `expected` is all of it
        std::string expected;   // output, as far as the call's argument shows it
        std::string output{};   // so far
        u64 line = 0;
        u64 lines = 1;
    };
    /// Where a write ends that a program's output may follow.
    struct Entry {
        std::size_t end = 0;  // 0: not found
        bool whole = false;
        std::string expected{};
    };

    LineKind one(std::string_view line, LoggedCall& call, bool joined);
    LineKind body(std::string_view text, LoggedCall& call, bool joined, std::string_view line);
    LineKind resumed(std::string_view text, LoggedCall& call);
    LineKind ended(std::unordered_map<u32, Begun>::iterator first, std::string_view rest, LoggedCall& call);
    LineKind begun(std::string_view text, LoggedCall& call);
    LineKind thread_message(std::string_view text, LoggedCall& call);
    LineKind cut_call(std::string_view text, LoggedCall& call, std::string_view line);
    LineKind continued(std::string_view line, LoggedCall& call);
    LineKind behind_output(std::string_view last, LoggedCall& call);
    LineKind not_a_call() const;
    bool is_aside(std::string_view line);
    bool is_table(std::string_view line);
    bool take_message(std::string_view line, std::string_view& head);
    static Entry entry_of(std::string_view text);
    void abandon();
    void meet(const LinePrefix& prefix, LineKind kind, const LoggedCall& call);
    void detach(u32 tid);
    [[nodiscard]] bool is_child(u32 tid) const { return attached_.contains(tid) || ended_children_.contains(tid); }
    [[nodiscard]] u32 default_tid() const;

    u32 own_tid_;
    LinePrefixes prefixes_;
    std::unordered_map<u32, Begun> begun_;
    std::set<u32> attached_;        // for logs on a terminal: children that strace has attached to
    std::set<u32> ended_children_;  // as long as main_tid_ is 0
    u32 main_tid_ = 0;
    u32 moved_to_ = 0;
    std::optional<u32> just_begun_;  // whose call the line before has begun
    bool main_ended_ = false;
    bool terminal_ = true;  // no pid column so far: a program's output may be between the lines
    bool table_ = false;    // inside the table of -c
    std::unique_ptr<Cut> cut_;
    std::optional<Abandoned> abandoned_;
    std::string whole_;           // a line that was cut by output, joined
    std::string behind_message_;  // a line that was cut by a message, joined
    u64 line_ = 0;
    u64 detached_ = 0;
};

}  // namespace iolens
