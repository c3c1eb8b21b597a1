// SPDX-License-Identifier: Apache-2.0
#include "lens/block/totals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <tuple>
#include <utility>
#include <vector>

namespace iolens {
namespace {

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

}  // namespace

void DiskTotals::add(const iolens_block_event& e, Disks& disks) {
    auto& slot = totals_[{e.dev, e.op}];
    if (!slot) slot = std::make_unique<Totals>();
    if (slot->disk.empty()) slot->disk = disks.name(e.dev);
    slot->requests++;
    slot->bytes += e.bytes;
    slot->errors += e.error != 0 ? 1 : 0;
    if (!block_has(e, IOLENS_BLOCK_NO_CREATOR)) slot->queue.add(e.queue_ns);
    if (!block_has(e, block_no_latency)) slot->device.add(e.device_ns);
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

GroupTotals::GroupTotals(std::string key, std::size_t top) : key_(std::move(key)), header_(key_), top_(top) {
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
    std::vector<std::pair<std::string_view, const Totals*>> items;
    items.reserve(totals_.size());
    for (const auto& [group, totals] : totals_) items.emplace_back(group, totals.get());
    std::ranges::sort(items, [](const auto& a, const auto& b) {
        const auto rank = [](const auto& item) {
            const Totals& t = *item.second;
            return std::tuple(t.device_ns, t.requests, t.bytes[0] + t.bytes[1]);
        };
        return rank(a) != rank(b) ? rank(a) > rank(b) : a.first < b.first;
    });
    Totals rest;
    if (items.size() > top_) {
        for (std::size_t i = top_; i < items.size(); ++i) rest.add(*items[i].second);
        s.texts.push_back(fmt::format("({} more)", items.size() - top_));
        items.resize(top_);
        items.emplace_back(s.texts.back(), &rest);
    }
    for (const auto& [group, t] : items) {
        std::vector<Value> row{Value(t->requests), Value(t->bytes[0]), Value(t->bytes[1]),
                               Value(t->errors),   Value(t->queue_ns), Value(t->device_ns)};
        for (const SmallHistogram* h : {&t->queue, &t->device}) add_percentiles(row, *h, {50, 90, 99});
        row.push_back(group.empty() ? Value() : Value(group));
        s.rows.push_back(std::move(row));
    }
    s.columns.push_back(Column{.name = key_,
                               .header = header_,
                               .role = Role::name,
                               .width = -4,
                               .missing = '?',
                               .help = "group (--group-by)"});
    return s;
}

}  // namespace iolens
