// SPDX-License-Identifier: Apache-2.0
#include "lens/file/order.h"

#include <algorithm>

namespace iolens {

void StartOrder::add(const iolens_vfs_event& event) {
    newest_ns_ = std::max(newest_ns_, event.h.ts);
    fresh_ = true;
    if (key_of(event) < last_) ++late_;
    held_.push(event);
}

const iolens_vfs_event* StartOrder::release(u64 now_ns) {
    // While accesses arrive, more of them may be waiting in the ring: only their own times show how far they have got.
    if (now_ns != ~u64{0}) now_ns = fresh_ ? newest_ns_ : std::max(now_ns, newest_ns_);
    const bool due =
        !held_.empty() && (held_.size() > max_held || now_ns == ~u64{0} || held_.top().start + hold_ns <= now_ns);
    if (!due) {
        fresh_ = false;
        return nullptr;
    }
    next_ = held_.top();
    held_.pop();
    last_ = std::max(last_, key_of(next_));
    return &next_;
}

}  // namespace iolens
