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
    /// A toggle that may be given a word: "--summary" sets `target` to "true", "--summary=open" to "open".
    virtual void toggle_word(const char* names, std::string& target, const char* help) = 0;
    virtual void text(const char* names, std::string& target, const char* word, const char* help) = 0;
    /// A comma-separated list.
    virtual void list(const char* names, std::vector<std::string>& target, const char* word, const char* help) = 0;
    virtual void numbers(const char* names, std::vector<u64>& target, u64 min, u64 max, const char* word,
                         const char* help) = 0;
    virtual void number(const char* names, std::optional<u64>& target, u64 min, u64 max, const char* word,
                        const char* help) = 0;
    virtual void real(const char* names, std::optional<double>& target, double min, double max, const char* word,
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
    std::optional<double> min_ms;
    std::vector<std::string> ops;
};

/// Of tracing.
struct LiveOptions {
    std::string cgroup;
    std::optional<u64> uid;
    std::optional<double> duration_s;
    std::optional<double> interval_s;  ///< a summary each time, and no rows
    std::string record;
    std::vector<std::string> command;    ///< to start and trace
    std::vector<std::string> arguments;  ///< see LensInfo::arguments
    std::string socket;                  ///< where clients get rows as JSON
    std::optional<u64> ring_mib;
    std::optional<u64> max_inflight;
};

void add_view_flags(Flags& flags, ViewOptions& options);
void add_live_flags(Flags& flags, LiveOptions& options);

/// --ring-size in bytes. Throws Failure (usage) where it is no power of two.
u64 ring_bytes(const LiveOptions& live);

}  // namespace iolens
