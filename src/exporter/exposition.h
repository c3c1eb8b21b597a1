// SPDX-License-Identifier: Apache-2.0
// Metrics in the text formats that Prometheus, VictoriaMetrics and node_exporter read.
#pragma once

#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "base/text.h"
#include "iolens/event/header.h"

namespace iolens {

enum class Exposition : u8 {
    prometheus,   ///< text format 0.0.4: also what node_exporter's textfile collector reads
    openmetrics,  ///< OpenMetrics 1.0.0
};

/// The format that the value of an HTTP Accept header prefers: OpenMetrics if it has a higher quality (q), or the same
/// quality and a more specific media range. Prometheus's text format if the header accepts neither or is not valid.
Exposition negotiate(std::string_view accept);

/// The value of the HTTP header Content-Type.
std::string_view content_type(Exposition exposition);

enum class MetricKind : u8 { counter, gauge, histogram, info };

/// The value may contain any bytes (see append_label_value()); the name is a valid label name.
struct Label {
    std::string_view name;
    std::string_view value;
};
using Labels = std::span<const Label>;

/// Writes metric families one after the other. Names, units and the order of calls are the program's: a wrong one
/// throws std::logic_error. The caller makes sure that the samples of a family have different labels.
class MetricsText {
public:
    explicit MetricsText(Exposition exposition) : exposition_(exposition) {}

    /// Starts a family. `name` is without "_total" and "_info", and ends in the unit if there is one:
    /// "iolens_block_device_time_seconds". An info family has no unit.
    void family(std::string_view name, MetricKind kind, std::string_view unit, std::string_view help);

    /// Adds a sample to the current family, a counter or a gauge.
    void sample(Labels labels, u64 value);
    void sample(Labels labels, double value);
    void sample(std::initializer_list<Label> labels, u64 value) { sample(Labels(labels), value); }
    void sample(std::initializer_list<Label> labels, double value) { sample(Labels(labels), value); }

    /// Adds a sample to the current family, an info: its labels are the information.
    void info(Labels labels);
    void info(std::initializer_list<Label> labels) { info(Labels(labels)); }

    /// Adds a histogram to the current family. `upper_bounds` are ascending, inclusive and in the family's unit;
    /// `counts` has one element per bucket, not cumulative, and one more for the values above the last bound. `sum` is
    /// that of all values.
    void histogram(Labels labels, std::span<const double> upper_bounds, std::span<const u64> counts, double sum);
    void histogram(std::initializer_list<Label> labels, std::span<const double> upper_bounds,
                   std::span<const u64> counts, double sum) {
        histogram(Labels(labels), upper_bounds, counts, sum);
    }

    /// Returns the text, and starts anew.
    std::string finish();

private:
    void append_series(std::string_view suffix, Labels labels, std::string_view bound = {});
    void expect(bool valid, std::string_view what) const;

    Exposition exposition_;
    MetricKind kind_ = MetricKind::gauge;
    std::string name_;
    std::set<std::string, std::less<>> names_;  // of the families so far: each may be there once
    Buffer out_;
};

}  // namespace iolens
