// SPDX-License-Identifier: Apache-2.0
#include "resolve/parts.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace iolens {

std::span<const iolens_block_part> parts_in(const iolens_block_parts& parts) {
    const std::size_t count = (parts.h.size - offsetof(iolens_block_parts, parts)) / sizeof(iolens_block_part);
    return std::span(parts.parts).first(std::min<std::size_t>(count, IOLENS_BLOCK_PARTS));
}

bool WaitingParts::add(const iolens_header& head, Files& files) {
    if (head.size < offsetof(iolens_block_parts, parts)) return false;
    constexpr std::size_t most = 1024;  // the ones before it wait in vain: their requests were lost
    if (waiting_.size() >= most) waiting_.pop_front();
    iolens_block_parts& parts = waiting_.emplace_back();
    std::memcpy(&parts, &head, std::min<std::size_t>(head.size, sizeof parts));
    for (const iolens_block_part& part : parts_in(parts)) {
        if (part.target.name_id != 0) files.named(part.target.id, part.target.name_id);
    }
    return true;
}

const iolens_block_parts* WaitingParts::of(const iolens_block_event& e) {
    if (e.target.more == 0) return nullptr;
    const auto at = std::ranges::find_if(
        waiting_, [&](const iolens_block_parts& parts) { return parts.h.ts == e.h.ts && parts.h.cpu == e.h.cpu; });
    if (at == waiting_.end()) return nullptr;
    found_ = *at;
    waiting_.erase(at);
    return &found_;
}

}  // namespace iolens
