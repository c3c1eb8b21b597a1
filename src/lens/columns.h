// SPDX-License-Identifier: Apache-2.0
// Selecting columns and operations by name.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/failure.h"
#include "base/suggest.h"
#include "base/text.h"
#include "iolens/schema.h"
#include "lens/options.h"

namespace iolens {

/// The named columns. Throws Failure (usage) for an unknown one.
std::vector<const Column*> choose_columns(std::span<const Column> items, const std::vector<std::string>& names);

/// The names of all columns.
std::vector<std::string> names_of(std::span<const Column> columns);

/// The default column names of a lens: removes host_pid, or with --ns moves it after pid.
void place_host_pid(std::vector<std::string>& names, const ViewOptions& view);

/// The operations of --op as bits (1 << index in `table`, whose entries have a `word`). Throws Failure (usage) for an
/// unknown operation.
template <typename Table>
u32 operation_bits(const std::vector<std::string>& words, const Table& table) {
    u32 bits = 0;
    for (const std::string& word : words) {
        std::size_t place = 0;
        while (place < table.size() && table[place].word != word) ++place;
        if (place == table.size()) {
            std::vector<std::string_view> known;
            known.reserve(table.size());
            for (const auto& op : table) known.push_back(op.word);
            throw Failure(Exit::usage, unknown_name("operation", word, known), list_names("operations", known));
        }
        bits |= 1U << place;
    }
    return bits;
}

}  // namespace iolens
