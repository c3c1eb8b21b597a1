// SPDX-License-Identifier: Apache-2.0
#include "lens/columns.h"

#include <algorithm>

namespace iolens {

std::vector<const Column*> choose_columns(std::span<const Column> items, const std::vector<std::string>& names) {
    std::vector<const Column*> chosen;
    for (const std::string& name : names) {
        const auto it = std::ranges::find(items, std::string_view(name), &Column::name);
        if (it == items.end()) {
            std::vector<std::string_view> known;
            known.reserve(items.size());
            for (const Column& column : items) known.push_back(column.name);
            throw Failure(Exit::usage, unknown_name("column", name, known), list_names("columns", known));
        }
        chosen.push_back(&*it);
    }
    return chosen;
}

std::vector<std::string> names_of(std::span<const Column> columns) {
    std::vector<std::string> names;
    names.reserve(columns.size());
    for (const Column& column : columns) names.emplace_back(column.name);
    return names;
}

void place_host_pid(std::vector<std::string>& names, const ViewOptions& view) {
    if (!view.columns.empty()) return;
    std::erase(names, "host_pid");
    if (!view.ns) return;
    auto it = std::ranges::find(names, "pid");
    if (it == names.end()) it = std::ranges::find(names, "tid");
    names.insert(it == names.end() ? it : it + 1, "host_pid");
}

}  // namespace iolens
