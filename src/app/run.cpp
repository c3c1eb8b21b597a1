// SPDX-License-Identifier: Apache-2.0
// The main loop: for traces and replays (source → lens → sink), and for servers.
#include "app/run.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "app/pipeline.h"
#include "base/clock.h"
#include "base/failure.h"
#include "base/privileges.h"
#include "base/signals.h"
#include "sink/recorder.h"

namespace iolens {
namespace {

// How long to sleep between reads of the ring buffer. Busy: short enough that 8 MiB can't fill up; idle: doubled up to
// what a person perceives as immediate. When much data is waiting, the kernel side wakes us earlier.
constexpr int nap_busy_ms = 5;
constexpr int nap_idle_ms = 80;
// The wall clock may be set while we run.
constexpr u64 refresh_wall_ns = 1'000'000'000;

/// Print -v's messages on standard error? IOLENS_DIAGNOSTICS prints them without tracing more: for programs that wait
/// for tracing to begin.
bool diagnostics_wanted(const ViewOptions& view) {
    return view.verbose || std::getenv("IOLENS_DIAGNOSTICS") != nullptr;  // NOLINT(concurrency-mt-unsafe): one thread
}

/// In json, the summary is one of the rows: whether it is printed must not depend on what standard error is.
bool summary_wanted(const ViewOptions& view) {
    if (!view.summary_by.empty()) return true;
    return view.format != json_format && !view.no_summary && ::isatty(STDERR_FILENO) == 1;
}

/// Opens the recording, before anything is traced. Throws Failure (usage).
std::unique_ptr<Recorder> open_recorder(const LiveOptions& live, const Pipeline& pipeline) {
    if (live.record.empty()) return nullptr;
    if (live.record == "-" && !live.command.empty()) {
        throw Failure(Exit::usage, "the recording and the command can't share standard output",
                      "use a file with --record");
    }
    auto recorder = std::make_unique<Recorder>(live.record);
    const auto file = recorder->identity();
    if (file && file == pipeline.output_file()) {
        throw Failure(Exit::usage, "rows and the recording can't go to the same file", "use two files");
    }
    return recorder;
}

/// Ends a recording: writes the ledger as its last record, and the mark that it is complete.
void end_recording(Recorder& recorder, const Source& source) {
    iolens_loss last = source.ledger();
    last.h = {.ts = clock_ns(CLOCK_BOOTTIME), .kind = IOLENS_KIND_LOSS, .size = sizeof last, .cpu = IOLENS_NO_CPU};
    recorder.record(std::as_bytes(std::span(&last, 1)));
    recorder.finish();
}

/// Ends a recording when rows can't be shown any more. Includes records that are still in the ring buffer. Throws
/// nothing: the failure that led here is the one to report.
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

/// Calls a function that loads programs. Throws Failure.
template <typename Function>
auto load_by(const Function& function) {
    try {
        return function();
    } catch (const Failure&) {
        // bpf_check() returns EAGAIN when a signal is pending: it is not the kernel that failed
        if (!end_asked()) throw;
        throw Failure(Exit::failed, "interrupted before tracing began");
    }
}

/// Runs until `polled` has ended, or until SIGINT or SIGTERM.
void run_loop(Polled& polled) {
    int idle_ms = nap_busy_ms;
    while (!end_asked()) {
        const u64 now = clock_ns(CLOCK_BOOTTIME);
        const Progress progress = polled.work(now);
        if (progress == Progress::ended) break;
        idle_ms = progress == Progress::busy ? nap_busy_ms : std::min(idle_ms * 2, nap_idle_ms);
        const std::span<const int> descriptors = polled.descriptors();
        if (descriptors.empty()) continue;
        const u64 left_ms = (std::max(polled.deadline_ns(), now) - now) / 1'000'000 + 1;
        wait_for_input(descriptors, static_cast<int>(std::min<u64>(static_cast<u64>(idle_ms), left_ms)));
    }
}

/// Passes records from a source to a pipeline, for as long as the options say.
class Trace final : public Polled {
public:
    Trace(Source& source, Pipeline& pipeline, u64 begin_ns, const LiveOptions& live)
        : source_(source),
          pipeline_(pipeline),
          descriptor_(source.descriptor()),
          end_ns_(live.duration_ns ? begin_ns + *live.duration_ns : ~u64{0}),
          interval_ns_(live.interval_ns.value_or(~u64{0} - begin_ns)),
          next_ns_(begin_ns + interval_ns_),
          wall_at_ns_(begin_ns) {
        pipeline_.set_wall_offset(source_.wall_offset_ns());
    }

