// SPDX-License-Identifier: Apache-2.0
#include "app/pipeline.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/decode.h"
#include "base/failure.h"
#include "base/signals.h"
#include "sink/clients.h"

namespace iolens {
namespace {

bool colour_wanted(const Output& out) {
    const char* no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): one thread
    return out.is_terminal() && (no_colour == nullptr || *no_colour == '\0');
}

/// On a terminal: the cursor to the upper left corner, and nothing behind it.
constexpr std::string_view clear_screen = "\x1b[H\x1b[J";

}  // namespace

Pipeline::Pipeline(Lens& lens, const ViewOptions& view, const LiveOptions& live, bool intervals)
    : lens_(lens),
      view_(lens.prepare(view)),
      limit_(view.count.value_or(~u64{0})),
      out_(open_output(view, !view_.extra_sinks.empty() || !live.socket.empty() || live.record == "-")),
      timed_(intervals),
      intervals_(intervals || !view_.summary_type.empty()) {
    if (view.unfinished && view_.format != table_format && view_.format != json_format) {
        throw Failure(Exit::usage, "--unfinished needs table or json", "add --format table, or omit --unfinished");
    }
    if (!live.socket.empty()) {
        view_.extra_sinks.push_back({std::make_unique<ClientsSink>(live.socket), pointers_to(view_.type.columns)});
    }
    const SinkOptions options{
        .header = !view.no_header, .colour = colour_wanted(out_), .csv_line_end = view_.csv_line_end};
    sink_ = view_.format->make(out_, options);
    // In the table, an error that no column shows is printed at the end of its row.
    if (view_.format == table_format) {
        const auto items = view_.type.columns;
        const auto error = std::ranges::find(items, Role::error, &Column::role);
        const bool shown = std::ranges::any_of(view_.columns, [](const Column* c) { return c->role == Role::error; });
        if (error != items.end() && !shown) trailing_error_ = &*error;
    }
    // make no values for rows that nobody reads; without a summary or a limit, the event isn't needed either
    only_recorded_ = out_.is_null() && view_.extra_sinks.empty() && !view.summary && !intervals_ && !view.count;
    if (!out_.is_null() && !intervals_) {
        wanted_ = view_.columns;
        if (trailing_error_ != nullptr) {
            wanted_.push_back(trailing_error_);
        }
    }
    shown_ = wanted_.size();
    // Times in a table count from the first row's time, even if another time is shown before it, or only another one.
    if (view_.format == table_format && shown_ != 0) {
        const auto items = view_.type.columns;
        const auto time = std::ranges::find(items, Role::time, &Column::role);
        const auto first = std::ranges::find(view_.columns, Role::time, &Column::role);
        if (first != view_.columns.end() && *first != &*time) {
            counted_from_ = &*time;
            wanted_.push_back(counted_from_);
        }
    }
    for (const ExtraSink& extra : view_.extra_sinks) {
        wanted_.insert(wanted_.end(), extra.columns.begin(), extra.columns.end());
    }
    lens_.select(wanted_);
}

void Pipeline::begin() {
    out_.start();
    if (!intervals_) sink_->begin(view_.type.name, view_.columns, trailing_error_);
    for (const ExtraSink& extra : view_.extra_sinks) extra.sink->begin(view_.type.name, extra.columns, nullptr);
    out_.flush();
}

void Pipeline::set_wall_offset(u64 ns) {
    wall_offset_ns_ = ns;
    lens_.resolver().set_wall_offset(ns);
}

void Pipeline::record_only() {
    only_recorded_ = true;
    limit_ = ~u64{0};
}

void Pipeline::reopen() {
    if (!out_.is_file()) return;
    try {
        if (out_.reopen() && !intervals_) sink_->begin(view_.type.name, view_.columns, trailing_error_);
        watch_readers();
    } catch (const Failure& failure) {
        log_line(fmt::format("{}; rows still go to the old file", failure.what()));
    }
}

bool Pipeline::record(std::span<const std::byte> bytes) {
    if (rows_ >= limit_) return false;
    const iolens_header* head = decode_header(bytes);
    if (head == nullptr) {
        ++unreadable_;
        return true;
    }
    if (recorder_ != nullptr) recorder_->record(bytes.first(head->size));
    if (only_recorded_ && recorder_ != nullptr) return true;
    if (head->kind == IOLENS_KIND_CLOCK || take(*head) == DecodeResult::unknown) ++unknown_;
    return rows_ < limit_;
}

void Pipeline::advance(u64 now_ns) {
    if (only_recorded_) return;
    const iolens_header clock{.ts = now_ns, .kind = IOLENS_KIND_CLOCK, .size = sizeof clock, .cpu = IOLENS_NO_CPU};
    while (rows_ < limit_ && take(clock) == DecodeResult::row) {
    }
}

