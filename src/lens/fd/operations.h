// SPDX-License-Identifier: Apache-2.0
// io-monitor's view of the fd lens: operations by domain. What is wanted of the kernel, and a call as an operation.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/record.h"
#include "iolens/event/operation.h"
#include "lens/lens.h"
#include "probe/calls.h"
#include "resolve/calls.h"
#include "resolve/files.h"
#include "stats/histogram.h"

namespace iolens {

class Operations {
public:
    void view_flags(Flags& flags);
    void live_flags(Flags& flags);

    /// Reads what was asked for, and the environment's defaults for it. Throws Failure (usage).
    void prepare(const ViewOptions& view, bool replayed);

    /// Is this view asked for?
    [[nodiscard]] bool on() const { return wanted_ != 0; }
    [[nodiscard]] const std::string& facility() const { return facility_; }
    [[nodiscard]] const std::string& queue() const { return queue_; }
    [[nodiscard]] bool wants_libc() const { return libc_; }

    /// Narrows it to an operation ("RENAME"). False where there is none of that name.
    bool narrow(std::string_view word);

    /// What the kernel side is to look at. `chosen`: the calls of --op; empty: all.
    void choose(CallProbe::Options& options, const std::vector<u16>& chosen) const;

    /// Operations of processes that ran before, as records: their START, and where they are (as arg1).
    [[nodiscard]] std::vector<std::vector<u64>> starts(const std::vector<u32>& processes) const;

    /// A call as an operation; null where it is none, or none that is wanted. `told`: what it was given, where that is
    /// known. Valid until the next record.
    const iolens_operation_event* of_call(const iolens_call_event& e, const iolens_arguments* told,
                                          std::span<const std::string_view, IOLENS_CALL_ARGUMENTS> texts, Files& files);

    /// An operation's record, its texts made ready; null where it isn't wanted. Valid until the next record.
    const iolens_operation_event* of_record(const iolens_header& head, Files& files);

    /// A period has passed: calls that failed before go.
    void age() { failed_.age(0); }

    void add(const iolens_operation_event& e);
    [[nodiscard]] Summary summary() const;

private:
    struct Totals {
        u64 calls = 0;
        u64 errors = 0;
        u64 bytes = 0;
        u64 time_ns = 0;
        Histogram times;
    };
    struct Process {
        std::string command;
        u32 parent = 0;
    };
    [[nodiscard]] bool wants(u8 op) const { return op < IOLENS_OPERATION_COUNT && (wanted_ >> op & 1) != 0; }
    const iolens_operation_event* made(const iolens_operation_event& e, std::string_view first,
                                       std::string_view second);

    std::vector<std::string> domains_;
    std::string facility_;
    std::string start_on_open_;
    std::optional<double> start_on_elapsed_ms_;
    bool libc_ = false;
    bool std_fds_ = false;
    std::string queue_;
    u64 wanted_ = 0;    // bit (1 << op)
    u64 narrowed_ = 0;  // likewise, of --op
    Record made_;
    Bounded<u64, Process> processes_{1 << 16};  // by process_key()
    struct Failed {
        u64 end = 0;
        s32 error = 0;
    };
    Bounded<u32, Failed> failed_{1 << 16};  // each thread's last call that failed
    std::map<u8, Totals> totals_;
};

}  // namespace iolens
