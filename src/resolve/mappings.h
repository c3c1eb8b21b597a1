// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "iolens/event/call.h"
#include "resolve/bounded.h"

namespace iolens {

/// Maps addresses to files, as far as their mmap was traced: munmap and msync pass only addresses.
class Mappings {
public:
    /// A mapping: the identity of the file that was mapped.
    struct Mapped {
        u64 end = 0;  ///< first address after it
        u64 name_id = 0;
        u64 ino = 0;
        u32 dev = 0;
        u32 generation = 0;
        u8 file = IOLENS_FILE_NONE;
        u64 offset = 0;  ///< of its first byte in the file
    };

    /// Call when a call on mappings has ended: records mmap; sets the file of munmap and msync to the one that is
    /// mapped at their address. Ignores other calls.
    void take(iolens_call_event& event);

    /// A process executes another program, or has exited.
    void forget(u32 host_tgid) { processes_.erase(host_tgid); }

private:
    Bounded<u32, std::map<u64, Mapped>> processes_{1 << 16};  // by address
};

}  // namespace iolens
