// SPDX-License-Identifier: Apache-2.0
// iolens fd: what processes read and write, and from and to where.
#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "base/decode.h"
#include "base/failure.h"
#include "base/record.h"
#include "base/suggest.h"
#include "import/strace_log.h"
#include "iolens/event/call.h"
#include "lens/fd/columns.h"
#include "lens/fd/info.h"
#include "lens/fd/operations/record.h"
#include "lens/fd/operations/select.h"
#include "lens/fd/own_output.h"
#include "lens/fd/select.h"
#include "lens/fd/totals.h"
#include "lens/fd/tracing.h"
#include "lens/fd/why/why.h"
#include "lens/filter.h"
#include "lens/lens.h"
#include "lens/loss.h"
#include "probe/pid_namespace.h"
#include "resolve/syscalls.h"

namespace iolens {
namespace {

class FdLens final : public Lens {
public:
    const LensInfo& info() const override { return fd_info(); }

    void add_options(Flags& view, Flags* live) override {
        view.toggle("--why", wants_why_,
                    "explain calls of 1 ms or more (--min-ms): what they waited for and which block requests were "
                    "involved");
        selection_.view_flags(view);
        wanted_operations_.view_flags(view);
        if (live == nullptr) return;
        live->text("--user", user_, "NAME", "run COMMAND as this user (a name or number in /etc/passwd)");
        live->toggle("--preserve-env", preserve_env_, "with --user: keep the environment");
        wanted_operations_.live_flags(*live);
        live->texts("-i,--input", input_, "FILE",
                    "show the calls in a log of 'strace -f -tt -T' instead of tracing; needs no privileges; several "
                    "files, or a quoted glob, are one trace; '-' is standard input");
    }

    View prepare(const ViewOptions& view) override;
    std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) override;
    DecodeResult take(const iolens_header& record, RowBuffer& row) override;
    Summary summary(bool restart) override;
    Loss losses(const iolens_loss& ledger) const override;
    std::vector<std::string> diagnostics() const override;
    std::vector<ProbeStatus> examine(bool variants) const override { return Tracing::examine(variants); }

private:
    void add(const iolens_call_event& e, RowArena& text);
    /// Does this process read our rows?
    [[nodiscard]] bool of_reader(u32 tgid) const { return own_output_ && OwnOutput::is_reader(tgid); }
    DecodeResult take_call(const iolens_call_event& e, RowBuffer& row);
    DecodeResult take_operation(const iolens_header& record, RowBuffer& row);
    DecodeResult take_deferred(u64 now_ns, RowBuffer& row);
    [[nodiscard]] bool asked_for(const iolens_call_event& e, const ViewOptions& f) const;
    [[nodiscard]] bool shows_fault(const iolens_call_event& e) const;
    void add_prefix_line(const iolens_call_event& e, RowBuffer& row);
    DecodeResult show_operation(const iolens_operation_event* e, RowBuffer& row);
    const iolens_operation_event* operation_of(const iolens_call_event& e);
    void check_options(const ViewOptions& view, const LiveOptions& live) const;

