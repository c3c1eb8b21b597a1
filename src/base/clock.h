// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>

#include "iolens/event/header.h"

namespace iolens {

inline u64 clock_ns(clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return static_cast<u64>(t.tv_sec) * 1'000'000'000 + static_cast<u64>(t.tv_nsec);
}

/// Nanoseconds to add to CLOCK_BOOTTIME, which events use, to get wall-clock time. Current value: the clock may be set.
inline u64 clock_wall_offset_ns() {
    const u64 before = clock_ns(CLOCK_BOOTTIME);
    const u64 wall = clock_ns(CLOCK_REALTIME);
    const u64 after = clock_ns(CLOCK_BOOTTIME);
    return wall - (before + (after - before) / 2);
}

}  // namespace iolens
