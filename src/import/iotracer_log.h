// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "iolens/event/vfs.h"

namespace iolens {

/// A line of iotracer's log, "<seconds>.<digits>;<R|W>;<address>;<bytes>;<VFS|BLK>;<comm>;<pid>", as an event: its
/// times count from the log's beginning, and its end was not seen. False: no such line.
bool parse_iotracer_line(std::string_view line, iolens_vfs_event& event);

}  // namespace iolens
