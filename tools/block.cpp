// SPDX-License-Identifier: Apache-2.0
// iolens block: every block request, who asked for it, where it went, how long it took.
#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <utility>

#include "base/failure.h"
#include "decode/decode.h"
#include "enrich/disks.h"
#include "iolens/event/block.h"
#include "iolens/event/disk.h"
#include "lens.h"
#include "probe/block.h"
#include "reduce/histogram.h"
#include "reduce/pattern.h"
#include "source/ring.h"

namespace iolens {
namespace {

struct Totals {
    u64 requests = 0;
    u64 bytes = 0;
    u64 errors = 0;
    Histogram queue;
    Histogram device;
};

class BlockLens final : public Lens {
public:
    std::string_view name() const override { return "block"; }
    std::string_view about() const override {
        return "every block request, live: who asked for it, which disk did it, how long it took";
    }
    std::string_view examples() const override {
        return "iolens block                          every request until Ctrl-C\n"
               "iolens block -Q -d nvme0n1 10         one disk for 10 seconds, with the time in the queue\n"
               "iolens block -m 5 --op read           reads that took the device 5 ms or more\n"
               "iolens block -p 1234 --format json    what one process asks for, as JSON lines\n"
               "iolens block --record day.iol 60      keep a minute's events for 'iolens replay day.iol'\n"
               "iolens block --summary -o /dev/null   only the totals and percentiles";
    }
    std::span<const Column> columns() const override { return block_columns; }

    void view_flags(Flags& flags) override {
        flags.toggle("-Q,--queue", queue_, "show the time from creation to issue, QUE(ms)");
        flags.toggle("-P,--pattern", pattern_,
                     "show whether a request starts where the disk's last one ended (S) or not (R)");
        flags.text("-d,--disk", disk_, "DISK", "only this disk, partition or device-mapper device");
    }
    void live_flags(Flags& /*flags*/) override {}

    std::vector<const Column*> prepare(const ViewOptions& view) override;
    std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) override;
    Taken take(const iolens_header& head, u64 wall_offset_ns, Columns wanted, std::vector<Value>& row) override;
    Summary summary() const override;
    Loss explain(const iolens_loss& ledger) const override;
    std::vector<std::string> remarks() const override;
    std::vector<ProbeStatus> examine() const override { return BlockProbe::examine(); }

private:
    bool asked_for(const iolens_block_event& e, const ViewOptions& f);
    void add(const iolens_block_event& e);

