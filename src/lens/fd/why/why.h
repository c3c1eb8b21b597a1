// SPDX-License-Identifier: Apache-2.0
// Why a call took as long as it did: iolens fd --why.
#pragma once

#include <deque>
#include <map>
#include <optional>
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
#include "lens/fd/why/totals.h"
#include "resolve/extra_targets.h"
#include "resolve/resolver.h"
#include "resolve/waits.h"

namespace iolens {

/// Joins calls with the block requests and the waits of the same time. A call is held back briefly, until requests that
/// shared the disk with its own have completed, too.
class Why {
public:
    /// `here`: events are from this machine, so that its disks can be looked up.
    Why(Resolver& resolver, bool here) : resolver_(resolver), here_(here) {}

    /// Is it a record that explains calls: a request or a wait?
    static bool is_of(const iolens_header& head);
    /// Stores such a record. Returns the page fault whose wait it is, if any: a call IOLENS_CALL_FAULT. Its start is
    /// that of the first block request that the thread created for it; without one, that of the wait.
    std::optional<iolens_call_event> take(const iolens_header& head);

    /// A thread has ended: its waits are dropped after its last calls have been reported.
    void ended(u32 host_tid, u64 ns) { ended_.emplace_back(host_tid, ns); }

    void defer(const iolens_call_event& call) { deferred_.push_back(call); }
    /// The next call whose hold time has passed at `now_ns` (CLOCK_BOOTTIME); null: none.
    const iolens_call_event* release(u64 now_ns);

    /// Appends the report about the last call of release(), as one JSON object.
    void append_report(Buffer& out);
    /// The same report as lines of text, valid until the next call. After set_all(true), each request has a line.
    std::span<const std::string> lines();
    void set_all(bool all) { all_ = all; }
    /// After set_summing(true), summary() has the totals of the calls so far.
    void set_summing(bool summing) { summing_ = summing; }
    [[nodiscard]] Summary summary() const { return totals_.summary(); }
    /// Waits that were evicted for newer ones: their calls show more time as running.
    [[nodiscard]] u64 waits_evicted() const { return waits_.evicted(); }

private:
    /// Maximum history. For calls that take longer, the first requests are not reported.
    static constexpr u64 kept_ns = 60'000'000'000;

    struct Request {
        iolens_block_event e;
        std::vector<iolens_file_id> others;  // files of a merged request, except the first
        [[nodiscard]] u64 created() const { return e.h.ts - e.device_ns - e.queue_ns; }
        [[nodiscard]] bool is_for(const iolens_file_id& file) const;
    };
    struct Waited {
        std::string_view function;  // of the longest wait
        u64 longest = 0;
        u64 times = 0;
        u64 ns = 0;
    };
    struct Beside {
        std::string comm;
        u32 pid = 0;
        u64 requests = 0;
    };

    /// A call, and what is known about its time.
    struct Story {
        iolens_call_event call{};
        bool of_thread = false;                         // false: io_uring or libaio, for which no thread waits
        std::vector<std::pair<WaitFor, Waited>> waits;  // longest first
        u64 running = 0;                                // ns
        std::vector<const Request*> requests;           // in order of completion
    };

    std::optional<iolens_call_event> fault_of(const iolens_wait_event& wait, bool shown);
    void add_to_totals();
    void explain(const iolens_call_event& call);
    std::map<WaitFor, Waited> waits_of(const iolens_call_event& call);
    std::vector<const Request*> requests_of(const iolens_call_event& call, bool commits);
    u32 disk_of(u32 dev);
    [[nodiscard]] bool caused(const Request& request) const;
    std::vector<const Request*> requests_beside(const Request& request) const;
    std::vector<Beside> beside(const Request& request) const;
    static u64 count_of(const std::vector<Beside>& others);
    void append_request(Buffer& out, const Request& request);
    std::string request_line(const Request& request);

    Resolver& resolver_;
    bool here_;
    Decoder decoder_;
    std::deque<iolens_call_event> deferred_;
    Story explained_;
    std::deque<Request> requests_;  // in order of completion
    Waits waits_;
    std::deque<std::pair<u32, u64>> ended_;  // threads and when they ended
    std::unordered_map<u32, u32> disks_of_;  // whole disks by the dev of their filesystems
    ExtraTargets extra_targets_;
    bool all_ = false;
    bool summing_ = false;
    WhyTotals totals_;
    std::vector<std::string> lines_;
};

}  // namespace iolens
