// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "lens/options.h"

namespace iolens {

/// What decides on the columns of calls.
struct CallView {
    Format format = Format::table;
    bool why = false;         ///< with what each call waited for
    bool decode_all = false;  ///< every call, with its arguments
    bool seed_csv = false;    ///< iomonitor's columns
};

/// The columns of calls. Throws Failure (usage).
std::vector<const Column*> choose_call_columns(const ViewOptions& view, const CallView& calls);

/// The columns of operations: --domains. Throws Failure (usage).
std::vector<const Column*> choose_operation_columns(const ViewOptions& view, Format format);

}  // namespace iolens
