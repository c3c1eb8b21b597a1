// SPDX-License-Identifier: Apache-2.0
// iolens file: accesses to files, at the VFS and at the block level.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/decode.h"
#include "base/failure.h"
#include "iolens/event/vfs.h"
#include "lens/columns.h"
#include "lens/file/order.h"
#include "lens/file/profile.h"
#include "lens/file/serve/verbs.h"
#include "lens/file/watch.h"
#include "lens/filter.h"
#include "lens/lens.h"
#include "lens/loss.h"
#include "probe/kernel_btf.h"
#include "probe/symbols.h"
#include "probe/syscalls.h"
#include "probe/vfs.h"
#include "sink/formats.h"

namespace iolens {
namespace {

class FileLens final : public Lens {
public:
    const LensInfo& info() const override;

    void add_options(Flags& view, Flags* live) override {
        add_level_flag(view, level_);
        view.toggle("--absolute", absolute_,
                    "count sectors from the start of the disk instead of the filesystem's device");
        if (live == nullptr) return;
        live->toggle("-r,--recursive", recursive_, "also trace files in directories below PATH");
        live->toggle("--no-follow-name", no_follow_name_,
                     "trace only the files that PATH names now, not those that replace them");
        live->number("--max-files", max_files_, 1, 1 << 22, "N",
                     "watch at most N files at a time (default 65536); new files in watched directories evict others");
    }

    View prepare(const ViewOptions& view) override;
    std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) override;
    DecodeResult take(const iolens_header& record, RowBuffer& row) override;
    Summary summary(bool restart) override;
    Loss losses(const iolens_loss& ledger) const override;
    std::vector<std::string> diagnostics() const override;
    std::vector<ProbeStatus> examine(bool variants) const override { return VfsProbe::examine(variants); }

private:
    [[nodiscard]] static bool asked_for(const iolens_vfs_event& e, const ViewOptions& f);
    void begin_log(u64 ns);
    void leave_out_output(const ViewOptions& view);
    DecodeResult take_in_order(u64 now_ns, RowBuffer& row);
    DecodeResult fill_row(const iolens_vfs_event& event, RowBuffer& row);

