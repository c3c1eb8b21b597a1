// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace iolens {

/// From now on SIGINT, SIGTERM and SIGHUP ask for an end; a second one ends the process at once. SIGPIPE is an error of
/// write(2).
void catch_signals();

/// One of them came.
bool end_asked();

/// Becomes readable when one comes.
int end_descriptor();

}  // namespace iolens
