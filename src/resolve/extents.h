// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// A piece of a file, and its location on the filesystem's device; in bytes.
struct Extent {
    u64 logical = 0;
    u64 physical = 0;
    u64 length = 0;
};

/// Ranges [first, end) of sectors or bytes.
using Ranges = std::vector<std::pair<u64, u64>>;

/// The extents of a file (FIEMAP), in file order; skips data that is not allocated yet (delayed allocation) or has no
/// blocks of its own (inline, encoded). Nothing if the filesystem doesn't support it; errno says why.
std::optional<std::vector<Extent>> read_extents(const std::string& path);

/// The 512-byte sectors of the device that hold bytes [from, to) of a file, rounded to whole sectors.
Ranges sectors_of(const std::vector<Extent>& extents, u64 from, u64 to);

/// Sorts ranges and merges overlapping ones.
Ranges united(Ranges ranges);
/// How much of `some` is in `items`, which must be united().
u64 covered(const Ranges& some, const Ranges& items);
u64 total(const Ranges& ranges);

}  // namespace iolens
