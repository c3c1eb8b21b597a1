// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace iolens {

/// Counts of 64-bit values in buckets whose width is 1/2^sub_bits of their value or less: a percentile is at most that
/// much too large, never too small. No allocation.
template <unsigned sub_bits>
class HistogramOf {
public:
    void add(std::uint64_t value) {
        ++buckets_[index(value)];
        ++count_;
        max_ = std::max(max_, value);
    }

    void add(const HistogramOf& other) {
        for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
        count_ += other.count_;
        max_ = std::max(max_, other.max_);
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::uint64_t max() const { return max_; }

    /// The smallest bucket end that at least `percent` (0 to 100) of the values don't exceed; 0 without values.
    [[nodiscard]] std::uint64_t percentile(double percent) const {
        if (count_ == 0) return 0;
        const auto exact = static_cast<double>(count_) * percent / 100;
        auto rank = static_cast<std::uint64_t>(exact);
        if (static_cast<double>(rank) < exact || rank == 0) ++rank;
        std::uint64_t below = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            below += buckets_[i];
            if (below >= rank) return std::min(last_value(i), max_);
        }
        return max_;
    }

private:
    static constexpr std::size_t sub = std::size_t{1} << sub_bits;

    static std::size_t index(std::uint64_t value) {
        if (value < 2 * sub) return static_cast<std::size_t>(value);
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - sub_bits - 1;
        return (static_cast<std::size_t>(shift) << sub_bits) + static_cast<std::size_t>(value >> shift);
    }
    static std::uint64_t last_value(std::size_t i) {
        if (i < 2 * sub) return i;
        const auto shift = static_cast<unsigned>(i >> sub_bits) - 1;
        const std::uint64_t top = i - (static_cast<std::size_t>(shift) << sub_bits);
        return ((top + 1) << shift) - 1;
    }

    std::array<std::uint64_t, (64 - sub_bits + 1) * sub> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

using Histogram = HistogramOf<5>;       ///< 3.2%, 15 KiB
using SmallHistogram = HistogramOf<3>;  ///< 12.5%, 4 KiB: where there are many

}  // namespace iolens
