// SPDX-License-Identifier: Apache-2.0
// Filters on tasks and durations, for the kernel side and for replays.
#pragma once

#include <optional>
#include <string_view>

#include "base/fd.h"
#include "iolens/filter.h"
#include "lens/options.h"

namespace iolens {

/// The filters in the form that the kernel side uses. `cgroup` keeps the directory open. Throws Failure (usage).
iolens_filter task_filters(const ViewOptions& view, const LiveOptions& live, Fd& cgroup);

/// The properties that filters test. Without a known task, filters on tasks match nothing; without a duration, --min-ms
/// matches.
struct FilterSubject {
    u32 tgid = 0;
    u32 tid = 0;
    std::string_view comm{};
    bool task_known = true;
    std::optional<u64> duration_ns{};
};

/// Does an operation of a recording pass the filters that the kernel side applies to a live run?
bool passes(const ViewOptions& filters, const FilterSubject& subject);

}  // namespace iolens
