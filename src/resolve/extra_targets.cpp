// SPDX-License-Identifier: Apache-2.0
#include "resolve/extra_targets.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace iolens {

std::span<const iolens_extra_target> targets_in(const iolens_extra_targets& extras) {
    const std::size_t count = (extras.h.size - offsetof(iolens_extra_targets, targets)) / sizeof(iolens_extra_target);
    return std::span(extras.targets).first(std::min<std::size_t>(count, IOLENS_EXTRA_TARGETS));
}

bool ExtraTargets::add(const iolens_header& head, Files& files) {
    if (head.size < offsetof(iolens_extra_targets, targets)) return false;
    constexpr std::size_t max = 1024;  // the ones before it wait in vain: their requests were lost
    if (waiting_.size() >= max) waiting_.pop_front();
    iolens_extra_targets& extras = waiting_.emplace_back();
    std::memcpy(&extras, &head, std::min<std::size_t>(head.size, sizeof extras));
    for (const iolens_extra_target& extra : targets_in(extras)) {
        if (extra.target.name_id != 0) files.named(extra.target.id, extra.target.name_id);
    }
    return true;
}

const iolens_extra_targets* ExtraTargets::of(const iolens_block_event& e) {
    if (e.target.more == 0) return nullptr;
    const auto it = std::ranges::find_if(
        waiting_, [&](const iolens_extra_targets& extras) { return extras.h.ts == e.h.ts && extras.h.cpu == e.h.cpu; });
    if (it == waiting_.end()) return nullptr;
    found_ = *it;
    waiting_.erase(it);
    return &found_;
}

}  // namespace iolens
