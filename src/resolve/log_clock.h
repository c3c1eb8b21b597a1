// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "iolens/event/header.h"

namespace iolens {

/// The format of a row's times.
enum class LogClock : u8 {
    boot,          ///< not a log: CLOCK_BOOTTIME
    none,          ///< a log without times
    seconds,       ///< strace -t: HH:MM:SS
    microseconds,  ///< strace -tt: HH:MM:SS.uuuuuu
    epoch,         ///< strace -ttt: seconds since 1970
    relative,      ///< strace -r: seconds since the log's first line
};

}  // namespace iolens
