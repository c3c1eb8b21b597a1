// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <vector>

#include "reduce/histogram.h"
#include "reduce/pattern.h"

namespace iolens {

/// Reads, or writes, at one level.
struct AccessTotals {
    std::uint64_t events = 0;
    std::uint64_t bytes = 0;
    std::uint64_t errors = 0;
    std::uint64_t sequential = 0;                  ///< begin where the access before ended
    std::uint64_t random = 0;                      ///< begin elsewhere; the first of all is neither
    std::map<std::uint64_t, std::uint64_t> sizes;  ///< bytes → how many
    SmallHistogram duration;                       ///< ns

    [[nodiscard]] bool has_pattern() const { return sequential + random != 0; }
    /// Share of the accesses that follow another one; 0 where none does.
    [[nodiscard]] double sequential_share() const {
        return has_pattern() ? static_cast<double>(sequential) / static_cast<double>(sequential + random) : 0;
    }
};

/// One access, in plain numbers.
struct Access {
    std::uint64_t start_ns = 0;
    std::uint64_t end_ns = 0;
    std::uint64_t start = 0;  ///< place of its first byte or sector …
    std::uint64_t end = 0;    ///< … and behind its last one
    std::uint64_t bytes = 0;
    bool write = false;
    bool failed = false;
    bool timed = true;  ///< its end was seen
};

/// What was accessed at one level, in the order in which it was asked for: events come at their ends, so a few
/// thousand are kept back to put them in order.
class AccessProfile {
public:
    void add(const Access& access) {
        waiting_.push(access);
        if (waiting_.size() > kept_back) take();
    }
    /// To be called before the totals are looked at.
    void finish() {
        while (!waiting_.empty()) take();
    }

    [[nodiscard]] const AccessTotals& reads() const { return totals_[0]; }
    [[nodiscard]] const AccessTotals& writes() const { return totals_[1]; }
    [[nodiscard]] std::uint64_t events() const { return totals_[0].events + totals_[1].events; }
    [[nodiscard]] std::uint64_t bytes() const { return totals_[0].bytes + totals_[1].bytes; }
    /// From the first access's start to the last one's end.
    [[nodiscard]] std::uint64_t time_ns() const { return events() == 0 ? 0 : last_ns_ - first_ns_; }

private:
    static constexpr std::size_t kept_back = 4096;
    struct Later {
        bool operator()(const Access& a, const Access& b) const { return a.start_ns > b.start_ns; }
    };

    void take() {
        const Access a = waiting_.top();
        waiting_.pop();
        AccessTotals& t = totals_[a.write ? 1 : 0];
        if (events() == 0) first_ns_ = a.start_ns;
        last_ns_ = std::max(last_ns_, a.end_ns);
        t.events++;
        t.bytes += a.failed ? 0 : a.bytes;
        t.errors += a.failed ? 1 : 0;
        t.sizes[a.bytes]++;
        if (a.timed) t.duration.add(a.end_ns - a.start_ns);
        switch (pattern_.next(0, a.start, a.end)) {
            case Pattern::Kind::first: break;
            case Pattern::Kind::sequential: t.sequential++; break;
            case Pattern::Kind::random: t.random++; break;
        }
    }

    std::priority_queue<Access, std::vector<Access>, Later> waiting_;
    AccessTotals totals_[2];
    Pattern pattern_;
    std::uint64_t first_ns_ = 0;
    std::uint64_t last_ns_ = 0;
};

}  // namespace iolens
