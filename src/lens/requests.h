// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "probe/syscalls.h"
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

}  // namespace iolens
