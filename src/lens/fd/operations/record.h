// SPDX-License-Identifier: Apache-2.0
// Converts calls and records to operations.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/record.h"
#include "iolens/event/call.h"
#include "lens/fd/operations/select.h"
#include "lens/summary.h"
#include "resolve/bounded.h"
#include "resolve/files.h"
#include "stats/histogram.h"

namespace iolens {

class Operations {
public:
    explicit Operations(const OperationSelection& selection) : selection_(selection) {}

    /// Records for processes that were already running: START, and CHDIR with the working directory as arg1.
    [[nodiscard]] std::vector<Record> starts(const std::vector<u32>& processes) const;

    /// Converts a call to an operation; null if it is not an operation or not a selected one. `arguments`: the
    /// last ones of its thread, which may be another call's; null if there are none. Valid until the next record.
    const iolens_operation_event* of_call(const iolens_call_event& e, const iolens_arguments* arguments, Files& files);

    /// Completes the texts of an operation's record; null if it is not selected. Valid until the next record.
    const iolens_operation_event* of_record(const iolens_header& head, Files& files);

    /// Called after each period: forgets the calls that failed before.
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
    struct Failed {
        u64 end = 0;
        s32 error = 0;
    };
    const iolens_operation_event* made(const iolens_operation_event& e, std::string_view first,
                                       std::string_view second);

    const OperationSelection& selection_;
    Record made_;
    Bounded<u64, Process> processes_{1 << 16};  // by process_key()
    Bounded<u32, Failed> failed_{1 << 16};      // last failed call of each thread
    std::map<u8, Totals> totals_;
};

}  // namespace iolens
