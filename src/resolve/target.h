// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/text.h"
#include "iolens/event/block.h"
#include "resolve/disks.h"
#include "resolve/files.h"

namespace iolens {

/// What a block request is for, as text: a path, MAJ:MIN:INODE, [journal], [raw sda]; nothing if that is unknown.
void append_target(Buffer& out, const iolens_block_target& target, Files& files, Disks& disks);

/// Who made its pages dirty: ,"author":…,"author_pid":… of a JSON object; nothing where that isn't known.
void append_author_json(Buffer& out, const iolens_block_target& target);

/// A JSON string; null for "".
void append_json_or_null(Buffer& out, std::string_view text);

}  // namespace iolens
