// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>

#include "iolens/event/header.h"

namespace iolens {

/// The header of a record, or null if the bytes are not a valid record. The bytes must be 8-byte aligned.
inline const iolens_header* decode_header(std::span<const std::byte> bytes) {
    if (bytes.size() < sizeof(iolens_header)) return nullptr;
    const auto* head = reinterpret_cast<const iolens_header*>(bytes.data());
    return head->size >= sizeof(iolens_header) && head->size <= bytes.size() ? head : nullptr;
}

/// Reads records as the current structs, regardless of the version that wrote them.
class Decoder {
public:
    /// Null for a record of another kind. A record is read in place. Only one that is shorter than Event, because an
    /// older version wrote it, is copied, with zeros for the missing fields. The copy is stored in the decoder until
    /// the next record: the texts of a row point into its record, so the decoder must outlive the row.
    template <typename Event>
    const Event* as(const iolens_header& head, u16 kind) {
        static_assert(sizeof(Event) <= max_size && std::is_trivially_copyable_v<Event>);
        if (head.kind != kind) return nullptr;
        if (head.size >= sizeof(Event)) return reinterpret_cast<const Event*>(&head);
        auto* event = new (copy_.data()) Event{};
        std::memcpy(static_cast<void*>(event), &head, head.size);
        return event;
    }

private:
    static constexpr std::size_t max_size = 256;
    alignas(u64) std::array<std::byte, max_size> copy_;
};

}  // namespace iolens
