// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "iolens/event/call.h"
#include "resolve/bounded.h"

namespace iolens {

/// Which file is mapped where, as far as mmap was seen: munmap and msync name only addresses.
class Mappings {
public:
    /// What was mapped: the identity of the file that a call was on.
    struct Mapped {
        u64 end = 0;  ///< the address behind it
        u64 name_id = 0;
        u64 ino = 0;
        u32 dev = 0;
        u32 generation = 0;
        u8 file = IOLENS_FILE_NONE;
        u64 offset = 0;  ///< in the file, of its first byte
    };

    /// A call on mappings has ended: mmap is kept in mind, munmap and msync get the file that is mapped at their
    /// address. Others are left alone.
    void take(iolens_call_event& event);

    /// A process runs another program, or is gone.
    void forget(u32 host_tgid) { processes_.erase(host_tgid); }

private:
    Bounded<u32, std::map<u64, Mapped>> processes_{1 << 16};  // by address
};

}  // namespace iolens
