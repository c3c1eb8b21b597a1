// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// A record as a source delivers it: 8-byte aligned, with `event.h.size` set.
using Record = std::vector<u64>;

/// Sets a record to an event and the texts that follow it, padded with at least one zero byte to a multiple of 8 bytes.
/// An event without texts ends with its struct.
template <typename Event>
void set_record(Record& record, Event event, std::initializer_list<std::string_view> texts = {}) {
    static_assert(std::is_trivially_copyable_v<Event> && sizeof event % 8 == 0);
    std::size_t size = sizeof event;
    for (const std::string_view text : texts) size += text.size();
    record.resize(texts.size() == 0 ? size / 8 : size / 8 + 1);
    record.back() = 0;
    event.h.size = static_cast<u16>(record.size() * 8);
    char* to = reinterpret_cast<char*>(record.data());
    std::memcpy(to, &event, sizeof event);
    to += sizeof event;
    for (const std::string_view text : texts) to += text.copy(to, text.size());
}

/// Likewise, as a new record.
template <typename Event>
Record make_record(Event event, std::initializer_list<std::string_view> texts = {}) {
    Record record;
    set_record(record, event, texts);
    return record;
}

}  // namespace iolens
