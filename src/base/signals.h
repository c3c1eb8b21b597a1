// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace iolens {

/// Handles SIGINT, SIGTERM and SIGHUP from now on: the first requests the end of the run, a second one ends the process
/// at once. SIGHUP stays ignored if it was (nohup). With `hangup_reopens`, SIGHUP sets reopen_asked() instead in a
/// process without a terminal (a service). SIGPIPE and SIGXFSZ are ignored, because write(2) reports these errors
/// itself.
void catch_signals(bool hangup_reopens = false);

/// Restores the signal handlers from before catch_signals(), for a child that will execute another program.
void restore_signals();

/// True once a signal has requested the end. From then on blocking calls are interrupted ten times a second.
bool end_asked();

/// True half a second after that: stop waiting for readers and writers.
bool end_overdue();

/// Becomes readable on a signal.
int end_descriptor();

/// True once after a SIGHUP that requests reopening the output.
bool reopen_asked();

/// Waits until `fd` is writable or the end is requested; after such a request for at most 50 ms.
void wait_until_writable(int fd);

}  // namespace iolens
