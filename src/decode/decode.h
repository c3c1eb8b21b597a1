// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include "iolens/event/header.h"

namespace iolens {

/// The header of a record, or null where the bytes can't be one. The bytes must be 8-byte aligned.
inline const iolens_header* decode_header(std::span<const std::byte> bytes) {
    if (bytes.size() < sizeof(iolens_header)) return nullptr;
    const auto* head = reinterpret_cast<const iolens_header*>(bytes.data());
    return head->size >= sizeof(iolens_header) && head->size <= bytes.size() ? head : nullptr;
}

/// A record as Event, whichever version made it: fields that an older one lacks are zero. Null for another kind.
/// `room` keeps the copy that a short record needs.
template <typename Event>
const Event* decode_as(const iolens_header& head, u16 kind, Event& room) {
    if (head.kind != kind) return nullptr;
    if (head.size >= sizeof(Event)) return reinterpret_cast<const Event*>(&head);
    room = Event{};
    std::memcpy(static_cast<void*>(&room), &head, head.size);
    return &room;
}

}  // namespace iolens
