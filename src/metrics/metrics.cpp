// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics.h"

#include <algorithm>
#include <vector>

#include "base/decode.h"
#include "resolve/containers.h"

namespace iolens {
namespace {

constexpr std::size_t top_cgroups = 20;
constexpr std::size_t top_files = 20;
/// Further disks and operations are counted together, as disk "other".
constexpr std::size_t max_disk_operations = 64;
constexpr std::string_view other = "other";

/// Upper bounds of the time buckets, as powers of two in µs: 16 µs to 4.2 s. Slot n of the programs ends at 2^(n+1) µs.
constexpr std::size_t first_bound = 4;
constexpr std::size_t last_bound = 22;
constexpr std::size_t bounds = last_bound - first_bound + 1;

std::array<double, bounds> bound_seconds() {
    std::array<double, bounds> seconds{};
    for (std::size_t i = 0; i < bounds; ++i) seconds.at(i) = static_cast<double>(u64{1} << (first_bound + i)) / 1e6;
    return seconds;
}

std::array<u64, bounds + 1> bucket_counts(const std::array<u64, IOLENS_LOG2_SLOTS>& slots) {
    std::array<u64, bounds + 1> counts{};
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        const std::size_t end = slot + 1;
        counts.at(end <= first_bound ? 0 : std::min(end - first_bound, bounds)) += slots.at(slot);
    }
    return counts;
}

double seconds(u64 ns) { return static_cast<double>(ns) / 1e9; }

constexpr std::array<std::string_view, 2> directions{"read", "write"};

}  // namespace

BlockMetrics::BlockMetrics(const Options& options)
    : files_(options.files), version_(options.version), cgroups_(top_cgroups), targets_(top_files) {
    BlockProbe::Options probe;
    probe.ring_bytes = options.ring_bytes;
    probe.totals_only = true;
    probe.log2 = IOLENS_LOG2_EACH;
    probe.groups = true;
    probe.attribute = files_;
    probe.authored = files_;
    probe_ = std::make_unique<BlockProbe>(probe);
    source_ = std::make_unique<RingSource>(RingSource::Probes{
        .ring_fd = probe_->ring_fd(),
        .detach = [this] { probe_->detach(); },
        .ledger = [this] { return probe_->ledger(); },
        .tidy =
            [this] { resolver_.age([this] { probe_->begin_period(); }, [this] { return probe_->names_in_flight(); }); },
        .unfinished = [this] { return probe_->unfinished(); },
    });
}

BlockMetrics::Requests& BlockMetrics::of(u32 dev, u8 op) {
    auto it = requests_.find({dev, op});
    if (it != requests_.end()) return it->second;
    if (dev != 0 && requests_.size() >= max_disk_operations) return of(0, op);
    Requests& found = requests_[{dev, op}];
    found.disk = dev == 0 ? std::string(other) : resolver_.disks().name(dev);
    if (found.disk.empty()) found.disk = fmt::format("{}:{}", dev >> 20, dev & 0xfffff);
    return found;
}

/// A name, a disk, or a request: completion not seen.
bool BlockMetrics::record(std::span<const std::byte> bytes) {
    const iolens_header* head = decode_header(bytes);
    if (head == nullptr || resolver_.learn(*head) != Resolver::Learned::no) return true;
    const auto* event = decoder_.as<iolens_block_event>(*head, IOLENS_KIND_BLOCK);
    if (event == nullptr || block_has(*event, IOLENS_BLOCK_PENDING)) return true;
    Requests& r = of(event->dev, event->op);
    r.bytes += event->bytes;
    return true;
}

void BlockMetrics::add_group(const iolens_group_key& key, const iolens_group_totals& totals) {
    const IoTotals more{.requests = {totals.requests[0], totals.requests[1]},
                        .bytes = {totals.bytes[0], totals.bytes[1]},
                        .device_ns = totals.device_ns};
    TopTotals& top = key.group == IOLENS_GROUP_CGROUP ? cgroups_ : targets_;
    if (key.known == 0) {
        top.add_to_others(more);
        return;
    }
    arena_.clear();
    std::string_view name;
    if (key.group == IOLENS_GROUP_CGROUP) {
        name = resolver_.cgroup_name(key.id);
        if (name.empty()) name = arena_.format(FMT_COMPILE("{}"), key.id);
    } else {
        const iolens_block_target target{.name_id = key.id,
                                         .id = key.file,
                                         .kind = key.kind,
                                         .source = key.source,
                                         .more = 0,
                                         .authors = 0,
                                         .author = 0,
                                         .author_comm = {}};
        if (key.id != 0) resolver_.files().named(target.id, target.name_id);
        const Value text = resolver_.target_of(target, arena_);
        name = text.is_null() ? std::string_view("unknown") : text.text();
    }
    top.add(name, more);
}

void BlockMetrics::collect() {
    while (read() != 0) {
    }
    probe_->read_totals([this](const iolens_totals_key& key, const iolens_totals& grown) {
        Requests& r = of(key.dev, key.op);
        for (std::size_t i = 0; i < r.device.size(); ++i) {
            r.device.at(i) += grown.log2[i];
            r.queue.at(i) += grown.log2_queue[i];
        }
        r.device_ns += grown.device_ns;
        r.queue_ns += grown.queue_ns;
        r.bytes += grown.bytes;
        r.errors += grown.errors;
        r.requeues += grown.requeues;
    });
    probe_->read_groups(
        [this](const iolens_group_key& key, const iolens_group_totals& totals) { add_group(key, totals); });
    cgroups_.settle();
    targets_.settle();
}

