// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "probe/syscalls.h"
#include "resolve/compat_calls.h"
#include "resolve/syscalls.h"

namespace iolens {

/// Selects a request of libaio or io_uring to be traced.
inline void choose_request(SyscallProbe::Options& options, const KnownRequest& request) {
    const u8 what = static_cast<u8>(request.what | IOLENS_REQUEST_ASKED);
    if (request.id >= IOLENS_CALL_URING) {
        options.uring_ops.at(request.id - IOLENS_CALL_URING) = what;
    } else {
        options.aio_ops.at(request.id - IOLENS_CALL_AIO) = what;
    }
}

/// Selects the calls of 32-bit programs that are those selected. To be called last.
inline void choose_compat_calls(SyscallProbe::Options& options) {
    for (const CompatCall& call : compat_calls()) {
        if (call.native >= options.syscalls.size() || options.syscalls.at(call.native).shape == 0) continue;
        iolens_call_info& info = options.compat_syscalls.at(call.number);
        info = options.syscalls.at(call.native);
        if (!call.decoded) info.shape = IOLENS_SHAPE_NOT_DECODED;
        options.compat_calls.at(call.number) = call.from;
    }
}

}  // namespace iolens
