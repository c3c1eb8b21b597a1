// SPDX-License-Identifier: Apache-2.0
#include "sink/metrics.h"

#include <fmt/compile.h>

#include "sink/numbers.h"

namespace iolens {
namespace {

void append_signed(Buffer& out, s64 n) {
    if (n < 0) out.push_back('-');
    append_number(out, n < 0 ? u64{0} - static_cast<u64>(n) : static_cast<u64>(n));
}

std::string_view view(const Buffer& text) { return {text.data(), text.size()}; }

}  // namespace

/// Prints a text field; on a terminal, control characters are escaped.
void MetricsSink::text(std::string_view text) {
    if (!out_.is_terminal()) {
        append_csv(out_.buffer(), text);
        return;
    }
    words_.clear();
    append_visible(words_, text);
    append_csv(out_.buffer(), view(words_));
}

void MetricsSink::row(Row values) {
    const MetricsRow row(values);
    Buffer& out = out_.buffer();
    text(row.text("facility"));
    out.push_back(',');
    append_number(out, row.number("unix_ns") / 1'000'000'000);
    out.push_back(',');
    append_scaled(out, row.number("duration_ns") / 1'000'000, row.number("duration_ns") % 1'000'000, 6);
    out.push_back(',');
    append_number(out, row.number("pid"));
    out.push_back(',');
    append(out, row.text("domain"));
    out.push_back(',');
    append(out, row.text("op"));
    out.push_back(',');
    append_signed(out, row.signed_number("error_code"));
    out.push_back(',');
    append_signed(out, row.signed_number("fd"));
    out.push_back(',');
    append_number(out, row.number("bytes"));
    out.push_back(',');
    text(row.text("arg1"));
    out.push_back(',');
    text(row.text("arg2"));
    out.push_back('\n');
    out_.row_done();
}

void MetricsTableSink::row(Row values) {
    constexpr u64 group = 4;
    constexpr u64 page = 16;
    const MetricsRow row(values);
    Buffer& out = out_.buffer();
    if (rows_ % group == 0) out.push_back('\n');
    if (rows_ % page == 0) {
        fmt::format_to(std::back_inserter(out), "{:>10} {:>10} {:>8} {:>5} {:>20}  {:<20} {:>3} {:>5} {:>8} {}\n",
                       "FACILITY", "TS.", "ELAPSED", "PID", "DOMAIN", "OPERATION", "ERR", "FD", "XFER", "PARM");
    }
    words_.clear();
    append_visible(words_, row.text("facility"));
    fmt::format_to(std::back_inserter(out), "{:>10} {:>10} {:8.4f} {:>5} {:>20}  {:<20} {:>3} {:>5} {:>8} ",
                   view(words_), row.number("unix_ns") / 1'000'000'000,
                   static_cast<double>(row.number("duration_ns")) / 1e6, row.number("pid"), row.text("domain"),
                   row.text("op"), row.signed_number("error_code"), row.signed_number("fd"), row.number("bytes"));
    append_visible(out, row.text("arg1"));
    out.push_back(' ');
    append_visible(out, row.text("arg2"));
    out.push_back('\n');
    ++rows_;
    out_.row_done();
}

}  // namespace iolens
