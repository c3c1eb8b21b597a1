// SPDX-License-Identifier: Apache-2.0
// Formats columns, rows and losses as bytes. A sink depends on neither events nor lenses.
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

/// A cause of loss: "lost 2 requests: more in flight than --max-inflight".
struct LossCause {
    std::string_view name;   ///< in JSON
    std::string_view item;   ///< what was lost, in the singular
    std::string_view cause;  ///< why
    u64 count = 0;
    bool in_sum = true;  ///< counts operations; false: something that is not an operation of the lens
};

/// The ledger as sinks print it: seen = delivered + filtered + in_flight + the causes with in_sum.
struct Loss {
    u64 seen = 0;
    u64 delivered = 0;
    u64 filtered = 0;
    u64 in_flight = 0;              ///< still in flight when tracing ended
    u64 no_end = 0;                 ///< of those delivered: end not seen
    std::vector<LossCause> causes;  ///< only those with a count

    /// Adds a cause if its count is not 0.
    void note(std::string_view name, std::string_view item, std::string_view cause, u64 count) {
        if (count != 0) causes.push_back({name, item, cause, count});
    }
    /// The same for losses that are not operations of the lens: they are not in the sum.
    void note_beside(std::string_view name, std::string_view item, std::string_view cause, u64 count) {
        if (count != 0) causes.push_back({name, item, cause, count, false});
    }
    /// Skipped probe runs belong to no operation.
    void note_skipped_runs(u64 count) { note_beside("missed", "probe run", "skipped by the kernel", count); }
    /// The number of operations without a row.
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

    /// Called before the first row; `type` names the kind of row ("block", "summary"). With `trailing_error`, a table's
    /// rows have one more value: an error that no selected column shows, printed after the row if there is one.
    virtual void begin(std::string_view type, Columns columns, const Column* trailing_error) = 0;
    /// Called before the first row: times in a table count from `ns`, which is a time of the column `of`. Otherwise
    /// they count from the first time that is printed.
    virtual void count_from(const Column& /*of*/, u64 /*ns*/) {}
    virtual void row(Row row) = 0;
    /// A line of text between the rows; only csv supports it.
    virtual void line(std::string_view /*words*/) {}
    /// Called once, at the end, if anything was lost.
    virtual void loss(const Loss& loss) = 0;
};

struct SinkOptions {
    bool header = true;
    bool colour = false;                     ///< for a table: highlight failed rows
    std::string_view csv_line_end = "\r\n";  ///< as in RFC 4180
};

/// The columns of an event or a summary, in the form that sinks take.
std::vector<const Column*> pointers_to(std::span<const Column> columns);

/// Prints losses after the rows of a text format, as a line that begins with "#"; not on a terminal, where standard
/// error has them.
void put_loss_line(Output& out, const Loss& loss);

/// Appends one line of text: what was lost, and why.
void append_loss_line(Buffer& out, const Loss& loss);

/// The totals of the ledger, for a verbose run.
std::string ledger_line(const Loss& loss);

}  // namespace iolens
