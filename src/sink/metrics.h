// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sink/sink.h"

namespace iolens {

/// The two forms of io-monitor's plugins. A row begins with eleven values: facility, time (ns since 1970), duration
/// (ns), process, domain, operation, error code, fd, bytes and two texts.
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
