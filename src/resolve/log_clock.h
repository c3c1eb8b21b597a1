// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "iolens/event/header.h"

namespace iolens {

/// The form of a row's times.
enum class LogClock : u8 {
    boot,          ///< no log: CLOCK_BOOTTIME
    none,          ///< a log without times
    seconds,       ///< strace -t: HH:MM:SS
    microseconds,  ///< strace -tt: HH:MM:SS.uuuuuu
    epoch,         ///< strace -ttt: seconds since 1970
};

}  // namespace iolens
