// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>

#include <fmt/format.h>

namespace iolens {

/// Counts of times by powers of two in microseconds: 0 to 1, 2 to 3, 4 to 7 …, as biolatency has them.
class Log2Histogram {
public:
    static constexpr std::size_t slots = 32;

    static std::size_t slot_of(std::uint64_t ns) {
        const std::uint64_t us = ns / 1000;
        return us < 2 ? 0 : std::min(static_cast<std::size_t>(std::bit_width(us)) - 1, slots - 1);
    }
    /// The first and the last microsecond of a slot.
    static std::uint64_t first_us(std::size_t slot) { return slot == 0 ? 0 : std::uint64_t{1} << slot; }
    static std::uint64_t last_us(std::size_t slot) { return (std::uint64_t{2} << slot) - 1; }

    void add(std::uint64_t ns) { ++counts_.at(slot_of(ns)); }
    void add(std::span<const std::uint32_t, slots> counts) {
        for (std::size_t i = 0; i < slots; ++i) counts_.at(i) += counts[i];
    }
    void add(const Log2Histogram& other) {
        for (std::size_t i = 0; i < slots; ++i) counts_.at(i) += other.counts_.at(i);
    }

    /// The counts up to the last one that is not zero.
    [[nodiscard]] std::span<const std::uint64_t> counts() const {
        const auto last = std::find_if(counts_.rbegin(), counts_.rend(), [](std::uint64_t n) { return n != 0; });
        return std::span(counts_).first(static_cast<std::size_t>(std::distance(last, counts_.rend())));
    }

    /// A line per slot, with a bar of stars.
    [[nodiscard]] std::string text() const {
        constexpr std::uint64_t width = 40;
        const std::uint64_t max = *std::ranges::max_element(counts_);
        std::string lines = "     usecs               : count     distribution\n";
        for (std::size_t i = 0; i < counts().size(); ++i) {
            const std::uint64_t stars = counts_.at(i) * width / max;
            lines += fmt::format("{:>10} -> {:<10} : {:<8} |{:<40}|\n", first_us(i), last_us(i), counts_.at(i),
                                 std::string(stars, '*'));
        }
        return lines;
    }

private:
    std::array<std::uint64_t, slots> counts_{};
};

}  // namespace iolens
