// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/text.h"
#include "iolens/event/call.h"
#include "iolens/event/operation.h"
#include "lens/options.h"
#include "sink/formats.h"

namespace iolens {

class Resolver;
class RowArena;

/// Determines the columns of calls.
struct CallView {
    Format format = table_format;
    bool why = false;         ///< also what each call waited for
    bool decode_all = false;  ///< all calls, with their arguments
    bool seed_csv = false;    ///< iomonitor's columns
};

/// The columns of calls. Throws Failure (usage).
std::vector<const Column*> choose_call_columns(const ViewOptions& view, const CallView& calls);

/// Appends iomonitor's line before the rows of a call.
void append_prefix_line(Buffer& out, const iolens_call_event& e, Resolver& resolver, RowArena& text);

/// The columns of operations for io-monitor's formats and its message queue.
inline constexpr auto metrics_columns = columns_for(metrics_needs, operation_columns);

/// The columns of operations: --domains. Throws Failure (usage).
std::vector<const Column*> choose_operation_columns(const ViewOptions& view, Format format);

}  // namespace iolens