void BlockMetrics::write_requests(MetricsText& out) const {
    const auto each = [this](const auto& write) {
        for (const auto& [key, r] : requests_) {
            const std::array labels{Label{"device", r.disk}, Label{"operation", block_op(key.second).word}};
            write(Labels(labels), r);
        }
    };
    const std::array<double, bounds> upper = bound_seconds();
    out.family("iolens_block_io_seconds", MetricKind::histogram, "seconds",
               "Time that the device took for a request, from its last issue to its completion.");
    each([&](Labels labels, const Requests& r) {
        out.histogram(labels, upper, bucket_counts(r.device), seconds(r.device_ns));
    });
    out.family("iolens_block_queue_seconds", MetricKind::histogram, "seconds",
               "Time that a request waited before its last issue to the device.");
    each([&](Labels labels, const Requests& r) {
        out.histogram(labels, upper, bucket_counts(r.queue), seconds(r.queue_ns));
    });
    out.family("iolens_block_io_bytes", MetricKind::counter, "bytes", "Bytes of completed requests.");
    each([&](Labels labels, const Requests& r) { out.sample(labels, r.bytes); });
    out.family("iolens_block_io_errors", MetricKind::counter, "", "Failed requests.");
    each([&](Labels labels, const Requests& r) { out.sample(labels, r.errors); });
    out.family("iolens_block_io_requeues", MetricKind::counter, "",
               "Requests that the driver gave back, to be issued again.");
    each([&](Labels labels, const Requests& r) { out.sample(labels, r.requeues); });
}

void BlockMetrics::write_cgroups(MetricsText& out) const {
    const auto each = [this](const auto& write) {
        const auto one = [&](std::string_view path, const IoTotals& totals) {
            const std::string pod = pod_in(path);
            const std::vector<Label> labels{
                {"cgroup", path}, {"container", container_in(path)}, {"pod", pod}, {"unit", unit_in(path)}};
            write(labels, totals);
        };
        cgroups_.for_each(one);
        one(other, cgroups_.others());
    };
    const auto by_direction = [&](const std::array<u64, 2> IoTotals::* counts) {
        each([&](std::vector<Label> labels, const IoTotals& totals) {
            for (std::size_t i = 0; i < directions.size(); ++i) {
                labels.push_back({"direction", directions.at(i)});
                out.sample(labels, (totals.*counts).at(i));
                labels.pop_back();
            }
        });
    };
    out.family("iolens_cgroup_io_bytes", MetricKind::counter, "bytes",
               "Bytes of completed requests by cgroup: of the submitter, or for writeback of the process that dirtied "
               "the pages.");
    by_direction(&IoTotals::bytes);
    out.family("iolens_cgroup_io_operations", MetricKind::counter, "", "Completed requests by cgroup.");
    by_direction(&IoTotals::requests);
    out.family("iolens_cgroup_io_device_seconds", MetricKind::counter, "seconds", "Device time of requests by cgroup.");
    each([&](const std::vector<Label>& labels, const IoTotals& totals) {
        out.sample(labels, seconds(totals.device_ns));
    });
}

void BlockMetrics::write_files(MetricsText& out) const {
    const auto each = [this](const auto& write) {
        targets_.for_each(write);
        write(std::string(other), targets_.others());
    };
    out.family("iolens_file_io_device_seconds", MetricKind::counter, "seconds",
               "Device time of requests by file, or what else they are for, such as [journal].");
    each([&](const std::string& file, const IoTotals& totals) {
        out.sample({{"file", file}}, seconds(totals.device_ns));
    });
    out.family("iolens_file_io_bytes", MetricKind::counter, "bytes", "Bytes of completed requests by file.");
    each([&](const std::string& file, const IoTotals& totals) {
        for (std::size_t i = 0; i < directions.size(); ++i) {
            out.sample({{"direction", directions.at(i)}, {"file", file}}, totals.bytes.at(i));
        }
    });
}

void BlockMetrics::write_losses(MetricsText& out) const {
    const iolens_loss ledger = probe_->ledger();
    out.family("iolens_events_lost", MetricKind::counter, "",
               "Operations that are missing in the other metrics, by cause.");
    const auto cause = [&](std::string_view name, u64 count) {
        out.sample({{"cause", name}, {"lens", "block"}}, count);
    };
    cause("end_not_seen", ledger.n.no_end);
    cause("program_skipped", ledger.missed);
    cause("state_full", ledger.n.state_full);
}

std::string BlockMetrics::text(Exposition exposition) {
    collect();
    MetricsText out(exposition);
    out.family("iolens_build", MetricKind::info, "", "The version of iolens.");
    out.info({{"version", version_}});
    write_requests(out);
    write_cgroups(out);
    if (files_) write_files(out);
    write_losses(out);
    return out.finish();
}

}  // namespace iolens
