// SPDX-License-Identifier: Apache-2.0
// What every lens is asked for in the same words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sink/sink.h"

namespace iolens {

/// How a lens names its options without knowing the parser: each call adds one, and fills `target` when it is given.
/// `names` is "-d,--disk"; a value's `word` is what the help shows for it.
class Flags {
public:
    Flags() = default;
    Flags(const Flags&) = delete;
    Flags& operator=(const Flags&) = delete;
    virtual ~Flags() = default;

    virtual void toggle(const char* names, bool& target, const char* help) = 0;
    /// A toggle that may be given a word: "--summary" sets `target` to "true", "--summary=open" to "open". The help
    /// shows `word` behind the names: "[=open]".
    virtual void toggle_word(const char* names, std::string& target, const char* word, const char* help) = 0;
    virtual void text(const char* names, std::string& target, const char* word, const char* help) = 0;
    /// A comma-separated list.
    virtual void list(const char* names, std::vector<std::string>& target, const char* word, const char* help) = 0;
    virtual void numbers(const char* names, std::vector<u64>& target, u64 min, u64 max, const char* word,
                         const char* help) = 0;
    virtual void number(const char* names, std::optional<u64>& target, u64 min, u64 max, const char* word,
                        const char* help) = 0;
    /// A time in nanoseconds; a number without a unit counts `bare_ns`.
    virtual void time(const char* names, std::optional<u64>& target, u64 bare_ns, u64 min, u64 max, const char* word,
                      const char* help) = 0;
    /// A size in bytes; a number without a unit counts `bare`.
    virtual void size(const char* names, std::optional<u64>& target, u64 bare, u64 min, u64 max, const char* word,
                      const char* help) = 0;
};

/// Of a view: live or replayed.
struct ViewOptions {
    Format format = nullptr;           ///< --format; null: the lens chooses
    bool to_stderr = false;            ///< rows go to standard error: a traced command has standard output
    std::string output;                ///< "" = standard output
    std::vector<std::string> columns;  ///< empty = the lens's choice
    bool ns = false;                   ///< also the pids of the initial pid namespace
    bool no_header = false;
    bool unfinished = false;  ///< rows of what is not over when tracing ends, too
    bool wall = false;        ///< wall-clock times in a table
    bool replayed = false;    ///< of a recording, not traced now
    bool verbose = false;
    std::string summary_by;  ///< "true", or by what; "": none was asked for
    bool summary = false;    ///< asked for, or on by default
    bool no_summary = false;
    std::optional<u64> count;
    std::vector<u64> pids;
    std::optional<u64> tid;
    std::string comm;
    std::optional<u64> min_ns;
    std::vector<std::string> ops;
};

/// Of tracing.
struct LiveOptions {
    std::string cgroup;
    std::optional<u64> uid;
    std::optional<u64> duration_ns;
    std::optional<u64> interval_ns;  ///< a summary each time, and no rows
    std::string record;
    std::vector<std::string> command;    ///< to start and trace
    std::vector<std::string> arguments;  ///< see LensInfo::arguments
    std::string socket;                  ///< where clients get rows as JSON
    std::optional<u64> ring_bytes;
    std::optional<u64> max_inflight;
};

/// What a lens says in --help of the options that every lens has.
struct OptionHelp {
    const char* pid = "only I/O issued by these processes (up to 16)";
    const char* pid_live = pid;  ///< of a live run
    const char* tid = "only I/O issued by this thread";
    const char* comm = "only I/O issued by threads of this name (the first 15 bytes count)";
    const char* ops = "only these operations";
    const char* min_time = "only I/O that took MS milliseconds or more (or with a unit: 500us, 2s)";
    const char* unfinished = "also show what is in flight when tracing ends, without a latency (table and json)";
    const char* summary = "print totals and percentiles at the end (default on a terminal)";
    const char* summary_word = "";  ///< "[=open]"
    const char* verbose = "more columns, and progress on stderr";
    const char* cgroup = "only I/O issued from this cgroup v2 directory or below";
    const char* uid = "only I/O issued by this user's processes";
    const char* interval = nullptr;  ///< null: its summary can't begin anew
    const char* max_inflight = "track at most N operations in flight (default 32768)";
};

void add_view_flags(Flags& flags, ViewOptions& options, const OptionHelp& help = {});
void add_live_flags(Flags& flags, LiveOptions& options, const OptionHelp& help = {});

/// --duration, which is also an argument of some lenses.
constexpr u64 bare_duration = 1'000'000'000;
constexpr u64 min_duration = 1'000'000;
constexpr u64 max_duration = 1'000'000'000 * bare_duration;

/// --ring-size.
constexpr u64 default_ring_bytes = u64{8} << 20;
void add_ring_flag(Flags& flags, std::optional<u64>& bytes);
/// Throws Failure (usage) where it is no power of two.
u64 ring_bytes(const LiveOptions& live);

}  // namespace iolens
