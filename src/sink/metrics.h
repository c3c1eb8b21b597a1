// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sink/sink.h"

namespace iolens {

/// What a row for io-monitor's readers begins with, in this order; times are ns, time_ns since 1970.
namespace metrics_row {
enum : std::size_t { facility, time_ns, duration_ns, pid, domain, op, error, fd, bytes, first_text, second_text };

/// A value that may be negative.
inline s64 signed_of(const Value& value) {
    return static_cast<s64>(value.is_negative() ? u64{0} - value.number() : value.number());
}
}  // namespace metrics_row

/// The two forms of io-monitor's plugins.
class MetricsSink final : public Sink {
public:
    /// `table`: with headings; else lines of csv. A text is quoted where it would break its line.
    MetricsSink(Output& out, bool table) : out_(out), table_(table) {}
    void begin(std::string_view /*type*/, Columns /*columns*/, const Column* /*trailing_error*/) override {}
    void row(Row row) override;
    void loss(const Loss& loss) override;

private:
    void csv_row(Row row);
    void table_row(Row row);
    void text(const Value& value);

    Output& out_;
    bool table_;
    u64 rows_ = 0;
    Buffer words_;
};

}  // namespace iolens
