// SPDX-License-Identifier: Apache-2.0
// iolens block: traces block requests: which process issued each, on which disk, and how long it took.
#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "base/decode.h"
#include "base/failure.h"
#include "base/suggest.h"
#include "base/text.h"
#include "iolens/event/block.h"
#include "lens/block/totals.h"
#include "lens/columns.h"
#include "lens/filter.h"
#include "lens/lens.h"
#include "lens/loss.h"
#include "probe/block.h"
#include "probe/symbols.h"
#include "resolve/extra_targets.h"
#include "resolve/target.h"
#include "source/ring.h"
#include "stats/pattern.h"

namespace iolens {
namespace {

/// Keys of --group-by.
constexpr std::array<std::string_view, 5> group_keys{"file", "author", "comm", "cgroup", "disk"};

constexpr const Column& column_named(std::string_view name) {
    return *std::ranges::find(block_columns, name, &Column::name);
}
constexpr Column with_role(Column column, Role role) {
    column.role = role;
    return column;
}
/// Variants of columns for a table, which also show that there are further targets. Clients of --socket get the plain
/// columns of the same row.
constexpr Column table_file = with_role(column_named("file"), Role::file_and_more);
constexpr Column table_author = with_role(column_named("author"), Role::author_and_more);

class BlockLens final : public Lens {
public:
    const LensInfo& info() const override;

    void add_options(Flags& flags, Flags* /*live*/) override {
        flags.toggle("-Q,--queue", queue_, "show the time from creation to issue, QUE(ms)");
        flags.toggle("-P,--pattern", pattern_,
                     "show whether a request starts where the previous one on its disk ended (S) or not (R)");
        flags.toggle("--no-file", no_file_, "skip file attribution: no FILE column, less overhead");
        flags.text("--group-by", group_by_, "KEY", "summarize per file, author, comm, cgroup or disk");
        flags.number("--top", top_, 1, 1'000'000, "N",
                     "with --group-by: show the N groups with the most device time (default 20)");
        flags.toggle("--hist", hist_,
                     "show how device times are distributed, per disk and operation or with --group-by; with -Q, "
                     "times include the queue time");
        flags.toggle("-A,--author", author_, "for writeback, show which process dirtied the pages (always in JSON)");
        flags.text("-d,--disk", disk_, "DISK", "only requests to this disk, partition or device-mapper device");
    }

    View prepare(const ViewOptions& view) override;
    std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) override;
    DecodeResult take(const iolens_header& record, RowBuffer& row) override;
    Summary summary(bool restart) override;
    Loss losses(const iolens_loss& ledger) const override;
    std::vector<std::string> diagnostics() const override;
    std::vector<ProbeStatus> examine(bool /*variants*/) const override { return BlockProbe::examine(); }

private:
    bool asked_for(const iolens_block_event& e, const ViewOptions& f, RowArena& text);
    void add(const iolens_block_event& e, RowArena& text);
    void begin_summary();
    Value pattern_of(const iolens_block_event& e);
    std::string_view group_of(const iolens_block_event& e, const iolens_block_target& target, RowArena& text);
    Value targets_json(const iolens_block_event& e, RowArena& text);
    /// Can a merged request have several values of the --group-by key?
    [[nodiscard]] bool of_target() const { return group_by_ == "file" || group_by_ == "author"; }

