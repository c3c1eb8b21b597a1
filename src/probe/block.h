// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "iolens/event/loss.h"
#include "iolens/filter.h"
#include "probe/bpf.h"
#include "probe/totals.h"

struct block_bpf;

namespace iolens {

class SlotMap;

/// The programs of bpf/block.bpf.c, loaded from construction to destruction.
class BlockProbe {
public:
    struct Options {
        iolens_filter filter{};
        int cgroup_fd = -1;  ///< for filter.by_cgroup
        u64 ring_bytes = 8 << 20;
        std::optional<int> ring_fd;                  ///< another probe's ring, shared for these records
        u32 max_inflight = 32768;                    ///< entries of the state map
        bool attribute = true;                       ///< attribute requests to files
        bool partition = false;                      ///< send the partition even without attribution
        bool authored = true;                        ///< for writeback, record which process dirtied the pages
        bool totals_only = false;                    ///< send no events: add up, see read_totals()
        iolens_totals_log2 log2 = IOLENS_LOG2_NONE;  ///< with totals_only: also by powers of two …
        bool groups = false;         ///< … and by cgroup and target, see read_groups()
    };

    /// Loads and attaches. Throws Failure (unavailable) if the kernel rejects a program.
    explicit BlockProbe(const Options& options);
    ~BlockProbe();
    BlockProbe(const BlockProbe&) = delete;
    BlockProbe& operator=(const BlockProbe&) = delete;

    /// The names (name_id) that requests in flight will need when they end.
    [[nodiscard]] std::vector<u64> names_in_flight() const;
    /// Names of files are sent again when they are next used.
    void begin_period();
    void detach();
    [[nodiscard]] int ring_fd() const;
    [[nodiscard]] iolens_loss ledger() const;
    /// Records of requests that were not seen to complete: their disk has nothing in flight any more. After detach(),
    /// also of those that were in flight at that time. Each is returned once.
    std::vector<std::vector<u64>> unfinished();

    /// With totals_only: what was added since the previous call.
    void read_totals(const KernelTotals::Each& each) { totals_->read(each); }

    void read_groups(const KernelGroups::Each& each) { groups_->read(each); }

    /// Loads and attaches each program by itself and reports the result; leaves nothing attached.
    static std::vector<ProbeStatus> examine();

private:
    struct Close {
        void operator()(block_bpf* object) const;
    };
    struct Open;
    [[nodiscard]] std::vector<Open> open_requests(u64 min_age_ns) const;
    [[nodiscard]] std::vector<Open> without_end(u64 min_age_ns, std::chrono::milliseconds between) const;
    std::optional<Open> take_out(const Open& item);
    void settle(const Open& item, u32 flag);

    std::unique_ptr<block_bpf, Close> object_;
    std::unique_ptr<SlotMap> inflight_;
    std::optional<KernelTotals> totals_;
    std::optional<KernelGroups> groups_;
    std::vector<Link> links_;
    iolens_counters settled_{};  // of entries that were left in the state map
    std::vector<std::vector<u64>> unfinished_;
};

}  // namespace iolens
