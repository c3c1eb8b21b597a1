// SPDX-License-Identifier: Apache-2.0
#include "base/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/text.h"

namespace iolens {
namespace {

/// Longer words are not misspelled names, and computing their distance would be slow.
constexpr std::size_t longest = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Edit distance: the number of characters to insert, delete, replace or swap with their neighbor.
std::size_t distance(std::string_view a, std::string_view b) {
    std::array<std::array<std::size_t, longest + 1>, 3> rows{};  // the last three rows of the usual table
    std::size_t* before = rows[0].data();
    std::size_t* last = rows[1].data();
    std::size_t* row = rows[2].data();
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::swap(before, last);
        std::swap(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0U : 1U)});
            const bool swapped =
                i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
            if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row[b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view word, std::span<const std::string_view> names) {
    std::string_view nearest;
    if (word.empty() || word.size() > longest) return nearest;
    std::size_t fewest = std::max<std::size_t>(word.size() / 3, 1) + 1;
    for (const std::string_view name : names) {
        if (name.size() > longest) continue;
        const std::size_t edits = distance(word, name);
        // if every character has to be replaced, it is another word
        if (edits >= fewest || edits >= std::max(word.size(), name.size())) continue;
        fewest = edits;
        nearest = name;
    }
    return nearest;
}

std::string unknown_name(std::string_view kind, std::string_view word, std::span<const std::string_view> names) {
    const std::string_view nearest = nearest_name(word, names);
    std::string sentence = fmt::format("unknown {} '{}'", kind, visible(word));
    if (!nearest.empty()) sentence += fmt::format(" (did you mean '{}'?)", visible(nearest));
    return sentence;
}

std::string list_names(std::string_view kinds, std::span<const std::string_view> names) {
    std::string list = fmt::format("the {} are", kinds);
    for (std::size_t i = 0; i < names.size(); ++i) {
        list += i == 0 ? " " : i + 1 == names.size() ? " and " : ", ";
        list += names[i];
    }
    return list;
}

}  // namespace iolens
