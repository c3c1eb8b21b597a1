// SPDX-License-Identifier: Apache-2.0
#include "sink/table.h"

#include <fmt/compile.h>

#include <cstdlib>
#include <cstring>

namespace iolens {
namespace {

constexpr std::string_view red = "\x1b[31m";
constexpr std::string_view plain = "\x1b[0m";

void pad(Buffer& out, std::size_t shown, int width) {
    const auto want = static_cast<std::size_t>(std::abs(width));
    if (shown < want) std::memset(extend(out, want - shown), ' ', want - shown);
}

/// Right-aligns the cell that starts at `start` in its width.
void align_right(Buffer& out, std::size_t start, int width) {
    const std::size_t shown = out.size() - start;
    const auto want = static_cast<std::size_t>(width);
    if (shown >= want) return;
    pad(out, shown, width);
    std::move_backward(out.data() + start, out.data() + start + shown, out.data() + out.size());
    std::fill_n(out.data() + start, want - shown, ' ');
}

}  // namespace

void TableSink::begin(std::string_view /*type*/, Columns columns, const Column* trailing_error) {
    columns_.assign(columns.begin(), columns.end());
    trailing_error_ = trailing_error != nullptr;
    if (!options_.header) return;
    Buffer& out = out_.buffer();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        const Column& column = *columns_[i];
        if (i != 0) append(out, ' ');
        const std::size_t start = out.size();
        append(out, column.header);
        if (column.width > 0) {
            align_right(out, start, column.width);
        } else if (i + 1 < columns_.size()) {
            pad(out, column.header.size(), column.width);
        }
    }
    append(out, '\n');
    out_.row_done();
}

std::size_t TableSink::cell(const Column& column, const Value& value) {
    Buffer& out = out_.buffer();
    // the only cells with multibyte characters
    if (value.kind() == Value::Kind::text) {
        return append_visible(out, value.text(), static_cast<std::size_t>(column.cut));
    }
    const std::size_t start = out.size();
    if (value.is_null()) {
        append(out, column.missing);
    } else {
        if (value.is_negative()) append(out, '-');
        if (value.base() == 10) {
            number_cell(column, value.number());
        } else {
            append(out, in_base(value.number(), value.base()));
        }
    }
    return out.size() - start;
}

void TableSink::number_cell(const Column& column, u64 n) {
    Buffer& out = out_.buffer();
    switch (column.role) {
        case Role::time: {
            if (!first_time_) count_from(column, n);
            const u64 first = first_time_.value_or(n);
            if (n >= first) {
                append_seconds(out, n - first);
            } else if (&column == first_column_) {
                // events of two CPUs can be out of order by some ns: print a time before the first one as 0
                append_seconds(out, 0);
            } else {
                append(out, '-');
                append_seconds(out, first - n);
            }
            return;
        }
        case Role::wall: wall_.append_to(out, n, 3); return;
        case Role::clock: wall_.append_to(out, n, 6); return;
        case Role::seconds: append_seconds(out, n); return;
        case Role::duration: append_scaled(out, n / 1'000'000, n % 1'000'000 / 1000, 3); return;
        case Role::error: append(out, errno_name(static_cast<int>(n))); return;
        case Role::device: fmt::format_to(std::back_inserter(out), FMT_COMPILE("{}:{}"), n >> 20, n & 0xfffff); return;
        default: append_number(out, n); return;
    }
}

void TableSink::row(Row row) {
    Buffer& out = out_.buffer();
    const Value* trailing = trailing_error_ && !row.back().is_null() ? &row.back() : nullptr;
    bool failed = trailing != nullptr;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        failed = failed || (columns_[i]->role == Role::error && !row[i].is_null());
    }
    if (failed && options_.colour) append(out, red);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        const Column& column = *columns_[i];
        if (i != 0) append(out, ' ');
        const std::size_t start = out.size();
        const std::size_t shown = cell(column, row[i]);
        if (column.width > 0) {
            align_right(out, start, column.width);
        } else if (i + 1 < columns_.size()) {
            pad(out, shown, column.width);
        }
    }
    if (trailing != nullptr) {
        append(out, " !");
        append(out, errno_name(static_cast<int>(trailing->number())));
    }
    if (failed && options_.colour) append(out, plain);
    append(out, '\n');
    out_.row_done();
}

void TableSink::line(std::string_view words) {
    append_visible(out_.buffer(), words);
    append(out_.buffer(), '\n');
    out_.row_done();
}

void TableSink::loss(const Loss& loss) { put_loss_line(out_, loss); }

}  // namespace iolens
