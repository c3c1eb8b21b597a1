// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "enrich/disks.h"
#include "enrich/files.h"
#include "iolens/event/block.h"

namespace iolens {

/// What a block request is for, as text: a path, MAJ:MIN:INODE, [journal], [raw sda]; "" where that can't be told.
std::string target_text(const iolens_block_target& target, Files& files, Disks& disks);

}  // namespace iolens
