// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "sink/sink.h"

namespace iolens {

/// One object per line. Keys are the columns' names; null is null. Every object has its type.
class JsonSink final : public Sink {
public:
    explicit JsonSink(Output& out) : out_(out) {}
    void begin(std::string_view type, Columns columns, const Column* trailing_error) override;
    void row(Row row) override;
    void loss(const Loss& loss) override;

private:
    Output& out_;
    std::string opening_;            // {"type":"block"
    std::vector<std::string> keys_;  // ,"time_ns":
    std::vector<const Column*> columns_;
};

}  // namespace iolens
