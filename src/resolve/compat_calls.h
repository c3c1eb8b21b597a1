// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "iolens/compat_call.h"

namespace iolens {

/// A system call of 32-bit programs on this architecture.
struct CompatCall {
    u16 number;  ///< i386's, or IOLENS_COMPAT_SOCKETCALLS and the first argument of socketcall
    u16 native;  ///< number of the 64-bit call that it is, or stands for
    bool decoded;
    iolens_compat_call from;  ///< where its arguments are
};

/// All of them; none on arm64, where they are not decoded. A number that is not decoded may stand for several calls.
std::span<const CompatCall> compat_calls();

}  // namespace iolens
