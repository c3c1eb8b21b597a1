// SPDX-License-Identifier: Apache-2.0
// The one loop: source → lens → sink.
#include "app/run.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/clock.h"
#include "base/decode.h"
#include "base/failure.h"
#include "base/privileges.h"
#include "base/signals.h"
#include "sink/clients.h"
#include "sink/recorder.h"

namespace iolens {
namespace {

// How long to leave the ring alone. Busy: short enough that 8 MiB can't fill; idle: doubled up to what a person takes
// for "at once". When much waits, the kernel side wakes us earlier.
constexpr int nap_busy_ms = 5;
constexpr int nap_idle_ms = 80;
// The wall clock may be set while we run.
constexpr u64 refresh_wall_ns = 1'000'000'000;

bool colour_wanted(const Output& out) {
    const char* no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): one thread
    return out.is_terminal() && (no_colour == nullptr || *no_colour == '\0');
}

/// Takes records from a source to a sink, and to a recording.
class Pipeline final : public Receiver {
public:
    Pipeline(Lens& lens, const ViewOptions& view, const LiveOptions& live, bool intervals = false)
        : lens_(lens),
          view_(lens.prepare(view)),
          limit_(view.count.value_or(~u64{0})),
          out_(open_output(view, !view_.extra_sinks.empty() || !live.socket.empty() || live.record == "-")),
          intervals_(intervals) {
        if (intervals && !lens.info().has_intervals) {
            throw Failure(Exit::usage, fmt::format("'{}' has no summaries by interval", lens.info().name),
                          "--summary alone adds up to the end");
        }
        if (view.unfinished && view_.format != Format::table && view_.format != Format::json) {
            throw Failure(Exit::usage, "--unfinished is of rows as table or json",
                          "add --format table, or leave --unfinished out");
        }
        if (!live.socket.empty()) {
            view_.extra_sinks.push_back({std::make_unique<ClientsSink>(live.socket), pointers_to(view_.type.columns)});
        }
        const SinkOptions options{
            .header = !view.no_header, .colour = colour_wanted(out_), .csv_line_end = view_.csv_line_end};
        sink_ = make_sink(view_.format, out_, options);
        // An error that no column shows ends its row in the table.
        if (view_.format == Format::table) {
            const auto all = view_.type.columns;
            const auto error = std::ranges::find(all, Role::error, &Column::role);
            const bool shown =
                std::ranges::any_of(view_.columns, [](const Column* c) { return c->role == Role::error; });
            if (error != all.end() && !shown) trailing_error_ = &*error;
        }
        // no values are made for rows that nobody reads, and without a summary or a limit nobody looks at the event
        only_recorded_ = out_.is_null() && view_.extra_sinks.empty() && !view.summary && !view.count;
        if (!out_.is_null() && !intervals_) {
            wanted_ = view_.columns;
            if (trailing_error_ != nullptr) {
                wanted_.push_back(trailing_error_);
            }
        }
        shown_ = wanted_.size();
        // Times in a table count from the first row's time, even where another time is shown before it, or alone.
        if (view_.format == Format::table && shown_ != 0) {
            const auto all = view_.type.columns;
            const auto time = std::ranges::find(all, Role::time, &Column::role);
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

    /// Where rows go, as far as it is a regular file.
    [[nodiscard]] std::optional<FileIdentity> output_file() const { return out_.identity(); }
    /// Ends the run when the rows' reader or the recording's has gone.
    void watch_readers() const { iolens::watch_readers({out_.pipe(), recorder_ != nullptr ? recorder_->pipe() : -1}); }

    void begin() {
        out_.start();
        if (!intervals_) sink_->begin(view_.type.name, view_.columns, trailing_error_);
        for (const ExtraSink& extra : view_.extra_sinks) extra.sink->begin(view_.type.name, extra.columns, nullptr);
        out_.flush();
    }
    void set_wall_offset(u64 ns) {
        wall_offset_ns_ = ns;
        lens_.resolver().set_wall_offset(ns);
    }
    void set_recorder(Recorder* recorder) { recorder_ = recorder; }
    /// The rows' reader has gone, or their file is full: what still comes is for the recording.
    void record_only() {
        only_recorded_ = true;
        limit_ = ~u64{0};
    }
    /// Goes on with the file that has the output's name now, which another program may have renamed or emptied.
    void reopen() {
        if (!out_.is_file()) return;
        try {
            if (out_.reopen() && !intervals_) sink_->begin(view_.type.name, view_.columns, trailing_error_);
            watch_readers();
        } catch (const Failure& failure) {
            say(fmt::format("{}; rows go on to the file that was open", failure.what()));
        }
    }

    bool record(std::span<const std::byte> bytes) override {
        if (rows_ >= limit_) return false;
        const iolens_header* head = decode_header(bytes);
        if (head == nullptr) {
            ++unreadable_;
            return true;
        }
        if (recorder_ != nullptr) recorder_->record(bytes.first(head->size));
        if (only_recorded_ && recorder_ != nullptr) return true;
        if (head->kind == IOLENS_KIND_CLOCK || take(*head) == Taken::unknown) ++unknown_;
        return rows_ < limit_;
    }

    /// Shows the rows that waited for this time.
    void advance(u64 now_ns) {
        if (only_recorded_) return;
        const iolens_header clock{.ts = now_ns, .kind = IOLENS_KIND_CLOCK, .size = sizeof clock, .cpu = IOLENS_NO_CPU};
        while (rows_ < limit_ && take(clock) == Taken::row) {
        }
    }

    /// A summary of what came since the last one; on a terminal in place of it.
    void interval(u64 now_ns) {
        Summary s = lens_.summary(true);
        s.columns.insert(s.columns.begin(), Column{.name = "unix_ns",
                                                   .header = "TIMESTAMP",
                                                   .unit = Unit::nanoseconds,
                                                   .role = Role::wall,
                                                   .width = -12,
                                                   .help = "end of the interval"});
        for (auto& row : s.rows) row.insert(row.begin(), Value(now_ns + wall_offset_ns_));
        const bool table = view_.format == Format::table;
        const bool first = interval_columns_.empty();
        if (first) interval_columns_ = std::move(s.columns);  // the sink keeps on to them
        if (table && out_.is_terminal()) append(out_.buffer(), "\x1b[H\x1b[J");
        if (table || first) sink_->begin("summary", pointers_to(interval_columns_), nullptr);
        for (const auto& row : s.rows) sink_->row(row);
        if (table && !out_.is_terminal()) out_.buffer().push_back('\n');
        out_.row_done();
        out_.flush();
    }

    [[nodiscard]] bool full() const { return rows_ >= limit_; }
    void flush() {
        out_.flush();
        for (const ExtraSink& extra : view_.extra_sinks) extra.sink->flush();
    }

    void finish(const iolens_loss& ledger, bool summary) {
        Loss loss = lens_.losses(ledger);
        loss.note_skipped_runs(ledger.missed);
        const u64 accounted = loss.delivered + loss.filtered + loss.lost() + loss.in_flight;
        if (loss.seen > accounted) {
            loss.causes.push_back({"unaccounted", "operations (no cause is known)", loss.seen - accounted});
        }
        for (const ExtraSink& extra : view_.extra_sinks) {
            if (loss.any()) extra.sink->loss(loss);
            for (const LossCause& kept : {extra.sink->finish(), extra.sink->refused()}) {
                if (kept.count != 0) loss.causes.push_back({kept.name, kept.words, kept.count, false});
            }
        }
        if (unreadable_ != 0)
            loss.causes.push_back({"unreadable", "records that could not be read", unreadable_, false});
        if (unknown_ != 0) {
            loss.causes.push_back({"unknown", "records of a kind unknown to this version", unknown_, false});
        }
        const Summary s = summary && !intervals_ ? lens_.summary(false) : Summary{};
        summary = !s.columns.empty();
        const std::vector<const Column*> columns = pointers_to(s.columns);
        if (summary && view_.format == Format::json) {
            sink_->begin("summary", columns, nullptr);
            for (const auto& row : s.rows) sink_->row(row);
        }
        if (loss.any()) sink_->loss(loss);
        out_.flush();
        Output err = Output::stream(STDERR_FILENO, "standard error");
        if (summary && view_.format != Format::json) {
            const auto table = make_sink(Format::table, err, {.header = true, .colour = false});
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

private:
    /// Where there is another way for the rows, they are not also shown unless a file is named for them.
    static Output open_output(const ViewOptions& view, bool other_way) {
        if (!view.output.empty()) return Output::file(view.output);
        if (other_way) return Output::file("/dev/null");
        return view.to_stderr ? Output::stream(STDERR_FILENO, "standard error")
                              : Output::stream(STDOUT_FILENO, "standard output");
    }

    Taken take(const iolens_header& record) {
        row_.clear();
        const Taken taken = lens_.take(record, row_);
        if (!row_.prefix_line.empty()) sink_->line(row_.prefix_line);
        if (taken == Taken::row) {
            show();
            ++rows_;
        }
        return taken;
    }

    void show() {
        const Row row(row_.values);
        std::size_t at = shown_;
        if (counted_from_ != nullptr) {
            const Value& time = row[at++];
            if (rows_ == 0 && !time.is_null()) sink_->count_from(*counted_from_, time.number());
        }
        if (shown_ != 0) {
            sink_->row(row.first(shown_));
            if (view_.format == Format::table) {
                for (const std::string& line : row_.detail_lines) sink_->line(line);
            }
        }
        for (const ExtraSink& extra : view_.extra_sinks) {
            extra.sink->row(row.subspan(at, extra.columns.size()));
            at += extra.columns.size();
        }
    }

    Lens& lens_;
    View view_;
    std::vector<const Column*>
        wanted_;  // the columns, and the trailing error, where somebody reads them; then those of extra sinks
    std::size_t shown_ = 0;  // so many of them are the output's
    u64 limit_;
    Output out_;
    bool intervals_;
    std::vector<Column> interval_columns_;
    const Column* trailing_error_ = nullptr;
    const Column* counted_from_ = nullptr;  // see Sink::count_from()
    std::unique_ptr<Sink> sink_;
    Recorder* recorder_ = nullptr;
    bool only_recorded_ = false;
    RowBuffer row_;
    u64 wall_offset_ns_ = 0;
    u64 rows_ = 0;
    u64 unreadable_ = 0;
    u64 unknown_ = 0;
};

/// What -v says on standard error, without more of what is traced: for programs that wait for the tracing to begin.
bool remarks_wanted(const ViewOptions& view) {
    return view.verbose || std::getenv("IOLENS_REMARKS") != nullptr;  // NOLINT(concurrency-mt-unsafe): one thread
}

/// In json a summary is among the rows: whether it is there must not depend on what standard error is.
bool summary_wanted(const ViewOptions& view) {
    if (!view.summary_by.empty()) return true;
    return view.format != Format::json && !view.no_summary && ::isatty(STDERR_FILENO) == 1;
}

/// Opens the recording, before anything is traced. Throws Failure (usage).
std::unique_ptr<Recorder> open_recorder(const LiveOptions& live, const Pipeline& pipeline) {
    if (live.record.empty()) return nullptr;
    if (live.record == "-" && !live.command.empty()) {
        throw Failure(Exit::usage, "the recording and the command can't both have the standard output",
                      "name a file with --record");
    }
    auto recorder = std::make_unique<Recorder>(live.record);
    const auto file = recorder->identity();
    if (file && file == pipeline.output_file()) {
        throw Failure(Exit::usage, "rows and the recording can't go to the same file", "name two files");
    }
    return recorder;
}

/// The ledger as a recording's last record, and the mark that it is whole.
void end_recording(Recorder& recorder, const Source& source) {
    iolens_loss last = source.ledger();
    last.h = {.ts = clock_ns(CLOCK_BOOTTIME), .kind = IOLENS_KIND_LOSS, .size = sizeof last, .cpu = IOLENS_NO_CPU};
    recorder.record(std::as_bytes(std::span(&last, 1)));
    recorder.finish();
}

/// The end of a recording when rows can't be shown any more. What is still on its way is recorded, too. The failure
/// that led here is the one to report, so none is thrown.
void save_recording(Recorder& recorder, Source& source, Pipeline& pipeline) {
    pipeline.record_only();
    try {
        while (!end_overdue() && source.read(pipeline) != 0) {
        }
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    }
    try {
        end_recording(recorder, source);
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    }
}

std::unique_ptr<Source> open_source(Lens& lens, ViewOptions& view, const LiveOptions& live) {
    try {
        return lens.open(view, live);
    } catch (const Failure&) {
        // bpf_check() returns EAGAIN when a signal is pending: the failure is not the kernel's
        if (!end_asked()) throw;
        throw Failure(Exit::failed, "interrupted before tracing began");
    }
}

}  // namespace

int run_live(Lens& lens, ViewOptions view, const LiveOptions& live) {
    view.summary = summary_wanted(view) || live.interval_s;
    catch_signals(!view.output.empty());
    const u64 started = clock_ns(CLOCK_BOOTTIME);
    Pipeline pipeline(lens, view, live, live.interval_s.has_value());
    // before the probes, and before a command that is traced: what can't be written to must not cost a run
    const std::unique_ptr<Recorder> recorder = open_recorder(live, pipeline);
    const std::unique_ptr<Source> source = open_source(lens, view, live);
    refuse_same_file(source->inputs(), pipeline.output_file(), "the output");
    if (recorder) {
        refuse_same_file(source->inputs(), recorder->identity(), "the recording");
        utsname kernel{};
        ::uname(&kernel);
        recorder->begin(lens.info().name, static_cast<const char*>(kernel.release), source->wall_offset_ns());
        pipeline.set_recorder(recorder.get());
    }
    const bool tracing = source->descriptor() >= 0;
    // an output is opened again, a socket is removed
    std::vector<std::string> paths{view.output, live.socket};
    std::erase(paths, "");
    keep_only_needed(source->capabilities() | (tracing ? capabilities_to_read_maps() : 0), paths);
    const u64 attached = clock_ns(CLOCK_BOOTTIME);
    if (remarks_wanted(view) && tracing)
        say(fmt::format("attached in {:.1f} ms", static_cast<double>(attached - started) / 1e6));
    const u64 deadline = live.duration_s ? attached + static_cast<u64>(*live.duration_s * 1e9) : ~u64{0};

    const u64 interval = live.interval_s ? static_cast<u64>(*live.interval_s * 1e9) : ~u64{0} - attached;

    try {
        pipeline.begin();
        pipeline.watch_readers();
        int idle_ms = nap_busy_ms;
        u64 wall_at = 0;
        u64 next = attached + interval;
        for (u64 now = attached; !end_asked() && !pipeline.full() && now < deadline; now = clock_ns(CLOCK_BOOTTIME)) {
            if (now - wall_at >= refresh_wall_ns) {
                pipeline.set_wall_offset(source->wall_offset_ns());
                wall_at = now;
            }
            if (reopen_asked()) pipeline.reopen();
            const bool busy = source->read(pipeline) != 0;
            pipeline.advance(now);
            pipeline.flush();
            if (now >= next) {
                pipeline.interval(now);
                next += interval * ((now - next) / interval + 1);
            }
            if (source->ended()) break;
            idle_ms = busy ? nap_busy_ms : std::min(idle_ms * 2, nap_idle_ms);
            if (pipeline.full()) break;
            const u64 left_ms = (std::min(deadline, std::max(next, now)) - now) / 1'000'000 + 1;
            if (!tracing) continue;  // read() itself waits for what comes
            wait_for_input(source->descriptor(), static_cast<int>(std::min<u64>(static_cast<u64>(idle_ms), left_ms)));
        }
        source->stop();
        while (!pipeline.full() && source->read(pipeline) != 0) {
        }
        pipeline.advance(~u64{0});
        if (live.interval_s) pipeline.interval(clock_ns(CLOCK_BOOTTIME));
        const iolens_loss ledger = source->ledger();
        if (recorder) end_recording(*recorder, *source);
        pipeline.finish(ledger, view.summary);
    } catch (const ReaderGone&) {
        // `| head` has what it wanted; a recording is kept whole all the same
        source->stop();
        if (recorder) save_recording(*recorder, *source, pipeline);
    } catch (...) {
        source->stop();
        if (recorder) save_recording(*recorder, *source, pipeline);
        throw;
    }
    if (remarks_wanted(view)) {
        for (const std::string& line : lens.diagnostics()) say(line);
    }
    return source->exit_status();
}

std::unique_ptr<Lens> lens_of(const RecordingSource& recording) {
    const std::string name = recording.lens();
    for (auto& lens : make_lenses()) {
        if (lens->info().name == name) return std::move(lens);
    }
    throw Failure(Exit::failed,
                  fmt::format("'{}' was recorded by a lens '{}' that this iolens doesn't have",
                              visible(recording.path()), visible(name)),
                  "replay it with the iolens that recorded it");
}

void run_replay(Lens& lens, ViewOptions view, RecordingSource& source) {
    view.summary = summary_wanted(view);
    catch_signals();
    view.replayed = true;
    if (view.verbose) say(fmt::format("recorded on kernel {}", visible(source.kernel())));
    Pipeline pipeline(lens, view, {});
    refuse_same_file(source.inputs(), pipeline.output_file(), "the output");
    pipeline.set_wall_offset(source.wall_offset_ns());
    try {
        pipeline.begin();
        pipeline.watch_readers();
        try {
            while (!source.ended() && !pipeline.full() && !end_asked()) {
                source.read(pipeline);
                pipeline.advance(0);
                pipeline.flush();  // the next frame may be long in coming
            }
            pipeline.advance(~u64{0});
        } catch (const Failure&) {
            pipeline.finish(source.ledger(), view.summary);
            throw;
        }
        pipeline.finish(source.ledger(), view.summary);
    } catch (const ReaderGone&) {
        return;
    }
}

}  // namespace iolens
