// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/why/totals.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

namespace iolens {
namespace {

/// Rows per group: files and processes of a machine would grow without bound.
constexpr std::size_t max_rows = 2000;

}  // namespace

void WhyTotals::Total::add(u64 time, u64 number) {
    ++calls;
    ns += time;
    max_ns = std::max(max_ns, time);
    requests += number;
}

WhyTotals::Total& WhyTotals::find(Totals& totals, std::string name) {
    if (totals.size() >= max_rows && !totals.contains(name)) name = "(all others)";
    return totals[std::move(name)];
}

void WhyTotals::add_call(std::string_view file, u64 ns, u64 requests) {
    all_.add(ns, requests);
    find(files_, std::string(file)).add(ns, requests);
}

void WhyTotals::add_reason(std::string_view reason, u64 ns) { find(reasons_, std::string(reason)).add(ns, 0); }

void WhyTotals::add_beside(std::string_view comm, u32 pid, u64 ns, u64 requests) {
    find(beside_, fmt::format("{} ({})", comm, pid)).add(ns, requests);
}

/// The group's rows, by time.
void WhyTotals::add_rows(Summary& summary, std::string_view group, const Totals& totals, bool has_requests) {
    std::vector<const Totals::value_type*> items;
    for (const auto& item : totals) items.push_back(&item);
    std::ranges::sort(items, [](const auto* a, const auto* b) {
        return std::tie(b->second.ns, a->first) < std::tie(a->second.ns, b->first);
    });
    for (const auto* item : items) {
        const Total& total = item->second;
        summary.rows.push_back({Value(group), Value(total.calls), Value(total.ns), Value(total.max_ns),
                                has_requests ? Value(total.requests) : Value(), Value(std::string_view(item->first))});
    }
}

Summary WhyTotals::summary() const {
    const auto time = [](const char* name, const char* header, const char* help) {
        return Column{.name = name,
                      .header = header,
                      .unit = Unit::nanoseconds,
                      .role = Role::duration,
                      .width = 10,
                      .help = help};
    };
    Summary s;
    s.columns = {
        {.name = "group",
         .header = "GROUP",
         .width = -9,
         .help =
             "all: all slow calls; reason: what they waited for, or running; file: the file of the call; alongside: "
             "process whose requests were on the disk at the same time"},
        {.name = "calls", .header = "CALLS", .width = 8, .help = "number of slow calls"},
        time("time_ns", "TIME(ms)", "of a reason: time that calls spent on it; otherwise, sum of their durations"),
        time("max_ns", "max", "likewise, of the call with the most"),
        {.name = "requests",
         .header = "REQUESTS",
         .width = 8,
         .help = "block requests of the calls; of a process alongside: its requests"},
        {.name = "name", .header = "NAME", .role = Role::name, .width = -20, .help = "reason, file or process"},
    };
    s.rows.push_back({Value(std::string_view("all")), Value(all_.calls), Value(all_.ns), Value(all_.max_ns),
                      Value(all_.requests), Value()});
    add_rows(s, "reason", reasons_, false);
    add_rows(s, "file", files_, true);
    add_rows(s, "alongside", beside_, true);
    return s;
}

}  // namespace iolens
