// SPDX-License-Identifier: Apache-2.0
#include "resolve/extra_targets.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>

namespace iolens {
namespace {

struct Layout {
    std::size_t offset;        // of the first element, bytes
    std::size_t element_size;  // bytes
};

/// Where the elements of a record are; nothing if the record is damaged. `head` has at least `others`.
std::optional<Layout> layout_of(const iolens_header& head) {
    constexpr Layout fixed{.offset = 24, .element_size = 56};
    if (head.kind == IOLENS_KIND_FIXED_EXTRA_TARGETS) return fixed;
    if (head.size < offsetof(iolens_extra_targets, targets)) return {};
    const auto& record = reinterpret_cast<const iolens_extra_targets&>(head);
    const Layout layout{.offset = record.offset, .element_size = record.element_size};
    const bool possible = layout.offset >= offsetof(iolens_extra_targets, targets) && layout.offset <= head.size &&
                          layout.element_size >= fixed.element_size;
    return possible ? std::optional(layout) : std::nullopt;
}

}  // namespace

bool is_extra_targets(const iolens_header& head) {
    return head.kind == IOLENS_KIND_EXTRA_TARGETS || head.kind == IOLENS_KIND_FIXED_EXTRA_TARGETS;
}

std::span<const iolens_extra_target> targets_in(const iolens_extra_targets& extras) {
    const std::size_t count = (extras.h.size - offsetof(iolens_extra_targets, targets)) / sizeof(iolens_extra_target);
    return std::span(extras.targets).first(std::min<std::size_t>(count, IOLENS_EXTRA_TARGETS));
}

bool ExtraTargets::add(const iolens_header& head, Files& files) {
    if (head.size < offsetof(iolens_extra_targets, others) + sizeof(u64)) return false;
    const std::optional<Layout> layout = layout_of(head);
    if (!layout) return false;
    constexpr std::size_t max = 1024;  // earlier ones are never taken: their requests were lost
    if (waiting_.size() >= max) waiting_.pop_front();
    iolens_extra_targets& extras = waiting_.emplace_back();
    extras.h = head;
    extras.others = reinterpret_cast<const iolens_extra_targets&>(head).others;
    const auto* const bytes = reinterpret_cast<const std::byte*>(&head);
    std::size_t count = 0;
    for (std::size_t at = layout->offset; at + layout->element_size <= head.size && count < IOLENS_EXTRA_TARGETS;
         at += layout->element_size) {
        iolens_extra_target& extra = extras.targets[count++];
        std::memcpy(&extra, bytes + at, std::min(layout->element_size, sizeof extra));
        if (extra.target.name_id != 0) files.named(extra.target.id, extra.target.name_id);
    }
    extras.h.size = static_cast<u16>(offsetof(iolens_extra_targets, targets) + count * sizeof(iolens_extra_target));
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
