// SPDX-License-Identifier: Apache-2.0
#include "sink/csv.h"

#include <fmt/compile.h>

namespace iolens {

void CsvSink::begin(std::string_view /*type*/, Columns columns, const Column* /*trailing_error*/) {
    columns_.assign(columns.begin(), columns.end());
    if (!options_.header) return;
    Buffer& out = out_.buffer();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (i != 0) append(out, ',');
        append(out, columns_[i]->name);
    }
    append(out, options_.csv_line_end);
    out_.row_done();
}

void CsvSink::row(Row row) {
    Buffer& out = out_.buffer();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (i != 0) append(out, ',');
        const Value& value = row[i];
        if (value.is_null()) continue;
        if (value.kind() == Value::Kind::text) {
            if (columns_[i]->role == Role::file_csv && !out_.is_terminal()) {
                append(out, value.text());
            } else if (columns_[i]->role == Role::file_csv) {
                append_visible(out, value.text());
            } else if (out_.is_terminal()) {  // a name must not control the terminal
                words_.clear();
                append_visible(words_, value.text());
                append_csv(out, {words_.data(), words_.size()});
            } else {
                append_csv(out, value.text());
            }
        } else if (columns_[i]->role == Role::error) {
            append(out, errno_name(static_cast<int>(value.number())));
        } else if (columns_[i]->role == Role::device) {
            fmt::format_to(std::back_inserter(out), FMT_COMPILE("{}:{}"), value.number() >> 20,
                           value.number() & 0xfffff);
        } else if (columns_[i]->role == Role::clock) {
            clock_.append_to(out, value.number(), 6);
        } else if (columns_[i]->role == Role::seconds) {
            append_seconds(out, value.number());
        } else {
            if (value.is_negative()) append(out, '-');
            append_number(out, value.number());
        }
    }
    append(out, options_.csv_line_end);
    out_.row_done();
}

void CsvSink::line(std::string_view words) {
    if (out_.is_terminal()) {  // a name must not control the terminal
        append_visible(out_.buffer(), words);
    } else {
        append(out_.buffer(), words);
    }
    append(out_.buffer(), options_.csv_line_end);
    out_.row_done();
}

void CsvSink::loss(const Loss& loss) {
    Buffer& out = out_.buffer();
    words_.clear();
    append_loss_line(words_, loss);
    append(out, columns_.size() > 1 ? "#loss," : "#loss ");
    append_csv(out, {words_.data(), words_.size()});
    for (std::size_t i = 2; i < columns_.size(); ++i) append(out, ',');
    append(out, options_.csv_line_end);
    out_.row_done();
}

}  // namespace iolens
