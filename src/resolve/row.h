// SPDX-License-Identifier: Apache-2.0
// The text of a row.
#pragma once

#include <fmt/compile.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/text.h"
#include "iolens/schema.h"

namespace iolens {

/// Memory for the texts of a row. Each text has separate storage until clear(), so that no cell can change another.
/// Rows of usual size allocate nothing.
class RowArena {
public:
    RowArena() = default;
    RowArena(const RowArena&) = delete;
    RowArena& operator=(const RowArena&) = delete;

    /// Copies a text.
    std::string_view copy(std::string_view text) {
        char* const to = allocate(text.size());
        if (!text.empty()) std::memcpy(to, text.data(), text.size());
        return {to, text.size()};
    }
    std::string_view copy(const Buffer& text) { return copy(std::string_view(text.data(), text.size())); }

    /// Formats a text; `format` is FMT_COMPILE("...").
    template <typename Format, typename... Arguments>
    std::string_view format(const Format& format, const Arguments&... arguments) {
        Buffer out;
        fmt::format_to(std::back_inserter(out), format, printable(arguments)...);
        return copy(out);
    }

    /// Copies what `append` appends to an empty string, whose memory is reused.
    template <typename Append>
    std::string_view build(Append append) {
        scratch_.clear();
        append(scratch_);
        return copy(std::string_view(scratch_));
    }

    void clear() {
        used_ = 0;
        if (!spilled_.empty()) spilled_.clear();
    }

private:
    /// fmt copies even empty texts, and memcpy must not be given a null pointer.
    template <typename T>
    static decltype(auto) printable(const T& value) {
        if constexpr (std::is_same_v<T, std::string_view>) {
            return value.data() == nullptr ? std::string_view("") : value;
        } else {
            return (value);
        }
    }

    char* allocate(std::size_t size) {
        if (size > inline_.size() - used_) {
            return spilled_.emplace_back(std::make_unique_for_overwrite<char[]>(size)).get();
        }
        return inline_.data() + std::exchange(used_, used_ + size);
    }

    std::array<char, 4096> inline_;  // left uninitialized: nothing reads what was not written
    std::size_t used_ = 0;
    std::vector<std::unique_ptr<char[]>> spilled_;  // texts that did not fit
    std::string scratch_;
};

/// A row: its values, and the texts that were built for them. Other texts that values point to are in the record or in
/// a cache that outlives the row.
struct RowBuffer {
    std::vector<Value> values;
    RowArena text;
    std::string_view prefix_line;               ///< a line before the row, or instead of one; "" for none
    std::span<const std::string> detail_lines;  ///< lines after the row, in tables

    void clear() {
        text.clear();
        prefix_line = {};
        detail_lines = {};
    }
};

}  // namespace iolens
