// SPDX-License-Identifier: Apache-2.0
// Made-up events with every feature that a sink must show.
#pragma once

#include <string>
#include <vector>

#include "iolens/event/block.h"
#include "iolens/event/disk.h"
#include "iolens/event/loss.h"

namespace iolens::test {

iolens_disk_fact disk_fact(u32 major, u32 minor, const std::string& name);
iolens_block_event block_event(u64 ts, const std::string& comm, u8 op, u64 sector, u32 bytes);

/// Writes the recording of the golden tests: all operations, flags, an error, unknown creators, hostile names, loss.
void write_sample(const std::string& path);

}  // namespace iolens::test
