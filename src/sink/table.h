// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sink/numbers.h"
#include "sink/sink.h"

namespace iolens {

/// Aligned columns for people. Times are seconds since the first row, durations ms. If the error column isn't selected,
/// the error's name is printed at the end of the row, so that a failure is never invisible.
class TableSink final : public Sink {
public:
    TableSink(Output& out, SinkOptions options) : out_(out), options_(options) {}
    void begin(std::string_view type, Columns columns, const Column* trailing_error) override;
    void count_from(const Column& of, u64 ns) override {
        first_column_ = &of;
        first_time_ = ns;
    }
    void row(Row row) override;
    void line(std::string_view words) override;
    void loss(const Loss& loss) override;

private:
    /// Appends a cell; returns the number of characters shown.
    std::size_t cell(const Column& column, const Value& value);
    void number_cell(const Column& column, u64 n);

    Output& out_;
    SinkOptions options_;
    std::vector<const Column*> columns_;
    bool trailing_error_ = false;
    const Column* first_column_ = nullptr;  // times count from the first time in this column
    std::optional<u64> first_time_;
    WallClock wall_;  // HH:MM:SS of the last row: rows of one second share it
};

}  // namespace iolens
