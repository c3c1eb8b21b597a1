// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "iolens/schema.h"

namespace iolens {

/// A table made at the end: its columns have no getters, since it holds their values.
struct Summary {
    std::vector<Column> columns;
    std::vector<std::vector<Value>> rows;
    std::vector<std::string> texts;  ///< storage of the text values
    std::string table;               ///< in a table: shown instead of the rows; "": the rows are
    std::string report;              ///< lines of text after the table, on a terminal
};

/// Appends the percentiles of a histogram, and the largest value; nulls if it has no values.
template <typename SomeHistogram>
void add_percentiles(std::vector<Value>& row, const SomeHistogram& values, std::initializer_list<double> percents) {
    const bool some = values.count() != 0;
    for (const double percent : percents) row.push_back(some ? Value(values.percentile(percent)) : Value());
    row.push_back(some ? Value(values.max()) : Value());
}

}  // namespace iolens
