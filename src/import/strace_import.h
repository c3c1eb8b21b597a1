// SPDX-License-Identifier: Apache-2.0
// Converts lines of strace logs to the records that the kernel side would have sent.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/record.h"
#include "import/fd_tables.h"
#include "import/strace_line.h"
#include "iolens/event/call.h"
#include "resolve/mappings.h"
#include "resolve/syscalls.h"
#include "source/source.h"

namespace iolens {

class StraceImport {
public:
    using Unreadable = std::function<void(const std::string& path, u64 line, std::string_view text)>;

    /// Is called with each line that can't be parsed.
    void set_unreadable(Unreadable unreadable) { unreadable_ = std::move(unreadable); }
    /// Emit the arguments of calls, and calls of which nothing else is known?
    void set_arguments(bool wanted) { arguments_ = wanted; }
    /// Adds a log. `tid`: whose it is, for lines without a pid; 0: unknown. Without any, there is one log.
    void add_input(const std::string& path, u32 tid);

    /// Takes one line of the nth log, without its newline.
    void line(std::string_view text, Receiver& receiver, std::size_t input = 0);
    /// Call at the end of all logs.
    void end(Receiver& receiver);

    [[nodiscard]] LogClock clock() const { return clock_; }
    [[nodiscard]] u64 calls() const { return calls_; }
    [[nodiscard]] u64 delivered() const { return delivered_; }  ///< a call on two fds counts twice
    [[nodiscard]] u64 filtered() const { return filtered_; }    ///< calls that moved no bytes: the process was killed
    [[nodiscard]] u64 unreadable() const { return unreadable_lines_; }
    [[nodiscard]] u64 headless() const { return headless_; }  ///< calls whose beginning is not in the log
    [[nodiscard]] u64 unfinished() const;                     ///< calls whose end is not in the log

private:
    struct Input {
        std::string path;
        StraceLines lines;
        u64 line = 0;
    };
    /// A line of a thread whose parent is not known yet.
    struct Deferred {
        LineKind kind;
        LoggedCall call;
        std::string comm;
    };

    /// A call of one of several logs: each has whole calls only, so that others can begin before it ends.
    struct Ending {
        u64 end_ns = 0;
        u64 order = 0;
        LoggedCall call;
        bool operator<(const Ending& other) const {  // the first one to end is the greatest
            return std::pair(end_ns, order) > std::pair(other.end_ns, other.order);
        }
    };

    void read(LineKind kind, u32 moved_to, Receiver& receiver);
    void end_later(LoggedCall& call);
    void end_calls(u64 until_ns, Receiver& receiver);
    void end_call_of(u32 tid, Receiver& receiver);
    void take(LineKind kind, LoggedCall& call, Receiver& receiver);
    void defer(LineKind kind, LoggedCall& call, Receiver& receiver);
    void release(Receiver& receiver, bool all);
    void call(LoggedCall& call, Receiver& receiver);
    void send(const LoggedCall& call, Receiver& receiver);
    void send_sides(const LoggedCall& call, const Syscall& known, iolens_call_event& event, Receiver& receiver);
    void send_side(const LoggedCall& call, iolens_call_event event, std::string_view fd, LoggedFile& file,
                   Receiver& receiver);
    void send_mapping(const LoggedCall& call, iolens_call_event& event, Receiver& receiver);
    void send_arguments(const LoggedCall& call, u16 id, Receiver& receiver);
    void deliver(iolens_call_event& event, Receiver& receiver);
    u64 add_name(LoggedFile& file, Receiver& receiver);
    void find_mapping(const LoggedCall& call, iolens_call_event& event);
    void learn_comm(u32 tid, std::string_view comm, Receiver& receiver);
    void report(const Input& input, const StraceLines::Abandoned& cut);

    Unreadable unreadable_;
    bool arguments_ = true;
    std::deque<Input> inputs_;
    FdTables tables_;
    Mappings mappings_;
    std::unordered_map<u32, std::string> comms_;  // emitted names of threads
    std::unordered_map<std::string, u64> names_;  // emitted names, by their text after a character for their kind
    u64 name_epoch_ = 1;                          // changes when their ids are used again
    std::unordered_map<u32, LoggedCall> restarted_;
    std::shared_ptr<const std::string> restart_owner_;  // the text of a call that was restarted
    std::map<u32, std::vector<Deferred>> deferred_;
    std::size_t deferred_lines_ = 0;
    std::vector<Ending> endings_;  // a heap
    LoggedCall logged_;
    Record record_;  // of arguments, built again for each call
    u32 sent_ = 0;   // calls
    LogClock clock_ = LogClock::none;
    u64 calls_ = 0;
    u64 delivered_ = 0;
    u64 filtered_ = 0;
    u64 unreadable_lines_ = 0;
    u64 headless_ = 0;
};

}  // namespace iolens