    bool queue_ = false;
    bool pattern_ = false;
    bool no_file_ = false;
    bool author_ = false;
    std::string disk_;
    u32 ops_ = 0;  // bit (1 << op); 0 = all
    std::optional<ViewOptions> replay_filters_;
    std::unique_ptr<BlockProbe> probe_;
    Decoder decoder_;
    ExtraTargets waiting_;
    const iolens_extra_targets* extra_targets_ = nullptr;  // of the current row
    std::array<u64, IOLENS_TARGET_KINDS> target_kinds_{};  // number of rows by target kind
    Pattern access_;
    DiskTotals totals_;
    std::optional<GroupTotals> groups_;
    std::string group_by_;
    bool hist_ = false;
    bool totals_only_ = false;  // the BPF programs add up requests, and send no events
    std::optional<u64> top_;
    bool summing_ = false;
    bool restart_ = false;  // the next request starts a new summary
    bool unfinished_ = false;
};

const LensInfo& BlockLens::info() const {
    static constexpr std::array types{RowType{.name = "block", .columns = block_columns}};
    static constexpr LensInfo block{
        .name = "block",
        .about = "trace block I/O: who issued each request, for which file and disk, and how long it took",
        .examples =
            "iolens block  trace every request until Ctrl-C\n"
            "iolens block -Q -d nvme0n1 10  trace one disk for 10 seconds, with queue times\n"
            "iolens block -m 5 --op read  show reads that took the device 5 ms or more\n"
            "iolens block -p 1234 --format json  show the I/O of one process as JSON lines\n"
            "iolens block --record day.iol 60  record a minute for 'iolens replay day.iol'\n"
            "iolens block -A --op write  show who dirtied the pages that are written back\n"
            "iolens block --summary -o /dev/null  print only totals and percentiles\n"
            "iolens block --hist 10  show how device times are distributed, per disk and operation\n"
            "iolens block --group-by file --interval 5  show every 5 seconds which files keep the disks busy",
        .row_types = types,
        .option_help = {.ops = "only these operations, such as read, write, flush or discard",
                        .min_time = "only requests with a device time of MS milliseconds or more (or with a unit: "
                                    "500us, 2s)",
                        .unfinished = "also show requests that are in flight when tracing ends, without a latency "
                                      "(table and json)",
                        .summary = "print totals and percentiles per disk and operation at the end (default on a "
                                   "terminal)",
                        .interval = "print a summary every SECONDS (or with a unit: 500ms) instead of rows; redraw "
                                    "it on a terminal",
                        .max_inflight = "make room for N requests in flight (default 32768)"},
    };
    return block;
}

View BlockLens::prepare(const ViewOptions& view) {
    const Format format = view.format != nullptr ? view.format : info().default_format;
    ops_ = operation_bits(view.ops, block_ops);
    summing_ = view.summary || hist_;
    totals_ = DiskTotals(queue_);
    unfinished_ = view.unfinished;
    if (!view.summary_by.empty() && view.summary_by != "true") {
        throw Failure(Exit::usage,
                      fmt::format("--summary={} does not apply to block requests", visible(view.summary_by)),
                      "--summary is per disk and operation; --group-by groups by something else");
    }
    if (!group_by_.empty()) {
        if (std::ranges::find(group_keys, std::string_view(group_by_)) == group_keys.end()) {
            throw Failure(Exit::usage, unknown_name("--group-by key", group_by_, group_keys),
                          list_names("keys", group_keys));
        }
        if (!summing_) {
            throw Failure(Exit::usage, "--group-by needs a summary", "add --summary, --interval or --hist");
        }
        if (no_file_ && of_target()) {
            throw Failure(Exit::usage, fmt::format("--group-by {} needs file attribution", group_by_),
                          "omit --no-file");
        }
        groups_.emplace(group_by_, static_cast<std::size_t>(top_.value_or(20)), queue_);
    }
    replay_filters_ = view;
    if (view.replayed) resolver().set_recorded();
    if (author_ && no_file_) {
        throw Failure(Exit::usage, "--author needs file attribution", "omit --author or --no-file");
    }
    author_ = author_ || (format == json_format && !no_file_);

    std::vector<std::string> names = view.columns;
    if (names.empty() && format == table_format) {
        names = {view.wall ? "unix_ns" : "time_ns", "comm", "pid"};
        if (view.verbose) names.emplace_back("tid");
        names.insert(names.end(), {"disk", "rwbs", "sector", "bytes"});
        if (pattern_) names.emplace_back("pattern");
        if (queue_ || view.verbose) names.emplace_back("queue_ns");
        names.emplace_back("device_ns");
        if (view.verbose || view.unfinished) names.emplace_back("end");
        if (view.verbose) names.insert(names.end(), {"requeues", "bios", "cgroup_id", "error"});
        if (author_) names.insert(names.end(), {"author", "author_pid"});
        if (view.verbose && !no_file_) names.emplace_back("file_how");
        if (!no_file_) names.emplace_back("file");
    } else if (names.empty()) {
        for (const Column& column : block_columns) {
            if (no_file_ && column.name == "file_kind") break;  // the remaining columns are about files
            if (!author_ && column.name.starts_with("author")) continue;
            if (column.role == Role::json && format != json_format) continue;
            if (column.role != Role::pattern || pattern_) names.emplace_back(column.name);
        }
    }
    place_host_pid(names, view);
    std::vector<const Column*> chosen = choose_columns(block_columns, names);
    if (format == table_format) {
        std::ranges::replace(chosen, &column_named("file"), &table_file);
        std::ranges::replace(chosen, &column_named("author"), &table_author);
    }
    return {.format = format,
            .type = info().row_types.front(),
            .columns = std::move(chosen),
            .summary_type = hist_ ? "histogram" : ""};
}

std::unique_ptr<Source> BlockLens::open(const ViewOptions& view, const LiveOptions& live) {
    BlockProbe::Options options;
    Fd cgroup;
    options.filter = task_filters(view, live, cgroup);
    options.cgroup_fd = cgroup.get();
    options.filter.ops = ops_;
    if (!disk_.empty()) {
        const std::optional<Disk> disk = resolver().disks().find(disk_);
        if (!disk) {
            const std::vector<std::string> names = resolver().disks().all_names();
            const std::vector<std::string_view> views(names.begin(), names.end());
            throw Failure(Exit::usage, unknown_name("disk", disk_, views),
                          "'lsblk' lists disks, partitions and device-mapper devices");
        }
        options.filter.by_dev = 1;
        options.filter.dev = disk->whole_dev;
        if (disk->is_partition()) {
            options.filter.part_dev = disk->dev;
            options.filter.sector_first = disk->first_sector;
            options.filter.sector_end = disk->first_sector + disk->sector_count;
        }
    }
    options.ring_bytes = ring_bytes(live);
    totals_only_ = summing_ && !groups_ && nothing_selected() && live.record.empty() && !view.count;
    options.totals_only = totals_only_;
    if (hist_) options.log2 = queue_ ? IOLENS_LOG2_BOTH : IOLENS_LOG2_DEVICE;
    options.attribute = !no_file_ && !totals_only_;
    // a recording needs everything that a replay may select
    options.partition = !live.record.empty() || std::ranges::find(view.columns, "partition") != view.columns.end();
    options.authored = author_ || group_by_ == "author" || !live.record.empty() ||
                       std::ranges::any_of(view.columns, [](const std::string& n) { return n.starts_with("author"); });
    options.max_inflight = static_cast<u32>(live.max_inflight.value_or(options.max_inflight));
    require_tracing();
    probe_ = std::make_unique<BlockProbe>(options);
    if (options.attribute && kernel_addresses_hidden()) log_line(no_direct_files);
    replay_filters_.reset();  // the kernel applies the filters
    return std::make_unique<RingSource>(RingSource::Probes{
        .ring_fd = probe_->ring_fd(),
        .detach = [this] { probe_->detach(); },
        .ledger = [this] { return probe_->ledger(); },
        .tidy =
            [this] {
                resolver().age([this] { probe_->begin_period(); }, [this] { return probe_->names_in_flight(); });
            },
        .unfinished = [this] { return probe_->unfinished(); },
    });
}

/// Applies to a replay the filters that the kernel applies to a live run.
bool BlockLens::asked_for(const iolens_block_event& e, const ViewOptions& f, RowArena& text) {
    FilterSubject subject{.tgid = e.tgid, .tid = e.tid, .comm = text_of(e.comm)};
    subject.task_known = !block_has(e, IOLENS_BLOCK_NO_CREATOR);
    if (!block_has(e, block_no_latency)) subject.duration_ns = e.device_ns;
    if (!passes(f, subject)) return false;
    if (ops_ != 0 && (e.op >= IOLENS_OP_COUNT || (ops_ >> e.op & 1U) == 0)) return false;
    return disk_.empty() || resolver().disks().name(e.dev) == disk_ || resolver().partition_of(e, text) == disk_;
}

/// The targets as JSON; null if there is only one target or the others are unknown.
Value BlockLens::targets_json(const iolens_block_event& e, RowArena& text) {
    if (extra_targets_ == nullptr) return {};
    Buffer out;
    u64 rest = e.bytes - std::min<u64>(e.bytes, extra_targets_->others);
    for (const iolens_extra_target& extra : targets_in(*extra_targets_)) rest -= std::min(rest, extra.bytes);
    const auto add = [&](const iolens_block_target& t, u64 bytes) {
        append(out, out.size() == 0 ? "[{\"file\":" : ",{\"file\":");
        append_json_or_null(out, resolver().target_of(t, text).text());
        append(out, ",\"file_kind\":");
        append_json_or_null(out, target_kind_word(t.kind).text());
        if (t.id.dev != 0) {
            fmt::format_to(std::back_inserter(out), R"(,"file_dev":"{}:{}")", t.id.dev >> 20, t.id.dev & 0xfffff);
        }
        if (t.kind == IOLENS_TARGET_FILE) {
            fmt::format_to(std::back_inserter(out), R"(,"ino":{},"generation":{})", t.id.ino, t.id.generation);
        }
        append_author_json(out, t);
        fmt::format_to(std::back_inserter(out), R"(,"bytes":{}}})", bytes);
    };
    add(e.target, rest);
    constexpr std::size_t max = 7;  // in addition to the first one
    const auto extras = targets_in(*extra_targets_);
    for (const iolens_extra_target& extra : extras.first(std::min(extras.size(), max))) add(extra.target, extra.bytes);
    append(out, "]");
    return Value(text.copy(out));
}

DecodeResult BlockLens::take(const iolens_header& record, RowBuffer& row) {
    if (const auto taken = learn(record)) return *taken;
    if (is_extra_targets(record)) {
        return waiting_.add(record, resolver().files()) ? DecodeResult::nothing : DecodeResult::unknown;
    }
    const auto* event = decoder_.as<iolens_block_event>(record, IOLENS_KIND_BLOCK);
    if (event == nullptr) return DecodeResult::unknown;
    const bool pending = block_has(*event, IOLENS_BLOCK_PENDING);
    if (pending && !unfinished_) return DecodeResult::nothing;
    const iolens_block_target& target = event->target;
    if (target.name_id != 0) resolver().files().named(target.id, target.name_id);
    extra_targets_ = waiting_.of(*event);
    if (replay_filters_ && !asked_for(*event, *replay_filters_, row.text)) return without_row(pending);
    if (summing_ && !pending) add(*event, row.text);
    ++target_kinds_.at(target.kind < IOLENS_TARGET_KINDS ? target.kind : u8{IOLENS_TARGET_NONE});

    RawRow raw{.event = &event->h};
    if (selected(Role::pattern)) raw.pattern = pattern_of(*event);
    if (selected(Role::json)) raw.json = targets_json(*event, row.text);
    return fill(raw, row);
}

/// Null for the first access to a disk.
Value BlockLens::pattern_of(const iolens_block_event& e) {
    if (block_has(e, IOLENS_BLOCK_NO_SECTOR)) return {};
    switch (access_.next(e.dev, e.sector, e.sector + e.bytes / 512)) {
        case Pattern::Kind::first: return {};
        case Pattern::Kind::sequential: return Value(std::string_view("S"));
        case Pattern::Kind::random: return Value(std::string_view("R"));
    }
    return {};
}

/// The group that a request is counted in; "" if unknown. Valid until the next row.
std::string_view BlockLens::group_of(const iolens_block_event& e, const iolens_block_target& target, RowArena& text) {
    const bool known = !block_has(e, IOLENS_BLOCK_NO_CREATOR);
    if (group_by_ == "file") {
        return resolver().target_of(target, text).text();
    }
    if (group_by_ == "disk") return resolver().disks().name(e.dev);
    if (group_by_ == "author" && target.authors != 0) return text_of(target.author_comm);
    if (!known) return {};
    if (group_by_ != "cgroup") return text_of(e.comm);
    const std::string_view path = resolver().cgroup_path(e.cgroup_id);
    if (!path.empty()) return path;
    return text.format(FMT_COMPILE("{}"), e.cgroup_id);
}

void BlockLens::add(const iolens_block_event& e, RowArena& text) {
    begin_summary();
    if (groups_) {
        // a merged request counts for its first file, but the bytes of each file count for that file
        u64 rest = e.bytes;
        if (extra_targets_ != nullptr && of_target()) {
            for (const iolens_extra_target& extra : targets_in(*extra_targets_)) {
                groups_->add_bytes(e, group_of(e, extra.target, text), extra.bytes);
                rest -= std::min(rest, extra.bytes);
            }
            rest -= std::min(rest, extra_targets_->others);
            if (extra_targets_->others != 0) groups_->add_bytes(e, {}, extra_targets_->others);
        }
        groups_->add(e, group_of(e, e.target, text), rest);
    } else {
        totals_.add(e, resolver().disks());
    }
}

/// Called before the first request of a summary: clears the previous summary.
void BlockLens::begin_summary() {
    if (!std::exchange(restart_, false)) return;
    totals_.clear();
    if (groups_) groups_->clear();
}

Summary BlockLens::summary(bool restart) {
    begin_summary();
    if (totals_only_) {
        probe_->read_totals([this](const iolens_totals_key& key, const iolens_totals& grown) {
            totals_.add(key, grown, resolver().disks());
        });
    }
    restart_ = restart;  // cleared later: the rows' texts point into the totals
    if (hist_) return groups_ ? groups_->histogram() : totals_.histogram();
    return groups_ ? groups_->summary() : totals_.summary();
}

Loss BlockLens::losses(const iolens_loss& ledger) const {
    static constexpr std::array counters{
        LossCounter{.counter = &iolens_counters::state_full,
                    .key = "state_full",
                    .item = "request",
                    .cause = "more in flight than --max-inflight"},
    };
    return count_losses(ledger.n, counters, without_row_count());
}

std::vector<std::string> BlockLens::diagnostics() const {
    if (!probe_) return {};
    const iolens_loss ledger = probe_->ledger();
    const iolens_counters& n = ledger.n;
    std::vector<std::string> items{
        ledger_line(losses(ledger)),
        fmt::format("started before tracing {}, without a known creator {}, names sent again {}, probe runs skipped {}",
                    n.orphan, n.no_creator, n.fact_lost, ledger.missed)};
    if (!totals_only_) {
        items.push_back(fmt::format("not attributed: submission not seen {}, no pages {}, anonymous pages {}",
                                    target_kinds_[IOLENS_TARGET_NONE], target_kinds_[IOLENS_TARGET_NO_PAGES],
                                    target_kinds_[IOLENS_TARGET_ANONYMOUS]));
    }
    std::ranges::move(resolver().diagnostics(), std::back_inserter(items));
    return items;
}

}  // namespace

std::unique_ptr<Lens> make_block_lens() { return std::make_unique<BlockLens>(); }

}  // namespace iolens
