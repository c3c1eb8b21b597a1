// SPDX-License-Identifier: Apache-2.0
#include "lens/loss.h"

#include <algorithm>

namespace iolens {

Loss count_losses(const iolens_counters& n, std::span<const LossCounter> counters, u64 without_row) {
    without_row = std::min(without_row, n.delivered);
    Loss loss;
    loss.seen = n.seen;
    loss.delivered = n.delivered - without_row;
    loss.filtered = n.filtered + without_row;
    loss.in_flight = n.in_flight;
    loss.no_end = n.no_end;
    loss.note("ring_full", "event", "ring buffer full (use a larger --ring-size, or write less)", n.ring_full);
    u64 named = 0;  // part of state_full that has causes of its own
    for (const LossCounter& cause : counters) named += cause.in_state_full ? n.*cause.counter : 0;
    for (const LossCounter& cause : counters) {
        u64 count = n.*cause.counter;
        if (cause.counter == &iolens_counters::state_full) count -= std::min(named, count);
        if (count != 0) loss.causes.push_back({cause.key, cause.item, cause.cause, count, cause.in_sum});
    }
    return loss;
}

}  // namespace iolens