    OperationSelection wanted_operations_;  // of --domains
    Operations operations_{wanted_operations_};
    CallSelection selection_;
    std::string user_;  // user to run the command as
    bool preserve_env_ = false;
    std::vector<std::string> input_;  // strace logs to show
    std::optional<ViewOptions> replay_filters_;
    std::unique_ptr<Tracing> tracing_;
    std::optional<OwnOutput> own_output_;  // for a trace of the whole machine; destroyed before the probes
    bool wants_why_ = false;
    std::optional<Why> why_;
    u64 min_ns_ = 0;                            // live: what the kernel does not filter of calls that map files
    std::optional<ViewOptions> fault_filters_;  // of --why; nothing: no page faults
    bool why_lines_ = false;                    // detail lines below each row
    u64 last_ts_ = 0;                           // latest time of all records
    bool unfinished_ = false;                   // also rows for calls still in flight when tracing ends
    FileTotals totals_;
    OpenTotals opens_;
    StraceLog* log_ = nullptr;
    Decoder decoder_;
    iolens_call_event call_{};           // copy of the current row's record, if something was added to it
    std::tuple<u32, u64, u32> line_of_;  // identifies the call with the last prefix line
};

/// Without --min-ms, --why explains calls that took at least this long.
constexpr u64 why_min_ns = 1'000'000;

View FdLens::prepare(const ViewOptions& view) {
    selection_.select(view.ops, wanted_operations_, wanted_operations_.requested(view.replayed));
    wanted_operations_.prepare(view, view.replayed);
    selection_.operations = wanted_operations_.on();
    replay_filters_ = view;
    resolver().set_facility(wanted_operations_.facility());
    if (view.replayed) resolver().set_recorded();
    if (wants_why_) {
        if (wanted_operations_.on())
            throw Failure(Exit::usage, "--why explains calls, and --domains shows operations", "omit one of them");
        why_.emplace(resolver(), !view.replayed);
        if (view.summary_by == "open") throw Failure(Exit::usage, "--why has no --summary=open", "use --summary");
        why_->set_all(view.verbose);
        why_->set_summing(view.summary);
        if (!replay_filters_->min_ns) replay_filters_->min_ns = why_min_ns;
        fault_filters_ = replay_filters_;
    }
    selection_.summing = view.summary;
    selection_.files = view.summary_by == "true" && !why_;
    unfinished_ = view.unfinished;
    if (unfinished_ && !wanted_operations_.queue().empty()) {
        throw Failure(Exit::usage, "--mq has no messages for unfinished operations", "omit --unfinished");
    }
    selection_.by_open = view.summary_by == "open";
    if (!view.summary_by.empty() && view.summary_by != "true" && !selection_.by_open) {
        throw Failure(Exit::usage, unknown_name("summary", view.summary_by, std::array{std::string_view("open")}),
                      "--summary is per file and peer, --summary=open per open file");
    }
    selection_.decode_all = view.verbose && !wanted_operations_.on() && !why_;
    const Format format = view.format != nullptr    ? view.format
                          : wants_why_              ? table_format
                          : wanted_operations_.on() ? format_named("metrics")
                                                    : info().default_format;
    why_lines_ = format == table_format;
    selection_.seed_csv = view.columns.empty() && format == csv_format && !why_ && !wanted_operations_.on();
    const CallView calls{
        .format = format, .why = wants_why_, .decode_all = selection_.decode_all, .seed_csv = selection_.seed_csv};
    return {
        .format = format,
        .type = info().row_types[wanted_operations_.on() ? 1 : 0],
        .columns = wanted_operations_.on() ? choose_operation_columns(view, format) : choose_call_columns(view, calls),
        .csv_line_end = selection_.seed_csv ? "\n" : "\r\n",
        .extra_sinks = wanted_operations_.extra_sinks()};
}

/// Throws Failure (usage) for options that can't be combined.
void FdLens::check_options(const ViewOptions& view, const LiveOptions& live) const {
    const char* of_tracing = wanted_operations_.wants_libc() ? "--libc"
                             : why_                          ? "--why"
                             : !live.command.empty()         ? "a command"
                             : !view.pids.empty()            ? "-p"
                             : !user_.empty()                ? "--user"
                             : !live.cgroup.empty()          ? "--cgroup"
                             : live.uid                      ? "--uid"
                                                             : nullptr;
    if (!input_.empty() && of_tracing != nullptr) {
        throw Failure(Exit::usage, fmt::format("{} and -i can't be combined", of_tracing),
                      "omit one of them: -i shows a log and traces nothing");
    }
    if (!input_.empty()) return;
    if (!live.command.empty() && !view.pids.empty()) {
        throw Failure(Exit::usage, "-p and a command can't be combined", "omit one of them");
    }
    if (live.command.empty() && !user_.empty()) {
        throw Failure(Exit::usage, "--user needs a command", "add '-- COMMAND'");
    }
}

std::unique_ptr<Source> FdLens::open(const ViewOptions& view, const LiveOptions& live) {
    check_options(view, live);
    if (!input_.empty()) {
        const bool arguments =
            selection_.decode_all || wanted_operations_.on() || selected(Role::arguments) || !live.record.empty();
        auto log = std::make_unique<StraceLog>(input_, arguments, goes_to_terminal(view.output));
        log_ = log.get();
        resolver().set_recorded();
        return log;
    }
    SyscallProbe::Options options;
    Fd cgroup;
    ViewOptions of_tasks = view;
    of_tasks.pids.clear();  // processes are followed, not filtered
    if (replay_filters_) of_tasks.min_ns = replay_filters_->min_ns;
    if (live.uid || !live.cgroup.empty()) fault_filters_.reset();  // whose a wait is, is known only in the kernel
    if (fault_filters_) fault_filters_->pids.clear();
    options.filter = task_filters(of_tasks, live, cgroup);
    options.cgroup_fd = cgroup.get();
    if (wanted_operations_.on()) wanted_operations_.choose(options, selection_);
    selection_.choose(options);
    follow_processes(options, view.pids);
    if (options.follow.empty() && live.command.empty()) own_output_.emplace(options, view.output);
    options.ring_bytes = ring_bytes(live);
    options.max_threads = static_cast<u32>(live.max_inflight.value_or(options.max_threads));
    require_tracing();
    if (!options.follow.empty() || !live.command.empty()) require_own_proc();
    tracing_ = std::make_unique<Tracing>();
    if (!live.command.empty()) tracing_->hold_command(live.command, user_, preserve_env_, options);
    if (options.libc_operations != 0) tracing_->add_libc(options);
    std::vector<Record> facts = tracing_->attach(options, why_.has_value());
    if (own_output_) own_output_->leave_readers_out(tracing_->calls());
    if (wanted_operations_.on()) {
        facts = operations_.starts(tracing_->has_command() ? std::vector<u32>() : options.follow);
    }
    tracing_->forget_ended(options.follow);
    min_ns_ = options.map_facts ? options.filter.min_ns : 0;
    replay_filters_.reset();  // the kernel applies the filters
    tracing_->start_command();
    RingSource::Probes source = tracing_->source(!options.follow.empty());
    source.before = std::move(facts);
    source.tidy = [this] {
        tracing_->calls().drop_ended_requests();
        resolver().age([this] { tracing_->begin_period(); },
                       [this] {
                           operations_.age();
                           return tracing_->names_in_flight();
                       });
    };
    return std::make_unique<RingSource>(std::move(source));
}

/// Applies to a replay the filters that the kernel applies to a live run.
bool FdLens::asked_for(const iolens_call_event& e, const ViewOptions& f) const {
    if (!selection_.includes(e.call)) return false;
    FilterSubject subject{.tgid = e.tgid, .tid = e.tid};
    const Tasks::Task* task = f.comm.empty() ? nullptr : resolver().tasks().find(host_tid(e));
    if (task != nullptr) subject.comm = task->comm;
    if (!call_is_unended(e)) subject.duration_ns = call_time_ns(e);
    return passes(f, subject);
}

DecodeResult FdLens::take(const iolens_header& record, RowBuffer& row) {
    if (record.kind == IOLENS_KIND_CLOCK) return take_deferred(record.ts, row);
    last_ts_ = std::max(last_ts_, record.ts);
    if (const auto taken = learn(record)) {
        const auto* task = decoder_.as<iolens_task_fact>(record, IOLENS_KIND_TASK);
        if (why_ && task != nullptr && (task->flags & IOLENS_TASK_ENDED) != 0) why_->ended(host_tid(*task), record.ts);
        return *taken;
    }
    if (Why::is_of(record)) {
        const auto fault = why_ ? why_->take(record) : std::nullopt;
        if (fault && shows_fault(*fault)) why_->defer(*fault);
        return DecodeResult::nothing;
    }
    if (record.kind == IOLENS_KIND_OPERATION) return take_operation(record, row);
    const auto* event = decoder_.as<iolens_call_event>(record, IOLENS_KIND_CALL);
    return event == nullptr ? DecodeResult::unknown : take_call(*event, row);
}

/// The kernel applies no filters to page faults, except that their process is followed.
bool FdLens::shows_fault(const iolens_call_event& e) const {
    return fault_filters_ && asked_for(e, *fault_filters_) && !selection_.leaves_out(e) && !of_reader(e.tgid);
}

DecodeResult FdLens::take_operation(const iolens_header& record, RowBuffer& row) {
    if (record.size < sizeof(iolens_operation_event)) return DecodeResult::unknown;
    const iolens_operation_event& event = as_operation(record);
    if (event.op >= IOLENS_OPERATION_COUNT) return DecodeResult::unknown;
    if (!wanted_operations_.on()) return DecodeResult::nothing;  // a replay without --domains
    if (of_reader(event.tgid)) return without_row();
    const iolens_operation_event* operation = operations_.of_record(record, resolver().files());
    if (operation != nullptr && replay_filters_) {
        iolens_call_event as_call{};  // the fields that the filters use
        as_call.h = operation->h;
        as_call.start = operation->start;
        as_call.tgid = operation->tgid;
        as_call.tid = operation->tid;
        as_call.host_tid = operation->host_tid;
        as_call.call = operation->call;
        if (!asked_for(as_call, *replay_filters_)) return without_row();
    }
    return show_operation(operation, row);
}

DecodeResult FdLens::take_call(const iolens_call_event& e, RowBuffer& row) {
    const iolens_call_event* event = &e;
    const bool pending = (event->flags & IOLENS_CALL_PENDING) != 0;
    bool shown = true;  // in a row, not only in the summary
    if (pending && !unfinished_) return DecodeResult::nothing;
    if (of_reader(event->tgid)) return without_row(pending);
    if (event->direction == IOLENS_DIR_NONE && !wanted_operations_.on()) {
        call_ = *event;
        const bool of_log = event->h.cpu == IOLENS_NO_CPU;  // the import knows the mappings
        if (!of_log) resolver().mappings().take(call_);
        event = &call_;
        const Syscall* call = find_syscall(event->call);
        const bool of_memory = call != nullptr && event->file == IOLENS_FILE_NONE &&
                               (call->name == "munmap" || (of_log && call->info.shape == IOLENS_SHAPE_MAP));
        // of a log, a call that this version does not know; otherwise a request
        const bool io = call == nullptr ? event->call != IOLENS_NO_CALL : call->is_io() && !of_memory;
        shown = io || selection_.decode_all || !selection_.chosen.empty();
        // the call may be traced only for its requests, or for what other rows need
        if (!selection_.includes(event->call)) {
            if (selection_.by_open && call != nullptr && selection_.needs(*call)) add(*event, row.text);
            return without_row(pending);
        }
        if (!shown && (!selection_.files || of_memory)) return without_row(pending);
        if (!call_is_unended(*event) && call_time_ns(*event) < min_ns_) return without_row();
    }
    if (replay_filters_ && !asked_for(*event, *replay_filters_)) return without_row(pending);
    if (wanted_operations_.on()) return show_operation(operation_of(*event), row);
    if (selection_.leaves_out(*event)) return without_row(pending);
    if (selection_.summing && !why_) add(*event, row.text);
    if (selection_.seed_csv && selection_.decode_all) add_prefix_line(*event, row);
    if (selection_.decode_all) resolver().arguments().spent(host_tid(*event));
    if (selection_.seed_csv && event->direction == IOLENS_DIR_NONE) {
        shown = selection_.summing || selection_.decode_all;  // in the summary or in the prefix line
        return shown ? DecodeResult::nothing : without_row(pending);
    }
    if (!shown) return DecodeResult::nothing;
    if (why_) {
        why_->defer(*event);
        return DecodeResult::nothing;
    }
    if (log_ != nullptr) resolver().set_log_clock(log_->import().clock());
    return fill({.event = &event->h}, row);
}

/// Adds iomonitor's line before the rows of a call: one line even if the call has two rows.
void FdLens::add_prefix_line(const iolens_call_event& e, RowBuffer& row) {
    const std::tuple<u32, u64, u32> which{host_tid(e), e.start, e.sequence};
    if (which == line_of_) return;
    line_of_ = which;
    Buffer line;
    append_prefix_line(line, e, resolver(), row.text);
    row.prefix_line = row.text.copy(line);
}

/// Makes a row of the next call of --why whose hold time has passed.
DecodeResult FdLens::take_deferred(u64 now_ns, RowBuffer& row) {
    if (!why_) return DecodeResult::nothing;
    const iolens_call_event* event = why_->release(std::max(now_ns, last_ts_));
    if (event == nullptr) return DecodeResult::nothing;
    RawRow raw{.event = &event->h};
    if (selected(Role::json)) {
        Buffer out;
        why_->append_report(out);
        raw.json = Value(row.text.copy(out));
    }
    if (why_lines_) row.detail_lines = why_->lines();
    return fill(raw, row);
}

void FdLens::add(const iolens_call_event& e, RowArena& text) {
    const Value file = resolver().file_of(with_ipv4(e), text);
    const std::string_view name = file.is_null() ? std::string_view("?") : file.text();
    if (selection_.by_open) {
        opens_.add(e, name);
    } else {
        totals_.add(e, name);
    }
}

/// Converts a call to an operation, with its arguments.
const iolens_operation_event* FdLens::operation_of(const iolens_call_event& e) {
    const iolens_operation_event* operation =
        operations_.of_call(e, resolver().arguments().find(host_tid(e)), resolver().files());
    resolver().arguments().spent(host_tid(e));
    return operation;
}

DecodeResult FdLens::show_operation(const iolens_operation_event* e, RowBuffer& row) {
    if (e == nullptr) return DecodeResult::nothing;
    if (selection_.failed && (e->error == 0 || is_unended(*e))) return without_row();
    if (selection_.summing) operations_.add(*e);
    return fill({.event = &e->h}, row);
}

Summary FdLens::summary(bool /*restart*/) {
    if (wanted_operations_.on()) return operations_.summary();
    if (why_) return why_->summary();
    return selection_.by_open ? opens_.summary() : totals_.summary();
}

Loss FdLens::losses(const iolens_loss& ledger) const {
    Loss loss = count_losses(ledger.n, fd_loss_counters(), without_row_count());
    if (tracing_) {
        loss.note_beside("waits_full", "wait", "more threads than --max-inflight", tracing_->lost_waits());
    }
    if (log_ != nullptr) note_log_losses(loss, log_->import());
    return loss;
}

std::vector<std::string> FdLens::diagnostics() const {
    if (!tracing_) return {};
    std::vector<std::string> items{ledger_line(losses(tracing_->calls().ledger()))};
    std::ranges::move(tracing_->diagnostics(), std::back_inserter(items));
    std::ranges::move(resolver().diagnostics(), std::back_inserter(items));
    if (why_) items.push_back(fmt::format("evicted: {} waits", why_->waits_evicted()));
    if (const auto& why_not = tracing_->calls().why(); !why_not.empty())
        items.push_back(fmt::format("variants not used: {}", fmt::join(why_not, "; ")));
    return items;
}

}  // namespace

std::unique_ptr<Lens> make_fd_lens() { return std::make_unique<FdLens>(); }

}  // namespace iolens