    std::string level_;
    bool absolute_ = false;
    bool recursive_ = false;
    bool no_follow_name_ = false;
    std::optional<u64> max_files_;
    u32 ops_ = 0;  // bit (1 << op)
    Levels levels_;
    bool iotracer_ = false;
    bool summing_ = false;
    bool unfinished_ = false;  // also rows for accesses still in flight when tracing ends
    bool began_ = false;       // iotracer's log has begun
    std::optional<ViewOptions> replay_filters_;
    std::unique_ptr<VfsProbe> probe_;
    std::unique_ptr<Watches> watches_;
    FileProfiles totals_;
    Decoder decoder_;
    iolens_vfs_event access_{};          // event of the current record, if it is not the record's own
    iolens_vfs_event absolute_event_{};  // event of the current row, with --absolute
    StartOrder order_;                   // rows of iotracer's format
    bool late_logged_ = false;
};

const LensInfo& FileLens::info() const {
    static constexpr std::array types{RowType{.name = "file", .columns = vfs_columns}};
    static constexpr auto log_columns = columns_for(iotracer_needs, iotracer_columns);
    static constexpr std::array fixed_formats{FixedFormat(format_named("iotracer"), log_columns)};
    static constexpr LensInfo file{
        .name = "file",
        .about = "trace accesses to files, at the VFS and at the block level, in one timeline",
        .examples =
            "iolens file /var/lib/db/data  show reads and writes of a file, and the bios that they become\n"
            "iolens file --recursive /srv  trace every file in a tree, also those created later\n"
            "iolens file --level vfs --min-ms 5 /srv/*  show accesses that took 5 ms or more\n"
            "iolens file --op read,write,fsync,fault x  also show fsync and page faults of mappings\n"
            "iolens file --summary -o /dev/null -D 60 db  profile a minute: sizes, sequential or random, percentiles\n"
            "iolens file --format iotracer vm.qcow2  write lines as in iotracer's log",
        .arguments = "PATH...",
        .arguments_help = "files to trace; a directory stands for the files in it",
        .row_types = types,
        .fixed_formats = fixed_formats,
        .option_help = {.pid = "only accesses by these processes (up to 16)",
                        .tid = "only accesses by this thread",
                        .comm = "only accesses by threads of this name (the first 15 bytes count)",
                        .ops = "only these operations: read, write, fsync, fault, discard (default read,write)",
                        .min_time = "only accesses that took MS milliseconds or more (or with a unit: 500us, 2s)",
                        .unfinished = "also show accesses that are in flight when tracing ends, without a latency "
                                      "(table and json)",
                        .summary = "print totals and percentiles per file and level at the end (default on a "
                                   "terminal)",
                        .cgroup = "only accesses from this cgroup v2 directory or below",
                        .uid = "only accesses by this user's processes",
                        .max_inflight = "track at most N accesses in flight (default 32768)"},
        .make_verbs = make_file_verbs,
    };
    return file;
}

View FileLens::prepare(const ViewOptions& view) {
    const Format format = view.format != nullptr ? view.format : info().default_format;
    ops_ = operation_bits(view.ops, vfs_ops);
    levels_ = levels_of(level_);
    iotracer_ = format == format_named("iotracer");
    constexpr u32 moves = 1U << IOLENS_VFS_READ | 1U << IOLENS_VFS_WRITE;
    if (iotracer_ && (ops_ & ~moves) != 0) {
        throw Failure(Exit::usage, "iotracer's log has only reads and writes", "omit --format or --op");
    }
    if (ops_ == 0 && (!view.replayed || iotracer_)) ops_ = moves;
    if (!view.summary_by.empty() && view.summary_by != "true") {
        throw Failure(Exit::usage, fmt::format("--summary={} does not apply to files", visible(view.summary_by)),
                      "--summary is per file and level");
    }
    summing_ = view.summary;
    unfinished_ = view.unfinished;
    replay_filters_ = view;
    if (view.replayed) resolver().set_recorded();
    if (iotracer_) {
        if (!view.columns.empty()) {
            throw Failure(Exit::usage, "iotracer's format has fixed columns", "use --format csv or table");
        }
        if (view.ns) {
            throw Failure(Exit::usage, "iotracer's format has no column for --ns", "use --format csv or table");
        }
        const Columns fixed = fixed_columns(info(), format);
        return {.format = format, .type = info().row_types.front(), .columns = {fixed.begin(), fixed.end()}};
    }
    std::vector<std::string> names = view.columns;
    if (names.empty() && format == table_format) {
        names = {view.wall ? "unix_ns" : "time_ns", "level", "rw", "address", "bytes", "duration_ns", "comm", "pid"};
        if (view.verbose) names.insert(names.end(), {"tid", "requested", "disk", "dev", "ino", "error"});
        names.emplace_back("file");
    } else if (names.empty()) {
        names = names_of(vfs_columns);
    }
    place_host_pid(names, view);
    return {.format = format, .type = info().row_types.front(), .columns = choose_columns(vfs_columns, names)};
}

/// Excludes the output file: rows in a watched directory would cause more rows.
void FileLens::leave_out_output(const ViewOptions& view) {
    const std::string path = view.output.empty() ? "/proc/self/fd/1" : view.output;
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    probe_->watch(watches_->find(path).what.id, {});
}

std::unique_ptr<Source> FileLens::open(const ViewOptions& view, const LiveOptions& live) {
    if (live.arguments.empty()) {
        throw Failure(Exit::usage, "missing PATH",
                      "'iolens file PATH' traces a file or directory; 'iolens file --help' has examples");
    }
    VfsProbe::Options options;
    Fd cgroup;
    options.filter = task_filters(view, live, cgroup);
    options.cgroup_fd = cgroup.get();
    options.filter.ops = ops_;
    options.ring_bytes = ring_bytes(live);
    options.max_inflight = static_cast<u32>(live.max_inflight.value_or(options.max_inflight));
    options.max_files = static_cast<u32>(max_files_.value_or(65536)) + 1;  // plus the output file
    options.vfs = levels_.vfs;
    options.blk = levels_.blk;
    options.directories = false;
    options.max_names = 0;
    for (const std::string& word : live.arguments) {
        struct stat info{};
        if (::stat(word.c_str(), &info) != 0) continue;
        options.directories = options.directories || S_ISDIR(info.st_mode);
        options.max_names += no_follow_name_ || S_ISDIR(info.st_mode) ? 0 : 1;
    }
    options.follow_names = options.max_names != 0;
    if (options.directories || options.follow_names)
        options.depth = options.directories && recursive_ ? IOLENS_WATCH_DEPTH : 1;
    require_tracing();
    const auto types = kernel_btf();  // shared by both probes
    probe_ = std::make_unique<VfsProbe>(options);
    watches_ = std::make_unique<Watches>(*probe_, options.follow_names);
    leave_out_output(view);
    for (const std::string& word : live.arguments) watches_->add(watches_->find(word), recursive_);
    watches_->complete(options);
    if ((ops_ & 1U << IOLENS_VFS_FAULT) != 0 && levels_.vfs && !probe_->sees_faults()) {
        log_line("this kernel does not show faults of mapped pages; 'iolens doctor' tells why");
    }
    if (levels_.blk && kernel_addresses_hidden()) log_line(no_direct_files);
    replay_filters_.reset();  // the kernel applies the filters
    begin_log(clock_ns(CLOCK_BOOTTIME));
    RingSource::Probes source = watches_->source();
    source.tidy = [this, tidy = std::move(source.tidy)] {
        tidy();
        resolver().age([this] { watches_->begin_period(); }, [this] { return watches_->names_in_flight(); });
    };
    return std::make_unique<RingSource>(std::move(source));
}

/// Applies to a replay the filters that the kernel applies to a live run.
bool FileLens::asked_for(const iolens_vfs_event& e, const ViewOptions& f) {
    FilterSubject subject{.tgid = e.tgid, .tid = e.tid, .comm = text_of(e.comm)};
    if (!vfs_has(e, IOLENS_VFS_NO_END)) subject.duration_ns = e.h.ts - e.start;
    return passes(f, subject);
}

/// Sets the time that the times of iotracer's lines count from.
void FileLens::begin_log(u64 ns) {
    began_ = true;
    resolver().set_log_start(ns);
}

/// The next row of iotracer's format that is due.
DecodeResult FileLens::take_in_order(u64 now_ns, RowBuffer& row) {
    const iolens_vfs_event* event = iotracer_ ? order_.release(now_ns) : nullptr;
    if (event == nullptr) return DecodeResult::nothing;
    if (!began_) begin_log(event->start);
    return fill_row(*event, row);
}

DecodeResult FileLens::fill_row(const iolens_vfs_event& event, RowBuffer& row) {
    if (!absolute_ || event.level != IOLENS_LEVEL_BLK) return fill({.event = &event.h}, row);
    absolute_event_ = event;
    absolute_event_.first_sector = 0;
    return fill({.event = &absolute_event_.h}, row);
}

DecodeResult FileLens::take(const iolens_header& record, RowBuffer& row) {
    if (record.kind == IOLENS_KIND_CLOCK) return take_in_order(record.ts, row);
    if (const auto taken = learn(record)) return *taken;
    const iolens_vfs_event* event = access_of(record, resolver().tasks(), decoder_, access_);
    if (event == nullptr) {
        const auto* call = decoder_.as<iolens_call_event>(record, IOLENS_KIND_CALL);  // not an access to file contents
        return call != nullptr ? without_row((call->flags & IOLENS_CALL_PENDING) != 0) : DecodeResult::unknown;
    }
    if (event->name_id != 0) resolver().files().named(event->id, event->name_id);
    const bool level = event->level == IOLENS_LEVEL_BLK ? levels_.blk : levels_.vfs;
    const bool op = ops_ == 0 || (event->op < IOLENS_VFS_OPS && (ops_ >> event->op & 1U) != 0);
    const bool pending = vfs_has(*event, IOLENS_VFS_PENDING);
    if (pending && !unfinished_) return DecodeResult::nothing;
    if (!level || !op || (replay_filters_ && !asked_for(*event, *replay_filters_))) return without_row(pending);
    if (summing_) totals_.add(*event, resolver().file_of(event->id, event->name_id).text());
    if (!iotracer_) return fill_row(*event, row);
    order_.add(*event);
    if (order_.late() == 1 && !std::exchange(late_logged_, true)) {
        log_line("a line is not in the order of starts: its access took longer than 1 s, or 65536 others ended first");
    }
    return DecodeResult::nothing;
}

Summary FileLens::summary(bool /*restart*/) {
    Summary sum = totals_.summary();
    sum.report = totals_.report();
    return sum;
}

Loss FileLens::losses(const iolens_loss& ledger) const {
    static constexpr std::array counters{
        LossCounter{.counter = &iolens_counters::state_full,
                    .key = "state_full",
                    .item = "access",
                    .cause = "more in flight than --max-inflight"},
        LossCounter{.counter = &iolens_counters::requests_full,
                    .key = "requests_full",
                    .item = "libaio or io_uring request",
                    .cause = "more in flight than --max-inflight",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::ambiguous,
                    .key = "ambiguous",
                    .item = "io_uring completion",
                    .cause = "several requests in flight with one user_data",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::frames_full,
                    .key = "frames_full",
                    .item = "access",
                    .cause = "more in kretprobes than --max-inflight",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::not_decoded,
                    .key = "not_decoded",
                    .item = "call",
                    .cause = "of 32-bit programs, not decoded",
                    .in_state_full = true},
    };
    Loss loss = count_losses(ledger.n, counters, without_row_count());
    if (probe_)
        loss.note_beside("files_full", "file", "not watched, more in watched directories than --max-files",
                         probe_->unwatched_files());
    return loss;
}

std::vector<std::string> FileLens::diagnostics() const {
    if (!probe_) return {};
    const iolens_loss ledger = probe_->ledger();
    std::vector<std::string> items{ledger_line(losses(ledger))};
    if (const u64 replaced = probe_->replaced(); replaced != 0) {
        items.push_back(fmt::format("files that replaced another one under a watched name: {}", replaced));
    }
    if (const u64 evicted = probe_->evicted(); evicted != 0) {
        items.push_back(fmt::format("files of watched directories that were evicted: {}", evicted));
    }
    if (order_.late() != 0) {
        items.push_back(fmt::format("lines that are not in the order of starts: {}", order_.late()));
    }
    std::ranges::move(resolver().diagnostics(), std::back_inserter(items));
    if (!probe_->why().empty()) items.push_back(fmt::format("variants not used: {}", fmt::join(probe_->why(), "; ")));
    return items;
}

}  // namespace

std::unique_ptr<Lens> make_file_lens() { return std::make_unique<FileLens>(); }

}  // namespace iolens
