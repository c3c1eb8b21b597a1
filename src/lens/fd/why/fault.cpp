// SPDX-License-Identifier: Apache-2.0
// Page faults: calls that --why makes of waits.
#include <algorithm>
#include <ranges>

#include "lens/fd/why/why.h"
#include "resolve/syscalls.h"

namespace iolens {

/// `shown`: the record has the ids that are shown; an older one has only those of the initial pid namespace.
std::optional<iolens_call_event> Why::fault_of(const iolens_wait_event& wait, bool shown) {
    iolens_call_event call{};
    call.h = wait.h;
    call.h.kind = IOLENS_KIND_CALL;
    call.h.size = sizeof call;
    call.start = wait.start;
    call.call = IOLENS_CALL_FAULT;
    call.fd = -1;
    call.host_tid = wait.tid;
    call.host_tgid = wait.tgid;
    call.tid = shown ? wait.shown_tid : wait.tid;
    call.tgid = shown ? wait.shown_tgid : wait.tgid;
    // what the thread had submitted when it began to wait
    for (auto it = std::ranges::lower_bound(requests_, wait.start, {}, [](const Request& r) { return r.e.h.ts; });
         it != requests_.end(); ++it) {
        const iolens_block_event& e = it->e;
        const bool own = (e.flags & IOLENS_BLOCK_NO_CREATOR) == 0 && host_tid(e) == wait.tid &&
                         it->created() <= wait.start && it->created() + kept_ns > wait.start;
        if (!own) continue;
        call.start = std::min(call.start, it->created());
        if (e.target.kind != IOLENS_TARGET_FILE || call.file != IOLENS_FILE_NONE) continue;
        call.file = IOLENS_FILE_REGULAR;
        call.ino = e.target.id.ino;
        call.dev = e.target.id.dev;
        call.generation = e.target.id.generation;
        call.name_id = e.target.name_id;
    }
    // preempted without I/O
    if (wait.woken == wait.start && call.start == wait.start) return {};
    for (iolens_call_event& earlier : deferred_ | std::views::reverse) {
        const bool same =
            earlier.call == IOLENS_CALL_FAULT && earlier.host_tid == wait.tid && earlier.start == call.start;
        if (!same) continue;
        earlier.h.ts = call.h.ts;  // another wait of the same fault
        return {};
    }
    return call;
}

}  // namespace iolens
