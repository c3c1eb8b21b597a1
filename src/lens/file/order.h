// SPDX-License-Identifier: Apache-2.0
// Accesses in the order in which they started, as in iotracer's log. They arrive in the order of their ends.
#pragma once

#include <cstddef>
#include <queue>
#include <tuple>
#include <vector>

#include "iolens/event/vfs.h"

namespace iolens {

class StartOrder {
public:
    /// An access is kept for so long after its start, in case one that started earlier is still in flight.
    static constexpr u64 hold_ns = 1'000'000'000;
    /// The most accesses that are kept; more are released early.
    static constexpr std::size_t max_held = 65536;

    void add(const iolens_vfs_event& event);

    /// Returns the next access that is due at this time (CLOCK_BOOTTIME, ns), valid until the next call; null: none.
    /// ~0 releases all.
    const iolens_vfs_event* release(u64 now_ns);

    /// The accesses released after one that started later: they took longer than hold_ns, or max_held was reached.
    [[nodiscard]] u64 late() const { return late_; }

private:
    using Key = std::tuple<u64, u8, u64>;  // start, level, address, as in a log
    static Key key_of(const iolens_vfs_event& e) { return {e.start, e.level, e.address}; }
    struct Later {
        bool operator()(const iolens_vfs_event& a, const iolens_vfs_event& b) const { return key_of(a) > key_of(b); }
    };

    std::priority_queue<iolens_vfs_event, std::vector<iolens_vfs_event>, Later> held_;
    iolens_vfs_event next_{};  // the access that was released last …
    Key last_{};               // … and the largest key of one that was
    u64 newest_ns_ = 0;        // latest end of an access
    bool fresh_ = false;       // accesses arrived since nothing was due
    u64 late_ = 0;
};

}  // namespace iolens
