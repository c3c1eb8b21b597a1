// SPDX-License-Identifier: Apache-2.0
// Why a call took as long as it did: iolens fd --why.
#pragma once

#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/decode.h"
#include "base/text.h"
#include "iolens/event/block.h"
#include "iolens/event/call.h"
#include "iolens/event/wait.h"
#include "resolve/extra_targets.h"
#include "resolve/resolver.h"
#include "resolve/waits.h"

namespace iolens {

/// Joins calls with the block requests and the waits of the same time. A call is held back a moment, so that the
/// requests beside its own have ended, too.
class Why {
public:
    /// `here`: what is shown happens on this machine, whose disks can be asked for.
    Why(Resolver& resolver, bool here) : resolver_(resolver), here_(here) {}

    /// Is a record of those that tell why: a request or a wait?
    static bool is_of(const iolens_header& head);
    /// Keeps such a record.
    void take(const iolens_header& head);

    /// A thread has ended: its waits go when its last calls have been told.
    void ended(u32 host_tid, u64 ns) { ended_.emplace_back(host_tid, ns); }

    void defer(const iolens_call_event& call) { deferred_.push_back(call); }
    /// The next call whose time has come at `now_ns` (CLOCK_BOOTTIME); null: none.
    const iolens_call_event* release(u64 now_ns);

    /// The last call of due() as one JSON object.
    void append_report(Buffer& out);
    /// The same as lines for a person, valid until the next one. With `all`, each request has a line.
    std::span<const std::string> lines();
    void set_all(bool all) { all_ = all; }
    /// Waits that made room for others: of the calls that they were in, more time counts as running.
    [[nodiscard]] u64 waits_evicted() const { return waits_.evicted(); }

private:
    struct Request {
        iolens_block_event e;
        std::vector<iolens_file_id> others;  // files of a merged request, but for its first
        [[nodiscard]] u64 created() const { return e.h.ts - e.device_ns - e.queue_ns; }
        [[nodiscard]] bool is_for(const iolens_file_id& file) const;
    };
    struct Waited {
        std::string_view function;  // in which most of it was
        u64 longest = 0;
        u64 times = 0;
        u64 ns = 0;
    };
    struct Beside {
        std::string comm;
        u32 pid = 0;
        u64 requests = 0;
    };

    /// A call, with what is known of its time.
    struct Story {
        iolens_call_event call{};
        bool of_thread = false;                         // and not of io_uring or libaio, for which no thread waits
        std::vector<std::pair<WaitFor, Waited>> waits;  // the longest first
        u64 running = 0;                                // ns
        std::vector<const Request*> requests;           // by their ends
    };

    void explain(const iolens_call_event& call);
    std::map<WaitFor, Waited> waits_of(const iolens_call_event& call);
    std::vector<const Request*> requests_of(const iolens_call_event& call, bool commits);
    u32 disk_of(u32 dev);
    [[nodiscard]] bool caused(const Request& request) const;
    std::vector<Beside> beside(const Request& request) const;
    static u64 count_of(const std::vector<Beside>& others);
    void append_request(Buffer& out, const Request& request);
    std::string request_line(const Request& request);

    Resolver& resolver_;
    bool here_;
    Decoder decoder_;
    std::deque<iolens_call_event> deferred_;
    Story explained_;
    std::deque<Request> requests_;  // by their ends
    Waits waits_;
    std::deque<std::pair<u32, u64>> ended_;  // threads, and when
    std::unordered_map<u32, u32> disks_of_;  // filesystems without a device of their own
    ExtraTargets extra_targets_;
    bool all_ = false;
    std::vector<std::string> lines_;
};

}  // namespace iolens
