// SPDX-License-Identifier: Apache-2.0
#include "sink/json.h"

#include <fmt/compile.h>

#include "sink/numbers.h"

namespace iolens {

void JsonSink::begin(std::string_view type, Columns columns, const Column* /*trailing_error*/) {
    opening_ = fmt::format(R"({{"type":"{}")", type);
    columns_.assign(columns.begin(), columns.end());
    keys_.clear();
    for (const Column* column : columns) keys_.push_back(fmt::format(",\"{}\":", column->name));
}

void JsonSink::row(Row row) {
    Buffer& out = out_.buffer();
    append(out, opening_);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        append(out, keys_[i]);
        const Value& value = row[i];
        if (value.is_null()) {
            append(out, "null");
        } else if (columns_[i]->role == Role::json) {
            append(out, value.text());
        } else if (value.kind() == Value::Kind::text) {
            append_json(out, value.text());
        } else if (columns_[i]->role == Role::error) {
            append_json(out, errno_name(static_cast<int>(value.number())));
        } else if (columns_[i]->role == Role::device) {
            fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"("{}:{}")"), value.number() >> 20,
                           value.number() & 0xfffff);
        } else {
            if (value.is_negative()) append(out, '-');
            append_number(out, value.number());
        }
    }
    append(out, "}\n");
    out_.row_done();
}

void JsonSink::loss(const Loss& loss) {
    Buffer& out = out_.buffer();
    fmt::format_to(std::back_inserter(out), R"({{"type":"loss","seen":{},"delivered":{},"filtered":{})", loss.seen,
                   loss.delivered, loss.filtered);
    if (loss.in_flight != 0) fmt::format_to(std::back_inserter(out), ",\"in_flight\":{}", loss.in_flight);
    if (loss.no_end != 0) fmt::format_to(std::back_inserter(out), ",\"no_end\":{}", loss.no_end);
    for (const LossCause& cause : loss.causes) {
        fmt::format_to(std::back_inserter(out), ",\"{}\":{}", cause.name, cause.count);
    }
    append(out, "}\n");
    out_.row_done();
}

}  // namespace iolens
