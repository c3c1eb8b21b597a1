// SPDX-License-Identifier: Apache-2.0
// What the arguments of a call point to, as strace prints it.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "iolens/event/arguments.h"

namespace iolens {

/// A struct iolens_item of a record.
struct ArgumentItem {
    u8 kind = IOLENS_ITEM_NONE;
    bool cut = false;
    bool narrow = false;  ///< iovecs have words of 32 bits
    std::string_view bytes;
};
using ArgumentItems = std::array<ArgumentItem, IOLENS_CALL_ARGUMENTS>;
inline constexpr ArgumentItems no_items{};

/// Appends an array of strings: the first one, if there is one, and the item's. `single`: there are no others.
void append_strings(std::string& out, std::string_view first, bool single, const ArgumentItem& item);

/// Appends an item; `value` is the argument, a pointer, for one that is damaged.
void append_item(std::string& out, const ArgumentItem& item, u64 value);

/// Appends the lengths of an IOLENS_ITEM_ADDRESS_BACK: the space, and if it is different, the address's.
void append_lengths(std::string& out, const ArgumentItem& item);

}  // namespace iolens
