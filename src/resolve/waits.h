// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "resolve/wait_reasons.h"

namespace iolens {

/// When and why threads did not run. A wait is stored until forget_before() or after() drops it; if there are too many,
/// the oldest is evicted.
class Waits {
public:
    struct Wait {
        u64 start = 0;  ///< start, woken, end: ns, CLOCK_BOOTTIME
        u64 woken = 0;  ///< 0: not seen
        u64 end = 0;
        WaitReasons::Reason reason;
    };

    explicit Waits(std::size_t max = 1 << 17) : max_(max) {}

    /// Adds a wait; a thread's waits must be added in order.
    void add(u32 tid, const Wait& wait);
    /// Forgets all waits that ended before this time.
    void forget_before(u64 ns);
    /// Forgets a thread's waits that ended up to this time. Returns the others, oldest first; valid until the next
    /// call.
    std::span<const Wait> after(u32 tid, u64 ns);

    [[nodiscard]] std::size_t size() const { return all_.size(); }
    [[nodiscard]] std::size_t threads() const { return threads_.size(); }
    /// Waits that were evicted.
    [[nodiscard]] u64 evicted() const { return evicted_; }

private:
    struct Entry;
    using Entries = std::list<Entry>;
    struct Entry {
        u32 tid = 0;
        Wait wait;
        Entries::iterator next;  // of the same thread; `end()` for the last one
    };
    struct Thread {
        Entries::iterator first;
        Entries::iterator last;
    };
    using Threads = std::unordered_map<u32, Thread>;
    void forget_first(Threads::iterator thread);
    void forget_oldest();

    std::size_t max_;
    Entries all_;      // in the order of add()
    Threads threads_;  // each has at least one wait
    std::vector<Wait> found_;
    u64 evicted_ = 0;
};

}  // namespace iolens
