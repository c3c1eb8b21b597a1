// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace iolens {

/// Parses the command line and runs the command. Returns the exit status. Throws Failure, ReaderGone.
int run_command_line(int argc, char** argv);

}  // namespace iolens
