// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "sink/numbers.h"
#include "sink/sink.h"

namespace iolens {

/// RFC 4180 with raw integers; null is an empty field. Losses are a last row that begins with "#loss".
class CsvSink final : public Sink {
public:
    CsvSink(Output& out, SinkOptions options) : out_(out), options_(options) {}
    void begin(std::string_view type, Columns columns, const Column* trailing_error) override;
    void row(Row row) override;
    void line(std::string_view words) override;
    void loss(const Loss& loss) override;

private:
    Output& out_;
    SinkOptions options_;
    std::vector<const Column*> columns_;
    Buffer words_;
    WallClock clock_;
};

}  // namespace iolens
