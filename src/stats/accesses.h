// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <tuple>
#include <vector>

#include "stats/histogram.h"
#include "stats/pattern.h"

namespace iolens {

/// How often each size occurs. After a limit of distinct sizes, further ones are rounded up to a multiple of an eighth
/// of their power of two: the number of random sizes is unbounded.
class Sizes {
public:
    void add(std::uint64_t size, std::uint64_t times = 1) {
        constexpr std::size_t max_exact = 256;
        if (counts_.size() >= max_exact && !counts_.contains(size))
            size = Buckets<3>::last_value(Buckets<3>::index(size));
        counts_[size] += times;
    }
    [[nodiscard]] const std::map<std::uint64_t, std::uint64_t>& counts() const { return counts_; }

private:
    std::map<std::uint64_t, std::uint64_t> counts_;
};

/// Totals of reads, or of writes, at one level.
struct AccessTotals {
    std::uint64_t events = 0;
    std::uint64_t bytes = 0;
    std::uint64_t errors = 0;
    std::uint64_t sequential = 0;  ///< start where the previous access ended
    std::uint64_t random = 0;      ///< start elsewhere; the first access is neither
    std::uint64_t largest = 0;     ///< bytes
    Sizes sizes;                   ///< in bytes
    SmallHistogram duration;       ///< ns

    [[nodiscard]] bool has_pattern() const { return sequential + random != 0; }
    /// Share of sequential accesses; 0 if no access follows another one.
    [[nodiscard]] double sequential_share() const {
        return has_pattern() ? static_cast<double>(sequential) / static_cast<double>(sequential + random) : 0;
    }
};

/// One access, in plain numbers.
struct Access {
    std::uint64_t start_ns = 0;
    std::uint64_t end_ns = 0;
    std::uint64_t start = 0;  ///< position of its first byte or sector …
    std::uint64_t end = 0;    ///< … and after its last one
    std::uint64_t bytes = 0;
    bool write = false;
    bool failed = false;
    bool timed = true;  ///< its end was seen
};

/// Totals of the accesses at one level, added in the order in which they were issued.
class AccessSums {
public:
    void add(const Access& a) {
        AccessTotals& t = totals_[a.write ? 1 : 0];
        if (events() == 0) first_ns_ = a.start_ns;
        last_ns_ = std::max(last_ns_, a.end_ns);
        t.events++;
        t.bytes += a.failed ? 0 : a.bytes;
        t.errors += a.failed ? 1 : 0;
        t.largest = std::max(t.largest, a.bytes);
        t.sizes.add(a.bytes);
        if (a.timed) t.duration.add(a.end_ns - a.start_ns);
        switch (pattern_.next(a.start, a.end)) {
            case PatternKind::first: break;
            case PatternKind::sequential: t.sequential++; break;
            case PatternKind::random: t.random++; break;
        }
    }

    [[nodiscard]] const AccessTotals& reads() const { return totals_[0]; }
    [[nodiscard]] const AccessTotals& writes() const { return totals_[1]; }
    [[nodiscard]] std::uint64_t events() const { return totals_[0].events + totals_[1].events; }
    [[nodiscard]] std::uint64_t bytes() const { return totals_[0].bytes + totals_[1].bytes; }
    /// From the start of the first access to the end of the last one.
    [[nodiscard]] std::uint64_t time_ns() const { return events() == 0 ? 0 : last_ns_ - first_ns_; }

private:
    AccessTotals totals_[2];
    SinglePattern pattern_;
    std::uint64_t first_ns_ = 0;
    std::uint64_t last_ns_ = 0;
};

/// Sorts accesses into the order in which they were issued: they arrive when they end, so a few thousand are held back.
/// `Item` has a member `access`.
template <typename Item>
class AccessOrder {
public:
    /// Calls `take` with the first item in that order, once enough are held back.
    template <typename Take>
    void add(Item item, Take&& take) {
        waiting_.push(std::move(item));
        if (waiting_.size() > kept_back) next(take);
    }
    /// Calls `take` with all remaining items.
    template <typename Take>
    void finish(Take&& take) {
        while (!waiting_.empty()) next(take);
    }

private:
    static constexpr std::size_t kept_back = 4096;
    struct Later {
        bool operator()(const Item& a, const Item& b) const {
            return std::tie(a.access.start_ns, a.access.start) > std::tie(b.access.start_ns, b.access.start);
        }
    };
    template <typename Take>
    void next(Take&& take) {
        const Item item = waiting_.top();
        waiting_.pop();
        take(item);
    }

    std::priority_queue<Item, std::vector<Item>, Later> waiting_;
};

/// Totals of the accesses at one level, added in order of completion.
class AccessProfile {
public:
    void add(const Access& access) {
        order_.add({access}, [this](const Item& item) { sums_.add(item.access); });
    }
    /// Call it before reading the totals.
    void finish() {
        order_.finish([this](const Item& item) { sums_.add(item.access); });
    }
    [[nodiscard]] const AccessSums& sums() const { return sums_; }

private:
    struct Item {
        Access access;
    };
    AccessOrder<Item> order_;
    AccessSums sums_;
};

}  // namespace iolens
