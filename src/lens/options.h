// SPDX-License-Identifier: Apache-2.0
// Options that all lenses share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sink/sink.h"

namespace iolens {

/// How a lens declares its options without depending on the parser: each call adds one, and sets `target` if it is
/// given. `names` is "-d,--disk"; `word` is the placeholder for the value in the help.
class Flags {
public:
    Flags() = default;
    Flags(const Flags&) = delete;
    Flags& operator=(const Flags&) = delete;
    virtual ~Flags() = default;

    virtual void toggle(const char* names, bool& target, const char* help) = 0;
    /// A toggle that may have a value: "--summary" sets `target` to "true", "--summary=open" to "open". The help shows
    /// `word` after the names: "[=open]".
    virtual void toggle_word(const char* names, std::string& target, const char* word, const char* help) = 0;
    virtual void text(const char* names, std::string& target, const char* word, const char* help) = 0;
    /// A comma-separated list.
    virtual void list(const char* names, std::vector<std::string>& target, const char* word, const char* help) = 0;
    /// An option that may be given several times; its values may contain commas.
    virtual void texts(const char* names, std::vector<std::string>& target, const char* word, const char* help) {
        list(names, target, word, help);
    }
    virtual void numbers(const char* names, std::vector<u64>& target, u64 min, u64 max, const char* word,
                         const char* help) = 0;
    virtual void number(const char* names, std::optional<u64>& target, u64 min, u64 max, const char* word,
                        const char* help) = 0;
    /// A time in nanoseconds; a number without a unit is multiplied by `bare_ns`.
    virtual void time(const char* names, std::optional<u64>& target, u64 bare_ns, u64 min, u64 max, const char* word,
                      const char* help) = 0;
    /// A size in bytes; a number without a unit is multiplied by `bare`.
    virtual void size(const char* names, std::optional<u64>& target, u64 bare, u64 min, u64 max, const char* word,
                      const char* help) = 0;
};

/// Options of a view, live or replayed.
struct ViewOptions {
    Format format = nullptr;           ///< --format; null: the lens's default
    bool to_stderr = false;            ///< rows go to standard error: standard output belongs to a traced command
    std::string output;                ///< "" = standard output
    std::vector<std::string> columns;  ///< empty = the lens's default
    bool ns = false;                   ///< also the pids of the initial pid namespace
    bool no_header = false;
    bool unfinished = false;  ///< also rows for operations still in flight when tracing ends
    bool wall = false;        ///< wall-clock times in a table
    bool replayed = false;    ///< from a recording, not a live trace
    bool verbose = false;
    std::string summary_by;  ///< "true", or the key; "": not requested
    bool summary = false;    ///< requested, or on by default
    bool no_summary = false;
    std::optional<u64> count;
    std::vector<u64> pids;
    std::optional<u64> tid;
    std::string comm;
    std::optional<u64> min_ns;
    std::vector<std::string> ops;
};

/// Options of tracing.
struct LiveOptions {
    std::string cgroup;
    std::optional<u64> uid;
    std::optional<u64> duration_ns;
    std::optional<u64> interval_ns;  ///< print a summary at each interval, and no rows
    std::string record;
    std::vector<std::string> command;    ///< command to start and trace
    std::vector<std::string> arguments;  ///< see LensInfo::arguments
    std::string socket;                  ///< where clients get rows as JSON
    std::optional<u64> ring_bytes;
    std::optional<u64> max_inflight;
};

/// A lens's help texts for the options that all lenses share.
struct OptionHelp {
    const char* pid = "only I/O issued by these processes (up to 16)";
    const char* pid_live = pid;  ///< for live runs
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
    const char* interval = nullptr;  ///< null: its summary can't be restarted
    const char* max_inflight = "track at most N operations in flight (default 32768)";
};

void add_view_flags(Flags& flags, ViewOptions& options, const OptionHelp& help = {});
void add_live_flags(Flags& flags, LiveOptions& options, const OptionHelp& help = {});

/// --duration, which some lenses also take as an argument.
constexpr u64 bare_duration = 1'000'000'000;
constexpr u64 min_duration = 1'000'000;
constexpr u64 max_duration = 1'000'000'000 * bare_duration;

/// --ring-size.
constexpr u64 default_ring_bytes = u64{8} << 20;
void add_ring_flag(Flags& flags, std::optional<u64>& bytes);
/// Throws Failure (usage) if it is not a power of two.
u64 ring_bytes(const LiveOptions& live);

}  // namespace iolens
