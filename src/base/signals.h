// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace iolens {

/// From now on SIGINT, SIGTERM and SIGHUP ask for an end; a second one ends the process at once. SIGHUP stays ignored
/// if it was (nohup). With `hangup_reopens`, a process that has no terminal, as a service, takes SIGHUP for
/// reopen_asked(). What write(2) can't do is an error of its own, and no signal: SIGPIPE and SIGXFSZ are ignored.
void catch_signals(bool hangup_reopens = false);

/// In a child that will run another program: the signals as they were before catch_signals().
void restore_signals();

/// One of them came. From then on a call that waits is interrupted ten times a second.
bool end_asked();

/// Half a second has gone since: whoever still waits for a reader or a writer gives up.
bool end_overdue();

/// Becomes readable when a signal comes.
int end_descriptor();

/// True once after a SIGHUP that requests reopening the output.
bool reopen_asked();

/// Waits until `fd` is writable or the run is to end; in that case for at most 50 ms.
void wait_until_writable(int fd);

}  // namespace iolens
