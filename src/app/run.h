// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "lens/lens.h"
#include "source/recording.h"

namespace iolens {

/// Traces with a lens until the end that the options select. Throws Failure.
int run_live(Lens& lens, ViewOptions view, const LiveOptions& live);

/// Runs a verb, and its server, if any, until SIGINT or SIGTERM. Returns the exit status. Throws Failure.
int run_verb(Verb& verb, const std::vector<std::string>& args);

/// Runs a server until SIGINT or SIGTERM. Returns the exit status. Throws Failure.
int run_service(Service& service);

/// The lens that made a recording. Throws Failure if this version does not have it.
std::unique_ptr<Lens> lens_of(const RecordingSource& recording);

/// Shows a recording through the lens that made it. Throws Failure at the first damage, after showing what precedes it.
void run_replay(Lens& lens, ViewOptions view, RecordingSource& recording);

}  // namespace iolens
