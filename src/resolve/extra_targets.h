// SPDX-License-Identifier: Apache-2.0
// What else merged requests are for.
#pragma once

#include <deque>
#include <span>

#include "iolens/event/block.h"
#include "resolve/files.h"

namespace iolens {

/// Those that there are.
std::span<const iolens_extra_target> targets_in(const iolens_extra_targets& extras);

/// Records that come before the requests that they belong to: of the same processor and time. Records of other
/// processors may come between.
class ExtraTargets {
public:
    /// Keeps the names in it, too. Returns false where the record is damaged.
    bool add(const iolens_header& head, Files& files);
    /// Those of a request, which wait no longer; null where there are none. Valid until the next call.
    const iolens_extra_targets* of(const iolens_block_event& e);

private:
    std::deque<iolens_extra_targets> waiting_;
    iolens_extra_targets found_{};
};

}  // namespace iolens
