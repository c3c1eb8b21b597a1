// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// A piece of a file, and where it is on the filesystem's device; bytes.
struct Extent {
    u64 logical = 0;
    u64 physical = 0;
    u64 length = 0;
};

/// Ranges [first, end) of sectors or bytes.
using Ranges = std::vector<std::pair<u64, u64>>;

/// Where a file's data are (FIEMAP), in their order; without pieces that have no place yet, or none of their own.
/// Nothing where the filesystem can't tell; errno says why.
std::optional<std::vector<Extent>> read_extents(const std::string& path);

/// The 512-byte sectors of the device that bytes [from, to) of a file are in: whole ones.
Ranges sectors_of(const std::vector<Extent>& extents, u64 from, u64 to);

/// In order, without overlaps.
Ranges united(Ranges ranges);
/// How much of `some` is in `all`, which is united.
u64 covered(const Ranges& some, const Ranges& items);
u64 total(const Ranges& ranges);

}  // namespace iolens