    std::span<const int> descriptors() const override { return {&descriptor_, descriptor_ < 0 ? 0U : 1U}; }
    u64 deadline_ns() const override { return std::min(end_ns_, next_ns_); }
    Progress work(u64 now_ns) override {
        if (now_ns >= end_ns_) return Progress::ended;
        if (now_ns - wall_at_ns_ >= refresh_wall_ns) {
            pipeline_.set_wall_offset(source_.wall_offset_ns());
            wall_at_ns_ = now_ns;
        }
        if (reopen_asked()) pipeline_.reopen();
        const bool busy = source_.read(pipeline_) != 0;
        pipeline_.advance(now_ns);
        pipeline_.flush();
        if (now_ns >= next_ns_) {
            pipeline_.interval(now_ns);
            next_ns_ += interval_ns_ * ((now_ns - next_ns_) / interval_ns_ + 1);
        }
        if (source_.ended() || pipeline_.full()) return Progress::ended;
        return busy ? Progress::busy : Progress::idle;
    }

private:
    Source& source_;
    Pipeline& pipeline_;
    int descriptor_;
    u64 end_ns_;
    u64 interval_ns_;
    u64 next_ns_;
    u64 wall_at_ns_;
};

/// Passes the records of a recording to a pipeline.
class Replay final : public Polled {
public:
    Replay(Source& source, Pipeline& pipeline) : source_(source), pipeline_(pipeline) {}

    std::span<const int> descriptors() const override { return {}; }  // read() blocks on a pipe
    Progress work(u64 /*now_ns*/) override {
        source_.read(pipeline_);
        pipeline_.advance(0);
        pipeline_.flush();  // the next frame may take long to arrive
        return source_.ended() || pipeline_.full() ? Progress::ended : Progress::busy;
    }

private:
    Source& source_;
    Pipeline& pipeline_;
};

}  // namespace

int run_live(Lens& lens, ViewOptions view, const LiveOptions& live) {
    view.summary = summary_wanted(view) || live.interval_ns;
    catch_signals(!view.output.empty());
    const u64 started = clock_ns(CLOCK_BOOTTIME);
    Pipeline pipeline(lens, view, live, live.interval_ns.has_value());
    // before attaching, and before starting a command: an output that can't be written must not cost a run
    const std::unique_ptr<Recorder> recorder = open_recorder(live, pipeline);
    const std::unique_ptr<Source> source = load_by([&] { return lens.open(view, live); });
    refuse_same_file(source->inputs(), pipeline.output_file(), "the output");
    if (recorder) {
        refuse_same_file(source->inputs(), recorder->identity(), "the recording");
        utsname kernel{};
        ::uname(&kernel);
        recorder->begin(lens.info().name, static_cast<const char*>(kernel.release), source->wall_offset_ns());
        pipeline.set_recorder(recorder.get());
    }
    const bool tracing = source->descriptor() >= 0;
    // the output may be reopened, the socket is removed
    std::vector<std::string> paths{view.output, live.socket};
    std::erase(paths, "");
    keep_only_needed(source->capabilities() | (tracing ? capabilities_to_read_maps() : 0), paths);
    const u64 attached = clock_ns(CLOCK_BOOTTIME);
    if (diagnostics_wanted(view) && tracing)
        log_line(fmt::format("attached in {:.1f} ms", static_cast<double>(attached - started) / 1e6));

    try {
        pipeline.begin();
        pipeline.watch_readers();
        Trace trace(*source, pipeline, attached, live);
        run_loop(trace);
        source->stop();
        while (!pipeline.full() && source->read(pipeline) != 0) {
        }
        pipeline.advance(~u64{0});
        pipeline.last_interval(clock_ns(CLOCK_BOOTTIME));
        const iolens_loss ledger = source->ledger();
        if (recorder) end_recording(*recorder, *source);
        pipeline.finish(ledger, view.summary);
    } catch (const ReaderGone&) {
        // `| head` has read enough; a recording is still completed
        source->stop();
        if (recorder) save_recording(*recorder, *source, pipeline);
    } catch (...) {
        source->stop();
        if (recorder) save_recording(*recorder, *source, pipeline);
        throw;
    }
    if (diagnostics_wanted(view)) {
        for (const std::string& line : lens.diagnostics()) log_line(line);
    }
    return source->exit_status();
}

int run_verb(Verb& verb, const std::vector<std::string>& args) {
    const int status = verb.run(args);
    const std::unique_ptr<Service> service = verb.take_service();
    return service ? run_service(*service) : status;
}

int run_service(Service& service) {
    catch_signals();
    load_by([&] { service.start(); });
    run_loop(service);
    if (!service.stop()) ::_exit(0);  // the destructor would wait for a thread that is blocked in the kernel
    return 0;
}

std::unique_ptr<Lens> lens_of(const RecordingSource& recording) {
    const std::string name = recording.lens();
    for (auto& lens : make_lenses()) {
        if (lens->info().name == name) return std::move(lens);
    }
    throw Failure(Exit::failed,
                  fmt::format("'{}' was recorded by 'iolens {}', which this iolens does not have",
                              visible(recording.path()), visible(name)),
                  "replay it with the iolens that recorded it");
}

void run_replay(Lens& lens, ViewOptions view, RecordingSource& source) {
    view.summary = summary_wanted(view);
    catch_signals();
    view.replayed = true;
    if (view.verbose) log_line(fmt::format("recorded on kernel {}", visible(source.kernel())));
    Pipeline pipeline(lens, view, {});
    refuse_same_file(source.inputs(), pipeline.output_file(), "the output");
    pipeline.set_wall_offset(source.wall_offset_ns());
    try {
        pipeline.begin();
        pipeline.watch_readers();
        try {
            Replay replay(source, pipeline);
            run_loop(replay);
            pipeline.advance(~u64{0});
            pipeline.last_interval(0);
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
