// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "iolens/event/call.h"

namespace iolens {

/// A system call that the fd lens knows, by this architecture's number.
struct KnownCall {
    u16 number;
    std::string_view name;
    iolens_call_info info;
};

std::span<const KnownCall> known_calls();

/// The name of a known call; "" for others.
std::string_view call_name(u64 number);

}  // namespace iolens
