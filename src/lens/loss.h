// SPDX-License-Identifier: Apache-2.0
// The ledger of the kernel side in the terms of a lens.
#pragma once

#include <span>
#include <string_view>

#include "iolens/event/loss.h"
#include "sink/sink.h"

namespace iolens {

/// A counter of the kernel side that counts one cause of loss.
struct LossCounter {
    u64 iolens_counters::* counter = nullptr;
    std::string_view key;   ///< in JSON
    std::string_view item;  ///< what was lost, in the singular
    std::string_view cause;
    bool in_state_full = false;  ///< iolens_counters::state_full includes them
    bool in_sum = true;          ///< counts operations; false: something that is not an operation of the lens
};

/// The totals of a ledger. `ring_full` is a cause of loss in every lens; `counters` are the other causes, in this
/// order. `without_row` of the delivered operations were filtered in user space.
Loss count_losses(const iolens_counters& n, std::span<const LossCounter> counters, u64 without_row);

}  // namespace iolens