    bool queue_ = false;
    bool pattern_ = false;
    std::string disk_;
    u32 ops_ = 0;  // bit (1 << op); 0 = all
    std::optional<ViewOptions> replay_filters_;
    std::unique_ptr<BlockProbe> probe_;
    Disks disks_;
    Pattern access_;
    std::map<std::pair<u32, u8>, std::unique_ptr<Totals>> totals_;  // by disk and operation
    bool summing_ = false;
};

std::vector<const Column*> BlockLens::prepare(const ViewOptions& view) {
    for (const std::string& word : view.ops) {
        const auto at = std::ranges::find(block_ops, std::string_view(word), &BlockOpName::word);
        if (at == block_ops.end()) {
            std::string known;
            for (const BlockOpName& op : block_ops) known += (known.empty() ? "" : " ") + std::string(op.word);
            throw Failure(Exit::usage, fmt::format("there is no operation '{}'", visible(word)),
                          "the operations are: " + known);
        }
        ops_ |= 1U << static_cast<unsigned>(at - block_ops.begin());
    }
    summing_ = view.summary;
    if (!view.summary_by.empty() && view.summary_by != "true") {
        throw Failure(Exit::usage, fmt::format("there is no --summary={} of block requests", visible(view.summary_by)),
                      "--summary adds up per disk and operation");
    }
    replay_filters_ = view;

    std::vector<std::string> names = view.columns;
    if (names.empty() && view.format == Format::table) {
        names = {view.wall ? "unix_ns" : "time_ns", "comm", "pid"};
        if (view.verbose) names.emplace_back("tid");
        names.insert(names.end(), {"disk", "rwbs", "sector", "bytes"});
        if (pattern_) names.emplace_back("pattern");
        if (queue_ || view.verbose) names.emplace_back("queue_ns");
        names.emplace_back("device_ns");
        if (view.verbose) names.insert(names.end(), {"requeues", "bios", "cgroup_id", "error"});
    } else if (names.empty()) {
        for (const Column& column : block_columns) {
            if (column.role != Role::pattern || pattern_) names.emplace_back(column.name);
        }
    }
    return choose_columns(block_columns, names);
}

std::unique_ptr<Source> BlockLens::open(const ViewOptions& view, const LiveOptions& live) {
    BlockProbe::Options options;
    Fd cgroup;
    options.keep = task_filters(view, live, cgroup);
    options.cgroup_fd = cgroup.get();
    options.keep.ops = ops_;
    if (!disk_.empty()) {
        const std::optional<Disk> disk = disks_.find(disk_);
        if (!disk) {
            throw Failure(Exit::usage, fmt::format("there is no disk '{}'", visible(disk_)),
                          "'lsblk' lists the disks; a partition or a device-mapper name will do, too");
        }
        options.keep.by_dev = 1;
        options.keep.dev = disk->whole_dev;
        if (disk->is_partition()) {
            options.keep.part_dev = disk->dev;
            options.keep.sector_first = disk->first_sector;
            options.keep.sector_end = disk->first_sector + disk->sector_count;
        }
    }
    options.ring_bytes = ring_bytes(live);
    options.max_inflight = static_cast<u32>(live.max_inflight.value_or(options.max_inflight));
    require_tracing();
    probe_ = std::make_unique<BlockProbe>(options);
    replay_filters_.reset();  // the kernel filters
    return std::make_unique<RingSource>(RingSource::Probes{
        .ring_fd = probe_->ring_fd(),
        .detach = [this] { probe_->detach(); },
        .ledger = [this] { return probe_->ledger(); },
    });
}

/// The filters that the kernel applies to a live run, for a replay.
bool BlockLens::asked_for(const iolens_block_event& e, const ViewOptions& f) {
    const bool known = !block_has(e, IOLENS_BLOCK_NO_CREATOR);
    if (!f.pids.empty() && (!known || std::ranges::find(f.pids, u64{e.tgid}) == f.pids.end())) return false;
    if (f.tid && (!known || *f.tid != e.tid)) return false;
    if (!f.comm.empty() && (!known || text_of(e.comm) != std::string_view(f.comm).substr(0, IOLENS_COMM_LEN - 1))) {
        return false;
    }
    if (ops_ != 0 && (e.op >= IOLENS_OP_COUNT || (ops_ >> e.op & 1U) == 0)) return false;
    if (f.min_ms && e.device_ns < static_cast<u64>(*f.min_ms * 1e6)) return false;
    return disk_.empty() || disks_.name(e.dev) == disk_;
}

Taken BlockLens::take(const iolens_header& head, u64 wall_offset_ns, Columns wanted, std::vector<Value>& row) {
    iolens_disk_fact fact_room;
    if (const auto* fact = decode_as(head, IOLENS_KIND_DISK, fact_room)) {
        disks_.told(fact->dev, text_of(fact->name));
        return Taken::nothing;
    }
    iolens_block_event room;
    const auto* event = decode_as(head, IOLENS_KIND_BLOCK, room);
    if (event == nullptr) return Taken::unknown;
    if (replay_filters_ && !asked_for(*event, *replay_filters_)) return Taken::nothing;
    if (summing_) add(*event);

    row.resize(wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        Value value = wanted[i]->get(event->h);
        switch (wanted[i]->role) {
            case Role::wall: value = Value(value.number() + wall_offset_ns); break;
            case Role::disk: {
                const std::string_view name = disks_.name(event->dev);
                value = name.empty() ? Value() : Value(name);
                break;
            }
            case Role::pattern:
                if (value.is_null()) break;
                switch (access_.next(event->dev, event->sector, event->sector + event->bytes / 512)) {
                    case Pattern::Kind::first: value = Value(); break;
                    case Pattern::Kind::sequential: value = Value(std::string_view("S")); break;
                    case Pattern::Kind::random: value = Value(std::string_view("R")); break;
                }
                break;
            default: break;
        }
        row[i] = value;
    }
    return Taken::row;
}

void BlockLens::add(const iolens_block_event& e) {
    auto& slot = totals_[{e.dev, e.op}];
    if (!slot) slot = std::make_unique<Totals>();
    slot->requests++;
    slot->bytes += e.bytes;
    slot->errors += e.error != 0 ? 1 : 0;
    if (!block_has(e, IOLENS_BLOCK_NO_CREATOR)) slot->queue.add(e.queue_ns);
    if (!block_has(e, IOLENS_BLOCK_NO_ISSUE)) slot->device.add(e.device_ns);
}

Summary BlockLens::summary() const {
    Summary s;
    const auto number = [](const char* key, const char* header, int width, const char* help, Unit unit = Unit::none,
                           Role role = Role::plain) {
        return Column{.name = key, .header = header, .unit = unit, .role = role, .width = width, .help = help};
    };
    const auto time = [&](const char* key, const char* header, const char* help) {
        return number(key, header, 9, help, Unit::nanoseconds, Role::duration);
    };
    s.columns = {
        Column{.name = "disk", .header = "DISK", .role = Role::name, .width = -9, .help = "whole disk"},
        Column{.name = "op", .header = "OP", .width = -12, .help = "operation"},
        number("requests", "REQUESTS", 9, "rows"),
        number("bytes", "BYTES", 13, "bytes", Unit::bytes),
        number("errors", "ERRORS", 6, "failed requests"),
        time("queue_p50_ns", "QUE p50", "half of the requests waited no longer for their issue"),
        time("queue_p90_ns", "p90", "nine in ten"),
        time("queue_p99_ns", "p99", "99 in 100"),
        time("queue_max_ns", "max", "the longest"),
        time("device_p50_ns", "LAT p50", "half of the requests took the device no longer"),
        time("device_p90_ns", "p90", "nine in ten"),
        time("device_p99_ns", "p99", "99 in 100"),
        time("device_max_ns", "max", "the longest"),
    };
    s.texts.reserve(totals_.size());           // values point into it
    auto& names = const_cast<Disks&>(disks_);  // a look-up fills its cache
    for (const auto& [key, t] : totals_) {
        const auto& [dev, op] = key;
        s.texts.emplace_back(names.name(dev));
        std::vector<Value> row{s.texts.back().empty() ? Value() : Value(std::string_view(s.texts.back())),
                               Value(block_op(op).word), Value(t->requests), Value(t->bytes), Value(t->errors)};
        for (const Histogram* h : {&t->queue, &t->device}) {
            for (const double percent : {50.0, 90.0, 99.0}) {
                row.push_back(h->count() == 0 ? Value() : Value(h->percentile(percent)));
            }
            row.push_back(h->count() == 0 ? Value() : Value(h->max()));
        }
        s.rows.push_back(std::move(row));
    }
    return s;
}

Loss BlockLens::explain(const iolens_loss& ledger) const {
    const iolens_counters& n = ledger.n;
    // An end without a start: first those whose start found no room; the rest were in flight when tracing began, which
    // is a fact about the start and not a loss.
    const u64 no_room = std::min(n.orphan, n.state_full);
    Loss loss;
    loss.seen = n.seen - (n.orphan - no_room);
    loss.delivered = n.delivered;
    loss.filtered = n.filtered;
    const auto cause = [&](std::string_view key, std::string_view words, u64 count) {
        if (count != 0) loss.causes.push_back({key, words, count});
    };
    cause("ring_full", "events (the ring was full: a larger --ring-size, or less output)", n.ring_full);
    cause("state_full", "requests (more in flight than --max-inflight)", no_room);
    cause("stale", "requests whose end was not seen", n.stale);
    cause("missed", "probe runs that the kernel skipped", ledger.missed);
    return loss;
}

std::vector<std::string> BlockLens::remarks() const {
    if (!probe_) return {};
    const iolens_loss ledger = probe_->ledger();
    const iolens_counters& n = ledger.n;
    return {fmt::format("seen {}, delivered {}, filtered {}, ring full {}, begun before tracing or not followed {}",
                        n.seen, n.delivered, n.filtered, n.ring_full, n.orphan),
            fmt::format("without a known creator {}, state map full {}, stale {}, names sent again {}, skipped runs {}",
                        n.no_creator, n.state_full, n.stale, n.fact_lost, ledger.missed),
            fmt::format("still in flight: {}", probe_->in_flight())};
}

}  // namespace

std::unique_ptr<Lens> make_block_lens() { return std::make_unique<BlockLens>(); }

}  // namespace iolens
