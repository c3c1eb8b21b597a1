// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace iolens {

/// Buckets for 64-bit values. The width of a bucket is 1/2^sub_bits of its values or less.
template <unsigned sub_bits>
struct Buckets {
    static constexpr std::size_t sub = std::size_t{1} << sub_bits;
    static constexpr std::size_t count = (64 - sub_bits + 1) * sub;

    static constexpr std::size_t index(std::uint64_t value) {
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
    /// The smallest bucket end that at least `percent` (0 to 100) of the `values` values don't exceed, `max` being the
    /// largest of them; 0 without values. `next` returns the bucket and the count of one entry after the other, by
    /// bucket.
    template <typename Next>
    static std::uint64_t percentile(double percent, std::uint64_t values, std::uint64_t max, Next&& next) {
        if (values == 0) return 0;
        const auto exact = static_cast<double>(values) * percent / 100;
        auto rank = static_cast<std::uint64_t>(exact);
        if (static_cast<double>(rank) < exact || rank == 0) ++rank;
        for (std::uint64_t below = 0;;) {
            const auto [bucket, counted] = next();
            below += counted;
            if (below >= rank) return std::min(last_value(bucket), max);
        }
    }
};

/// Counts of 64-bit values in buckets: a percentile is at most 1/2^sub_bits too large, never too small. No allocation.
template <unsigned sub_bits>
class HistogramOf {
public:
    void add(std::uint64_t value) {
        ++buckets_[B::index(value)];
        ++count_;
        max_ = std::max(max_, value);
    }

    void add(const HistogramOf& other) {
        for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
        count_ += other.count_;
        max_ = std::max(max_, other.max_);
    }
    /// Adds values that somebody else has counted in the same buckets; `max` is the largest of all values so far. If
    /// none of these is as large, the largest of these is taken for the end of its bucket.
    void add(std::span<const std::uint32_t> counts, std::uint64_t max) {
        std::size_t top = counts.size();
        for (std::size_t i = 0; i < counts.size(); ++i) {
            if (counts[i] == 0) continue;
            buckets_.at(i) += counts[i];
            count_ += counts[i];
            top = i;
        }
        if (top != counts.size()) max_ = std::max(max_, std::min(B::last_value(top), max));
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::uint64_t max() const { return max_; }
    /// Calls `each` with the last value and the count of each bucket that has values, by value.
    template <typename Each>
    void for_each_bucket(Each&& each) const {
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            if (buckets_[i] != 0) each(B::last_value(i), buckets_[i]);
        }
    }

    /// The smallest bucket end that at least `percent` (0 to 100) of the values don't exceed; 0 without values.
    [[nodiscard]] std::uint64_t percentile(double percent) const {
        return B::percentile(percent, count_, max_, [this, next = std::size_t{0}]() mutable {
            const std::size_t bucket = next++;
            return std::pair(bucket, buckets_[bucket]);
        });
    }

private:
    using B = Buckets<sub_bits>;
    std::array<std::uint64_t, B::count> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

using Histogram = HistogramOf<5>;  ///< 3.2%, 15 KiB

/// The same for when there are many histograms: 12.5%, and eight bytes per bucket that has a value.
class SmallHistogram {
public:
    void add(std::uint64_t value) {
        add_to(B::index(value), 1);
        ++count_;
        max_ = std::max(max_, value);
    }

    void add(const SmallHistogram& other) {
        for (const std::uint64_t word : other.words_) add_to(word >> count_bits, word & count_mask);
        count_ += other.count_;
        max_ = std::max(max_, other.max_);
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::uint64_t max() const { return max_; }

    /// As HistogramOf::percentile().
    [[nodiscard]] std::uint64_t percentile(double percent) const {
        return B::percentile(percent, count_, max_, [at = words_.begin()]() mutable {
            const std::uint64_t word = *at++;
            return std::pair(static_cast<std::size_t>(word >> count_bits), word & count_mask);
        });
    }

private:
    using B = Buckets<3>;
    static constexpr unsigned count_bits = 54;
    static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
    static_assert(B::count <= std::size_t{1} << (64 - count_bits));

    void add_to(std::uint64_t bucket, std::uint64_t count) {
        const std::uint64_t first = bucket << count_bits;
        const auto it = std::ranges::lower_bound(words_, first);
        if (it != words_.end() && *it >> count_bits == bucket) {
            *it += count;
        } else {
            words_.insert(it, first | count);
        }
    }

    std::vector<std::uint64_t> words_;  // bucket and count, by bucket
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace iolens
