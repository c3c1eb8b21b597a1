// SPDX-License-Identifier: Apache-2.0
#include "sink/metrics.h"

#include <fmt/compile.h>

#include "sink/numbers.h"

namespace iolens {
namespace {

using namespace metrics_row;

void append_signed(Buffer& out, const Value& value) {
    if (value.is_negative()) out.push_back('-');
    append_number(out, value.number());
}

std::string_view view(const Buffer& text) { return {text.data(), text.size()}; }

}  // namespace

void MetricsSink::row(Row row) {
    if (table_) {
        table_row(row);
    } else {
        csv_row(row);
    }
    ++rows_;
    out_.row_done();
}

/// A text as a field: on a terminal it does not act.
void MetricsSink::text(const Value& value) {
    if (!out_.is_terminal()) {
        append_csv(out_.buffer(), value.text());
        return;
    }
    words_.clear();
    append_visible(words_, value.text());
    append_csv(out_.buffer(), view(words_));
}

void MetricsSink::csv_row(Row row) {
    Buffer& out = out_.buffer();
    text(row[facility]);
    out.push_back(',');
    append_number(out, row[time_ns].number() / 1'000'000'000);
    out.push_back(',');
    append_scaled(out, row[duration_ns].number() / 1'000'000, row[duration_ns].number() % 1'000'000, 6);
    out.push_back(',');
    append_number(out, row[pid].number());
    out.push_back(',');
    append(out, row[domain].text());
    out.push_back(',');
    append(out, row[op].text());
    out.push_back(',');
    append_signed(out, row[error]);
    out.push_back(',');
    append_signed(out, row[fd]);
    out.push_back(',');
    append_number(out, row[bytes].number());
    out.push_back(',');
    text(row[first_text]);
    out.push_back(',');
    text(row[second_text]);
    out.push_back('\n');
}

void MetricsSink::table_row(Row row) {
    constexpr u64 group = 4;
    constexpr u64 page = 16;
    Buffer& out = out_.buffer();
    if (rows_ % group == 0) out.push_back('\n');
    if (rows_ % page == 0) {
        fmt::format_to(std::back_inserter(out), "{:>10} {:>10} {:>8} {:>5} {:>20}  {:<20} {:>3} {:>5} {:>8} {}\n",
                       "FACILITY", "TS.", "ELAPSED", "PID", "DOMAIN", "OPERATION", "ERR", "FD", "XFER", "PARM");
    }
    words_.clear();
    append_visible(words_, row[facility].text());
    fmt::format_to(std::back_inserter(out), "{:>10} {:>10} {:8.4f} {:>5} {:>20}  {:<20} {:>3} {:>5} {:>8} ",
                   view(words_), row[time_ns].number() / 1'000'000'000,
                   static_cast<double>(row[duration_ns].number()) / 1e6, row[pid].number(), row[domain].text(),
                   row[op].text(), signed_of(row[error]), signed_of(row[fd]), row[bytes].number());
    append_visible(out, row[first_text].text());
    out.push_back(' ');
    append_visible(out, row[second_text].text());
    out.push_back('\n');
}

void MetricsSink::loss(const Loss& loss) { put_loss_line(out_, loss); }

}  // namespace iolens
