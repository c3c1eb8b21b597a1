// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "iolens/event/vfs.h"

namespace iolens {

/// Parses a line of iotracer's log, "<seconds>.<digits>;<R|W>;<address>;<bytes>;<VFS|BLK>;<comm>;<pid>", into an event:
/// times are relative to the log's start, and the end is not known. Returns false if the line has another form.
bool parse_iotracer_line(std::string_view line, iolens_vfs_event& event);

}  // namespace iolens
