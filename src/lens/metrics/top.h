// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "iolens/event/header.h"

namespace iolens {

/// What has been done for one file or cgroup. [0]: reads, [1]: all other operations.
struct IoTotals {
    std::array<u64, 2> requests{};
    std::array<u64, 2> bytes{};
    u64 device_ns = 0;

    void add(const IoTotals& more);
};

/// Counters of the names that had the most device time lately, and of all others together. Each counter only grows: what a name did
/// before it was among the first is counted with the others, and stays there.
class TopTotals {
public:
    /// Shows at most `shown` names.
    explicit TopTotals(std::size_t shown) : shown_(shown) {}

    /// Counts what a name has done since the last settle().
    void add(std::string_view name, const IoTotals& more);
    /// Decides which names are shown, and gives them, or the others, what was added.
    void settle();

    /// Calls `each` with every name that is shown.
    void for_each(const std::function<void(const std::string& name, const IoTotals& totals)>& each) const;
    [[nodiscard]] const IoTotals& others() const { return others_; }

private:
    struct Entry {
        IoTotals totals;
        IoTotals added;
        double recent_ns = 0;  ///< device time; that of earlier periods counts less and less
        bool shown = false;
    };
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };

    std::size_t shown_;
    std::unordered_map<std::string, Entry, TextHash, std::equal_to<>> entries_;
    IoTotals others_;
};

}  // namespace iolens