void Pipeline::interval(u64 now_ns) {
    Summary s = lens_.summary(true);
    const bool table = view_.format == table_format;
    if (table && !view_.summary_type.empty()) {
        show_text(s.table);
        return;
    }
    if (timed_) {
        s.columns.insert(s.columns.begin(), Column{.name = "unix_ns",
                                                   .header = "TIMESTAMP",
                                                   .unit = Unit::nanoseconds,
                                                   .role = Role::wall,
                                                   .width = -12,
                                                   .help = "end of the interval"});
        for (auto& row : s.rows) row.insert(row.begin(), Value(now_ns + wall_offset_ns_));
    }
    const bool first = interval_columns_.empty();
    if (first) interval_columns_ = std::move(s.columns);  // the sink keeps pointers to them
    if (table && out_.is_terminal()) append(out_.buffer(), clear_screen);
    if (table || first) {
        sink_->begin(view_.summary_type.empty() ? "summary" : view_.summary_type, pointers_to(interval_columns_),
                     nullptr);
    }
    for (const auto& row : s.rows) sink_->row(row);
    if (table && !out_.is_terminal()) out_.buffer().push_back('\n');
    out_.row_done();
    out_.flush();
}

/// Shows a summary that is a text and no table. After an interval, on a terminal it replaces the previous one.
void Pipeline::show_text(std::string_view text) {
    if (timed_ && out_.is_terminal()) append(out_.buffer(), clear_screen);
    append(out_.buffer(), text);
    out_.row_done();
    out_.flush();
}

void Pipeline::last_interval(u64 now_ns) {
    if (intervals_) interval(now_ns);
}

void Pipeline::flush() {
    out_.flush();
    for (const ExtraSink& extra : view_.extra_sinks) extra.sink->flush();
}

void Pipeline::finish(const iolens_loss& ledger, bool summary) {
    Loss loss = lens_.losses(ledger);
    loss.note_skipped_runs(ledger.missed);
    const u64 accounted = loss.delivered + loss.filtered + loss.lost() + loss.in_flight;
    if (loss.seen > accounted) {
        loss.causes.push_back({"unaccounted", "operation", "cause unknown", loss.seen - accounted});
    }
    for (const ExtraSink& extra : view_.extra_sinks) {
        if (loss.any()) extra.sink->loss(loss);
        for (const LossCause& kept : {extra.sink->finish(), extra.sink->refused()}) {
            if (kept.count != 0) loss.causes.push_back({kept.name, kept.item, kept.cause, kept.count, false});
        }
    }
    if (unreadable_ != 0) loss.causes.push_back({"unreadable", "record", "unreadable", unreadable_, false});
    if (unknown_ != 0) {
        loss.causes.push_back({"unknown", "record", "of a type unknown to this version", unknown_, false});
    }
    const Summary s = summary && !intervals_ ? lens_.summary(false) : Summary{};
    summary = !s.columns.empty();
    const std::vector<const Column*> columns = pointers_to(s.columns);
    if (summary && view_.format == json_format) {
        sink_->begin("summary", columns, nullptr);
        for (const auto& row : s.rows) sink_->row(row);
    }
    if (loss.any()) sink_->loss(loss);
    out_.flush();
    Output err = Output::stream(STDERR_FILENO, "standard error");
    if (summary && view_.format != json_format) {
        const auto table = table_format->make(err, {.header = true, .colour = false});
        append(err.buffer(), "\n");
        table->begin("summary", columns, nullptr);
        for (const auto& row : s.rows) table->row(row);
        append(err.buffer(), s.report);
        err.row_done();
    }
    if (loss.any()) {
        append(err.buffer(), "iolens: ");
        append_loss_line(err.buffer(), loss);
        err.buffer().push_back('\n');
        err.row_done();
    }
    err.flush();
}

Output Pipeline::open_output(const ViewOptions& view, bool other_way) {
    if (!view.output.empty()) return Output::file(view.output);
    if (other_way) return Output::file("/dev/null");
    return view.to_stderr ? Output::stream(STDERR_FILENO, "standard error")
                          : Output::stream(STDOUT_FILENO, "standard output");
}

DecodeResult Pipeline::take(const iolens_header& record) {
    row_.clear();
    const DecodeResult taken = lens_.take(record, row_);
    if (!row_.prefix_line.empty()) sink_->line(row_.prefix_line);
    if (taken == DecodeResult::row) {
        show();
        ++rows_;
    }
    return taken;
}

void Pipeline::show() {
    const Row row(row_.values);
    std::size_t at = shown_;
    if (counted_from_ != nullptr) {
        const Value& time = row[at++];
        if (rows_ == 0 && !time.is_null()) sink_->count_from(*counted_from_, time.number());
    }
    if (shown_ != 0) {
        sink_->row(row.first(shown_));
        if (view_.format == table_format) {
            for (const std::string& line : row_.detail_lines) sink_->line(line);
        }
    }
    for (const ExtraSink& extra : view_.extra_sinks) {
        extra.sink->row(row.subspan(at, extra.columns.size()));
        at += extra.columns.size();
    }
}

}  // namespace iolens
