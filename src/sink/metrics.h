// SPDX-License-Identifier: Apache-2.0
// The two output formats of io-monitor's plugins.
#pragma once

#include "sink/needs.h"
#include "sink/sink.h"

namespace iolens {

/// The columns of rows for io-monitor's readers: MetricsSink, MetricsTableSink and QueueSink.
inline constexpr std::array metrics_needs{
    NeededColumn{"facility", Value::Kind::text},      NeededColumn{"unix_ns", Value::Kind::number},
    NeededColumn{"duration_ns", Value::Kind::number}, NeededColumn{"pid", Value::Kind::number},
    NeededColumn{"domain", Value::Kind::text},        NeededColumn{"op", Value::Kind::text},
    NeededColumn{"error_code", Value::Kind::number},  NeededColumn{"fd", Value::Kind::number},
    NeededColumn{"bytes", Value::Kind::number},       NeededColumn{"arg1", Value::Kind::text},
    NeededColumn{"arg2", Value::Kind::text},
};
using MetricsRow = NeededRow<metrics_needs>;

/// Lines of csv. A text is quoted if it would break its line.
class MetricsSink final : public Sink {
public:
    explicit MetricsSink(Output& out) : out_(out) {}
    void begin(std::string_view /*type*/, Columns /*columns*/, const Column* /*trailing_error*/) override {}
    void row(Row values) override;
    void loss(const Loss& loss) override { put_loss_line(out_, loss); }

private:
    void text(std::string_view text);

    Output& out_;
    Buffer words_;
};

/// Aligned columns, with a heading every 16 rows.
class MetricsTableSink final : public Sink {
public:
    explicit MetricsTableSink(Output& out) : out_(out) {}
    void begin(std::string_view /*type*/, Columns /*columns*/, const Column* /*trailing_error*/) override {}
    void row(Row values) override;
    void loss(const Loss& loss) override { put_loss_line(out_, loss); }

private:
    Output& out_;
    u64 rows_ = 0;
    Buffer words_;
};

}  // namespace iolens
