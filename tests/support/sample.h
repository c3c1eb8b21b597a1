// SPDX-License-Identifier: Apache-2.0
// Synthetic events with every feature that a sink must show.
#pragma once

#include <string>
#include <vector>

#include "iolens/event/block.h"
#include "iolens/event/call.h"
#include "iolens/event/disk.h"
#include "iolens/event/file.h"
#include "iolens/event/loss.h"
#include "iolens/event/symbol.h"
#include "iolens/event/task.h"
#include "iolens/event/vfs.h"
#include "iolens/event/wait.h"

namespace iolens::test {

iolens_disk_fact disk_fact(u32 major, u32 minor, const std::string& name);
iolens_block_event block_event(u64 ts, const std::string& comm, u8 op, u64 sector, u32 bytes);

iolens_task_fact task_fact(u32 tid, const std::string& comm);
iolens_call_event call_event(u64 start, u16 call, u8 direction, s32 fd, s64 result);

/// A file fact as in the ring: `names` from the file up to the root.
std::vector<std::byte> file_fact(u64 name_id, u16 kind, u16 flags, const std::vector<std::string>& names);

/// Writes a recording of the fd lens: each kind of file, an error, peers, hostile names, missing names, loss.
void write_fd_sample(const std::string& path);

/// Writes a recording of the fd lens with --why: known and unknown waits; requests of the thread, of others for its
/// file, of the journal, a merged one, a throttled one; concurrent requests; a call without any.
void write_why_sample(const std::string& path);

/// Writes a recording of operations: system calls, processes, libc, HTTP; texts that would break a line.
void write_operations_sample(const std::string& path);

/// Writes a recording of the file lens: both levels, every operation, an error, an access without an end, two names of
/// a file, one with hostile bytes, a file without a name, calls that substitute for accesses, loss.
void write_file_sample(const std::string& path);

/// Writes the recording of the block lens for the golden tests: all operations, flags, an error, unknown creators,
/// hostile names, targets and authors, loss.
void write_sample(const std::string& path);

}  // namespace iolens::test
