// SPDX-License-Identifier: Apache-2.0
#include "lens/metrics/top.h"

#include <algorithm>
#include <vector>

namespace iolens {
namespace {

/// Of names that are not shown; further ones are counted with the others at once.
constexpr std::size_t max_names = 20'000;
/// A name that is shown stays so unless another one has twice its device time: each change makes new series.
constexpr double stays = 2;
/// What a period's device time counts in the next one.
constexpr double fades = 0.5;
constexpr double forgotten_ns = 1000;

}  // namespace

void IoTotals::add(const IoTotals& more) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
        requests.at(i) += more.requests.at(i);
        bytes.at(i) += more.bytes.at(i);
    }
    device_ns += more.device_ns;
}

void TopTotals::add(std::string_view name, const IoTotals& more) {
    auto it = entries_.find(name);
    if (it == entries_.end()) {
        if (entries_.size() >= max_names) {
            others_.add(more);
            return;
        }
        it = entries_.emplace(name, Entry{}).first;
    }
    it->second.added.add(more);
}

void TopTotals::settle() {
    std::vector<std::pair<double, Entry*>> ranking;
    for (auto& [name, entry] : entries_) {
        entry.recent_ns = entry.recent_ns * fades + static_cast<double>(entry.added.device_ns);
        ranking.emplace_back(entry.recent_ns * (entry.shown ? stays : 1), &entry);
    }
    const std::size_t first = std::min(shown_, ranking.size());
    const auto end = ranking.begin() + static_cast<std::ptrdiff_t>(first);
    std::ranges::partial_sort(ranking, end, std::ranges::greater{}, [](const auto& item) { return item.first; });
    for (std::size_t i = 0; i < ranking.size(); ++i) {
        Entry& entry = *ranking[i].second;
        entry.shown = i < first;
        (entry.shown ? entry.totals : others_).add(entry.added);
        entry.added = {};
    }
    std::erase_if(entries_, [](const auto& item) { return !item.second.shown && item.second.recent_ns < forgotten_ns; });
}

void TopTotals::for_each(const std::function<void(const std::string& name, const IoTotals& totals)>& each) const {
    std::vector<const decltype(entries_)::value_type*> shown;
    for (const auto& item : entries_) {
        if (item.second.shown) shown.push_back(&item);
    }
    std::ranges::sort(shown, {}, [](const auto* item) { return std::string_view(item->first); });
    for (const auto* item : shown) each(item->first, item->second.totals);
}

}  // namespace iolens
