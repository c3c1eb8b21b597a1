// SPDX-License-Identifier: Apache-2.0
// Sinks for one kind of row, such as MetricsSink, declare the columns that they need. All names are checked at compile
// time.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "iolens/schema.h"

namespace iolens {

struct NeededColumn {
    std::string_view name;
    Value::Kind kind;
};

/// The columns that a sink needs, from the table of its rows, in the order of `needs`. Fails to compile if the table
/// has no such column, or one of another kind.
template <std::size_t N>
consteval std::array<const Column*, N> columns_for(const std::array<NeededColumn, N>& needs,
                                                   std::span<const Column> table) {
    std::array<const Column*, N> found{};
    for (std::size_t i = 0; i < N; ++i) {
        const auto it = std::ranges::find(table, needs[i].name, &Column::name);
        if (it == table.end()) throw "the table has no column of this name";
        if (it->kind != needs[i].kind) throw "the values of this column are of another kind";
        found[i] = &*it;
    }
    return found;
}

/// A value as a number that may be negative.
inline s64 signed_of(const Value& value) {
    return static_cast<s64>(value.is_negative() ? u64{0} - value.number() : value.number());
}

/// A row of columns_for(needs, …). Values are accessed by the name of their column, which is looked up at compile time:
/// a name or kind that is not in `needs` does not compile.
template <const auto& needs>
class NeededRow {
    template <Value::Kind kind>
    struct Name {
        consteval Name(const char* name) {  // implicit: row.text("comm")
            const auto it = std::ranges::find(needs, std::string_view(name), &NeededColumn::name);
            if (it == needs.end()) throw "the sink does not say that it needs this column";
            if (it->kind != kind) throw "the values of this column are of another kind";
            index = static_cast<std::size_t>(it - needs.begin());
        }
        std::size_t index = 0;
    };

public:
    explicit NeededRow(Row row) : row_(row) {}
    [[nodiscard]] std::string_view text(Name<Value::Kind::text> column) const { return row_[column.index].text(); }
    [[nodiscard]] u64 number(Name<Value::Kind::number> column) const { return row_[column.index].number(); }
    [[nodiscard]] s64 signed_number(Name<Value::Kind::number> column) const { return signed_of(row_[column.index]); }

private:
    Row row_;
};

}  // namespace iolens
