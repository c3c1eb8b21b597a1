// SPDX-License-Identifier: Apache-2.0
// Columns, rows and losses become bytes. A sink knows no event and no lens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/output.h"
#include "iolens/schema.h"

namespace iolens {

/// An entry of the table of formats (sink/formats.h).
struct FormatInfo;
using Format = const FormatInfo*;

/// One cause of loss: "lost 2 requests: more in flight than --max-inflight".
struct LossCause {
    std::string_view name;   ///< in JSON
    std::string_view item;   ///< what was lost, in the singular
    std::string_view cause;  ///< why
    u64 count = 0;
    bool in_sum = true;  ///< so many operations; else something that isn't an operation of the lens
};

/// The ledger as sinks print it: seen = delivered + filtered + in_flight + the causes that are in the sum.
struct Loss {
    u64 seen = 0;
    u64 delivered = 0;
    u64 filtered = 0;
    u64 in_flight = 0;              ///< not over when tracing ended
    u64 no_end = 0;                 ///< of those delivered: without an end, which was not seen
    std::vector<LossCause> causes;  ///< only those with a count

    /// A cause, where it has a count.
    void note(std::string_view name, std::string_view item, std::string_view cause, u64 count) {
        if (count != 0) causes.push_back({name, item, cause, count});
    }
    /// The same of what are no operations of the lens: they are not in the sum.
    void note_beside(std::string_view name, std::string_view item, std::string_view cause, u64 count) {
        if (count != 0) causes.push_back({name, item, cause, count, false});
    }
    /// What the kernel skipped belongs to no operation.
    void note_skipped_runs(u64 count) { note_beside("missed", "probe run", "skipped by the kernel", count); }
    /// Operations that have no row.
    [[nodiscard]] u64 lost() const {
        u64 sum = 0;
        for (const LossCause& cause : causes) sum += cause.in_sum ? cause.count : 0;
        return sum;
    }
    [[nodiscard]] bool any() const { return no_end != 0 || !causes.empty(); }
};

class Sink {
public:
    Sink() = default;
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;
    virtual ~Sink() = default;

    /// Before the first row; `type` names what a row is ("block", "summary"). With `trailing_error`, a table's rows
    /// have one value more: an error that no chosen column shows, printed behind the row where there is one.
    virtual void begin(std::string_view type, Columns columns, const Column* trailing_error) = 0;
    /// Before the first row: times in a table count from `ns`, which is a time of the column `of`. Otherwise they count
    /// from the first one that is printed.
    virtual void count_from(const Column& /*of*/, u64 /*ns*/) {}
    virtual void row(Row row) = 0;
    /// A line of words between the rows; only csv has room for one.
    virtual void line(std::string_view /*words*/) {}
    /// Once, at the end, where anything was lost.
    virtual void loss(const Loss& loss) = 0;
};

struct SinkOptions {
    bool header = true;
    bool colour = false;                     ///< of a table: failed rows stand out
    std::string_view csv_line_end = "\r\n";  ///< as RFC 4180 has it
};

/// The table of an event or a summary, as sinks take it.
std::vector<const Column*> pointers_to(std::span<const Column> columns);

/// A loss behind the rows of a text, as a line that begins with "#"; not on a terminal, where standard error has it.
void put_loss_line(Output& out, const Loss& loss);

/// One line of words: what was lost, and why.
void append_loss_line(Buffer& out, const Loss& loss);

/// The sum, for a verbose run.
std::string ledger_line(const Loss& loss);

}  // namespace iolens
