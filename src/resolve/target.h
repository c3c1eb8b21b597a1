// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/text.h"
#include "iolens/event/block.h"
#include "resolve/disks.h"
#include "resolve/files.h"

namespace iolens {

/// Appends the target of a block request: a path, MAJ:MIN:INODE, [journal], [raw sda]; nothing if it is unknown.
void append_target(Buffer& out, const iolens_block_target& target, Files& files, Disks& disks);

/// Appends the process that dirtied the pages: ,"author":…,"author_pid":… of a JSON object; nothing if it is unknown.
void append_author_json(Buffer& out, const iolens_block_target& target);

/// Appends a JSON string; null for "".
void append_json_or_null(Buffer& out, std::string_view text);

}  // namespace iolens
