// SPDX-License-Identifier: Apache-2.0
// The formats of --format. A new one needs an #include and an entry in all_formats.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

#include "sink/csv.h"
#include "sink/iotracer.h"
#include "sink/json.h"
#include "sink/metrics.h"
#include "sink/needs.h"
#include "sink/sink.h"
#include "sink/table.h"

namespace iolens {

/// Description of a format. A Format is the address of an entry of all_formats.
struct FormatInfo {
    std::string_view name;    ///< the value of --format
    std::string_view note{};  ///< description for the help; "" if the name is sufficient
    /// A sink that appends to `out` (which outlives it) and calls its row_done() after each row.
    std::unique_ptr<Sink> (*make)(Output& out, SinkOptions options) = nullptr;
    std::span<const NeededColumn> needs{};  ///< the columns of its rows; empty: rows of any kind

    [[nodiscard]] constexpr bool is_plain() const { return needs.empty(); }
};

template <typename S>
std::unique_ptr<Sink> make_sink(Output& out, [[maybe_unused]] SinkOptions options) {
    if constexpr (std::is_constructible_v<S, Output&, SinkOptions>) {
        return std::make_unique<S>(out, options);
    } else {
        return std::make_unique<S>(out);
    }
}

// clang-format off
inline constexpr std::array all_formats{
    FormatInfo{.name = "table", .make = make_sink<TableSink>},
    FormatInfo{.name = "csv", .make = make_sink<CsvSink>},
    FormatInfo{.name = "json", .note = "one object per line", .make = make_sink<JsonSink>},
    FormatInfo{.name = "metrics", .note = "io-monitor's, with --domains", .make = make_sink<MetricsSink>, .needs = metrics_needs},
    FormatInfo{.name = "metrics-table", .note = "the same in columns", .make = make_sink<MetricsTableSink>, .needs = metrics_needs},
    FormatInfo{.name = "iotracer", .note = "its log's lines", .make = make_sink<IotracerSink>, .needs = iotracer_needs},
};
// clang-format on

/// The format of this name. Fails to compile if there is none.
consteval Format format_named(std::string_view name) {
    const auto it = std::ranges::find(all_formats, name, &FormatInfo::name);
    if (it == all_formats.end()) throw "no format has this name";
    return &*it;
}

inline constexpr Format table_format = format_named("table");
inline constexpr Format csv_format = format_named("csv");
inline constexpr Format json_format = format_named("json");

/// The formats for rows of any kind.
inline constexpr auto plain_formats = [] {
    std::array<Format, std::ranges::count_if(all_formats, &FormatInfo::is_plain)> plain{};
    std::size_t count = 0;
    for (const FormatInfo& format : all_formats) {
        if (format.is_plain()) plain[count++] = &format;
    }
    return plain;
}();

}  // namespace iolens
