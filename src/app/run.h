// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "lens/lens.h"

namespace iolens {

/// Traces with a lens until the end that was asked for. Throws Failure.
int run_live(Lens& lens, ViewOptions view, const LiveOptions& live);

/// Shows a recording through the lens that made it. Throws Failure: at the first damage, after what came before it.
void run_replay(std::vector<std::unique_ptr<Lens>>& lenses, ViewOptions view, const std::string& path);

}  // namespace iolens
