// SPDX-License-Identifier: Apache-2.0
// The commands of iolens. A new one needs a file of its own and a line in main.cpp.
#pragma once

#include <memory>
#include <span>

#include "cli/cli.h"

namespace iolens {

/// iolens block, fd, file: traces with a lens. The lens's verbs are its subcommands.
Command lens_command(std::unique_ptr<Lens> lens);

/// iolens replay: shows a recording through the lens that made it. Its options are those of that lens, so the recording
/// is looked up on the command line before the options are parsed.
Command replay_command(std::span<char* const> args);

/// iolens doctor: what works on this kernel, and why other things do not.
Command doctor_command();

/// iolens metrics: serves metrics of block I/O.
Command metrics_command();

/// iolens schema: every column with unit and meaning.
Command schema_command();

}  // namespace iolens
