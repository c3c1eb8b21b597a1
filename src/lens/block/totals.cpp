// SPDX-License-Identifier: Apache-2.0
#include "lens/block/totals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/text.h"

namespace iolens {
namespace {

// the BPF programs count in the same buckets
static_assert(Buckets<IOLENS_TIME_SUB_BITS>::index((u64{1} << IOLENS_TIME_BITS) - 1) == IOLENS_TIME_BUCKETS - 1);
static_assert(std::is_same_v<Histogram, HistogramOf<IOLENS_TIME_SUB_BITS>>);
static_assert(Log2Histogram::slots == IOLENS_LOG2_SLOTS);

Column number(const char* key, const char* header, int width, const char* help, Unit unit = Unit::none,
              Role role = Role::plain) {
    return Column{.name = key, .header = header, .unit = unit, .role = role, .width = width, .help = help};
}

Column time(const char* key, const char* header, const char* help) {
    return number(key, header, 9, help, Unit::nanoseconds, Role::duration);
}

void add_time_columns(std::vector<Column>& columns) {
    columns.insert(columns.end(), {time("queue_p50_ns", "QUE p50", "median queue time"),
                                   time("queue_p90_ns", "p90", "90th percentile of queue times"),
                                   time("queue_p99_ns", "p99", "99th percentile of queue times"),
                                   time("queue_max_ns", "max", "longest queue time"),
                                   time("device_p50_ns", "LAT p50", "median device time"),
                                   time("device_p90_ns", "p90", "90th percentile of device times"),
                                   time("device_p99_ns", "p99", "99th percentile of device times"),
                                   time("device_max_ns", "max", "longest device time")});
}

/// Further groups are added up in one, since files come and go without limit. About 100 MiB.
constexpr std::size_t max_groups = 20'000;
constexpr std::string_view further_groups = "(others)";

/// Counts a request in a histogram by powers of two.
void add_log2(Log2Histogram& log2, const iolens_block_event& e, bool with_queue) {
    if (block_has(e, block_no_latency)) return;
    log2.add(e.device_ns + (with_queue && !block_has(e, IOLENS_BLOCK_NO_CREATOR) ? e.queue_ns : 0));
}

/// Columns of a histogram's slots, after those that name its group.
void add_slot_columns(std::vector<Column>& columns) {
    columns.insert(columns.end(), {number("from_us", "FROM(us)", 10, "least time of the slot, in microseconds"),
                                   number("to_us", "TO(us)", 10, "greatest time of the slot, in microseconds"),
                                   number("requests", "REQUESTS", 9, "number of requests")});
}

void add_slots(Summary& s, const std::vector<Value>& group, const Log2Histogram& log2) {
    for (std::size_t slot = 0; slot < log2.counts().size(); ++slot) {
        std::vector<Value> row = group;
        row.insert(row.end(), {Value(Log2Histogram::first_us(slot)), Value(Log2Histogram::last_us(slot)),
                               Value(log2.counts()[slot])});
        s.rows.push_back(std::move(row));
    }
}

}  // namespace

DiskTotals::Totals& DiskTotals::of(u32 dev, u8 op, Disks& disks) {
    auto& slot = totals_[{dev, op}];
    if (!slot) slot = std::make_unique<Totals>();
    if (slot->disk.empty()) slot->disk = dev == 0 ? std::string(further_groups) : disks.name(dev);
    return *slot;
}

void DiskTotals::add(const iolens_block_event& e, Disks& disks) {
    Totals& t = of(e.dev, e.op, disks);
    t.requests++;
    t.bytes += e.bytes;
    t.errors += e.error != 0 ? 1 : 0;
    if (!block_has(e, IOLENS_BLOCK_NO_CREATOR)) t.queue.add(e.queue_ns);
    if (!block_has(e, block_no_latency)) t.device.add(e.device_ns);
    add_log2(t.log2, e, with_queue_);
}

void DiskTotals::add(const iolens_totals_key& key, const iolens_totals& grown, Disks& disks) {
    Totals& t = of(key.dev, key.op, disks);
    const u64 timed = t.device.count();
    t.queue.add(grown.queue, grown.queue_max);
    t.device.add(grown.device, grown.device_max);
    t.log2.add(grown.log2);
    t.requests += t.device.count() - timed + grown.no_time;
    t.bytes += grown.bytes;
    t.errors += grown.errors;
}

Summary DiskTotals::histogram() const {
    Summary s;
    s.columns = {Column{.name = "disk", .header = "DISK", .role = Role::name, .width = -9, .help = "whole disk"},
                 Column{.name = "op", .header = "OP", .width = -12, .help = "operation"}};
    add_slot_columns(s.columns);
    for (const auto& [key, t] : totals_) {
        const std::string_view op = block_op(key.second).word;
        add_slots(s, {t->disk.empty() ? Value() : Value(std::string_view(t->disk)), Value(op)}, t->log2);
        if (t->log2.counts().empty()) continue;
        s.table +=
            fmt::format("\ndisk = {}, op = {}\n{}", t->disk.empty() ? "?" : visible(t->disk), op, t->log2.text());
    }
    return s;
}

Summary DiskTotals::summary() const {
    Summary s;
    s.columns = {
        Column{.name = "disk", .header = "DISK", .role = Role::name, .width = -9, .help = "whole disk"},
        Column{.name = "op", .header = "OP", .width = -12, .help = "operation"},
        number("requests", "REQUESTS", 9, "number of requests"),
        number("bytes", "BYTES", 13, "bytes of all requests", Unit::bytes),
        number("errors", "ERRORS", 6, "number of failed requests"),
    };
    add_time_columns(s.columns);
    for (const auto& [key, t] : totals_) {
        std::vector<Value> row{t->disk.empty() ? Value() : Value(std::string_view(t->disk)),
                               Value(block_op(key.second).word), Value(t->requests), Value(t->bytes), Value(t->errors)};
        for (const Histogram* h : {&t->queue, &t->device}) add_percentiles(row, *h, {50, 90, 99});
        s.rows.push_back(std::move(row));
    }
    return s;
}

GroupTotals::GroupTotals(std::string key, std::size_t top, bool with_queue)
    : key_(std::move(key)), header_(key_), top_(top), with_queue_(with_queue) {
    for (char& c : header_) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
}

void GroupTotals::Totals::add(const Totals& other) {
    requests += other.requests;
    errors += other.errors;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes.at(i) += other.bytes.at(i);
    queue_ns += other.queue_ns;
    device_ns += other.device_ns;
    queue.add(other.queue);
    device.add(other.device);
    log2.add(other.log2);
}

GroupTotals::Totals& GroupTotals::of(std::string_view group, const iolens_block_event& e, u64 bytes) {
    auto it = totals_.find(group);
    if (it == totals_.end()) {
        if (totals_.size() >= max_groups) {
            group = further_groups;
            it = totals_.find(group);
        }
        if (it == totals_.end()) it = totals_.emplace(group, std::make_unique<Totals>()).first;
    }
    it->second->bytes.at(e.op == IOLENS_OP_READ ? 0 : 1) += bytes;
    return *it->second;
}

void GroupTotals::add(const iolens_block_event& e, std::string_view group, u64 bytes) {
    Totals& totals = of(group, e, bytes);
    totals.requests++;
    totals.errors += e.error != 0 ? 1 : 0;
    if (!block_has(e, IOLENS_BLOCK_NO_CREATOR)) {
        totals.queue_ns += e.queue_ns;
        totals.queue.add(e.queue_ns);
    }
    if (!block_has(e, block_no_latency)) {
        totals.device_ns += e.device_ns;
        totals.device.add(e.device_ns);
    }
    add_log2(totals.log2, e, with_queue_);
}

GroupTotals::Ranking GroupTotals::ranking(Summary& texts) const {
    Ranking r;
    r.groups.reserve(totals_.size());
    for (const auto& [group, totals] : totals_) r.groups.emplace_back(group, totals.get());
    std::ranges::sort(r.groups, [](const auto& a, const auto& b) {
        const auto rank = [](const auto& item) {
            const Totals& t = *item.second;
            return std::tuple(t.device_ns, t.requests, t.bytes[0] + t.bytes[1]);
        };
        return rank(a) != rank(b) ? rank(a) > rank(b) : a.first < b.first;
    });
    if (r.groups.size() > top_) {
        r.rest = std::make_unique<Totals>();
        for (std::size_t i = top_; i < r.groups.size(); ++i) r.rest->add(*r.groups[i].second);
        texts.texts.push_back(fmt::format("({} more)", r.groups.size() - top_));
        r.groups.resize(top_);
        r.groups.emplace_back(texts.texts.back(), r.rest.get());
    }
    return r;
}

Summary GroupTotals::histogram() const {
    Summary s;
    s.columns = {group_column()};
    add_slot_columns(s.columns);
    const Ranking items = ranking(s);
    for (const auto& [group, t] : items.groups) {
        add_slots(s, {group.empty() ? Value() : Value(group)}, t->log2);
        if (t->log2.counts().empty()) continue;
        s.table += fmt::format("\n{} = {}\n{}", key_, group.empty() ? "?" : visible(group), t->log2.text());
    }
    return s;
}

Summary GroupTotals::summary() const {
    Summary s;
    s.columns = {
        number("requests", "REQUESTS", 9, "number of requests"),
        number("read_bytes", "READ", 13, "bytes read", Unit::bytes),
        number("other_bytes", "WRITTEN", 13, "bytes written, discarded, …", Unit::bytes),
        number("errors", "ERRORS", 6, "number of failed requests"),
        time("queue_ns", "QUE(ms)", "sum of queue times"),
        time("device_ns", "LAT(ms)", "sum of device times; exceeds elapsed time for concurrent requests"),
    };
    add_time_columns(s.columns);
    const Ranking items = ranking(s);
    for (const auto& [group, t] : items.groups) {
        std::vector<Value> row{Value(t->requests), Value(t->bytes[0]), Value(t->bytes[1]),
                               Value(t->errors),   Value(t->queue_ns), Value(t->device_ns)};
        for (const SmallHistogram* h : {&t->queue, &t->device}) add_percentiles(row, *h, {50, 90, 99});
        row.push_back(group.empty() ? Value() : Value(group));
        s.rows.push_back(std::move(row));
    }
    s.columns.push_back(group_column());
    return s;
}

Column GroupTotals::group_column() const {
    return {
        .name = key_, .header = header_, .role = Role::name, .width = -4, .missing = '?', .help = "group (--group-by)"};
}

}  // namespace iolens
