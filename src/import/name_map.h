// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// A map from names, such as those of system calls, that is filled once and looked up for each line of a log. The names
/// must stay.
template <typename Value>
class NameMap {
public:
    NameMap() : slots_(8) {}
    NameMap(std::initializer_list<std::pair<std::string_view, Value>> items) : NameMap() {
        for (const auto& [name, value] : items) add(name, value);
    }

    /// Does nothing if the name is there. It must not be "".
    void add(std::string_view name, Value value) {
        if (find(name) != nullptr) return;
        if (2 * ++size_ > slots_.size()) {
            std::vector<Slot> old(2 * slots_.size());
            old.swap(slots_);
            for (const Slot& slot : old) {
                if (!slot.name.empty()) free_slot(slot.name) = slot;
            }
        }
        free_slot(name) = {name, value};
    }

    /// Null if it isn't there.
    [[nodiscard]] const Value* find(std::string_view name) const {
        for (std::size_t at = hash(name);; ++at) {
            const Slot& slot = slots_[at & (slots_.size() - 1)];
            if (slot.name.empty()) return nullptr;
            if (slot.name == name) return &slot.value;
        }
    }

private:
    struct Slot {
        std::string_view name;
        Value value{};
    };

    /// Of the first and the last eight characters and the length.
    static std::size_t hash(std::string_view name) {
        const auto word = [](std::string_view text) {
            u64 bits = 0;
            if (text.size() >= sizeof bits) {
                std::memcpy(&bits, text.data(), sizeof bits);
            } else {
                for (const char c : text) bits = bits << 8 | static_cast<unsigned char>(c);
            }
            return bits;
        };
        const u64 last = name.size() > 8 ? word(name.substr(name.size() - 8)) : 0;
        return static_cast<std::size_t>(((word(name) ^ std::rotl(last, 29)) + name.size()) * 0x9e3779b97f4a7c15 >> 32);
    }

    Slot& free_slot(std::string_view name) {
        std::size_t at = hash(name);
        while (!slots_[at & (slots_.size() - 1)].name.empty()) ++at;
        return slots_[at & (slots_.size() - 1)];
    }

    std::vector<Slot> slots_;  // a power of two; at least half of them are empty
    std::size_t size_ = 0;
};

}  // namespace iolens
