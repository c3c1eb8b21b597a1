// SPDX-License-Identifier: Apache-2.0
// What else merged requests are for.
#pragma once

#include <deque>
#include <span>

#include "iolens/event/block.h"
#include "resolve/files.h"

namespace iolens {

/// Those that there are.
std::span<const iolens_block_part> parts_in(const iolens_block_parts& parts);

/// Records that come before the requests that they belong to: of the same processor and time. Records of other
/// processors may come between.
class WaitingParts {
public:
    /// Keeps the names in it, too. Returns false where the record is damaged.
    bool add(const iolens_header& head, Files& files);
    /// Those of a request, which wait no longer; null where there are none. Valid until the next call.
    const iolens_block_parts* of(const iolens_block_event& e);

private:
    std::deque<iolens_block_parts> waiting_;
    iolens_block_parts found_{};
};

}  // namespace iolens
