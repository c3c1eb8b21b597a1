// SPDX-License-Identifier: Apache-2.0
// The further targets of merged requests.
#pragma once

#include <deque>
#include <span>

#include "iolens/event/block.h"
#include "resolve/files.h"

namespace iolens {

/// Is this a record of extra targets, of this version or an older one?
bool is_extra_targets(const iolens_header& head);

/// The elements in use.
std::span<const iolens_extra_target> targets_in(const iolens_extra_targets& extras);

/// Records of extra targets until their requests come: a request's event has the same time and CPU. Records of other
/// CPUs may be in between. The elements of a record may be longer than this version's, or come from a version without
/// their size; what is here is always in this version's layout.
class ExtraTargets {
public:
    /// Also adds the names in it to `files`. Returns false if the record is damaged.
    bool add(const iolens_header& head, Files& files);
    /// Takes those of a request out; null if there are none. Valid until the next call.
    const iolens_extra_targets* of(const iolens_block_event& e);

private:
    std::deque<iolens_extra_targets> waiting_;
    iolens_extra_targets found_{};
};

}  // namespace iolens
