// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"

namespace iolens {

/// A listening TCP socket, non-blocking, on "127.0.0.1:9100" or "[::1]:9100"; port 0 is one that the kernel selects.
/// Throws Failure.
Fd listen_on(std::string_view address);

/// The address and port that the socket is bound to, in the same notation.
std::string bound_address(int fd);

}  // namespace iolens
