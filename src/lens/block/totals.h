// SPDX-License-Identifier: Apache-2.0
// Totals of the block lens.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "iolens/block_totals.h"
#include "iolens/event/block.h"
#include "lens/lens.h"
#include "resolve/disks.h"
#include "stats/histogram.h"
#include "stats/log2.h"

namespace iolens {

/// Per disk and operation: `--summary`.
class DiskTotals {
public:
    /// `with_queue`: its histogram also counts the queue time.
    explicit DiskTotals(bool with_queue = false) : with_queue_(with_queue) {}

    void add(const iolens_block_event& e, Disks& disks);
    /// Adds what the BPF programs have added up.
    void add(const iolens_totals_key& key, const iolens_totals& grown, Disks& disks);
    [[nodiscard]] Summary summary() const;
    /// `--hist`
    [[nodiscard]] Summary histogram() const;
    void clear() { totals_.clear(); }

private:
    struct Totals {
        std::string disk;
        u64 requests = 0;
        u64 bytes = 0;
        u64 errors = 0;
        Histogram queue;
        Histogram device;
        Log2Histogram log2;
    };
    Totals& of(u32 dev, u8 op, Disks& disks);

    bool with_queue_;
    std::map<std::pair<u32, u8>, std::unique_ptr<Totals>> totals_;
};

/// Per value of a key column: `--summary --group-by`. Sorted by device time, longest first.
class GroupTotals {
public:
    /// `key` is the name of a column, `top` the maximum number of rows. The remaining groups are added up in one more
    /// row. `with_queue`: see DiskTotals.
    GroupTotals(std::string key, std::size_t top, bool with_queue);

    /// `bytes`: the part of the request's bytes that belongs to the group.
    void add(const iolens_block_event& e, std::string_view group, u64 bytes);
    /// Adds bytes of a request that is counted in another group.
    void add_bytes(const iolens_block_event& e, std::string_view group, u64 bytes) { of(group, e, bytes); }
    [[nodiscard]] Summary summary() const;
    /// `--hist --group-by`
    [[nodiscard]] Summary histogram() const;
    void clear() { totals_.clear(); }

private:
    struct Totals {
        u64 requests = 0;
        u64 errors = 0;
        std::array<u64, 2> bytes{};  // read, all others
        u64 queue_ns = 0;
        u64 device_ns = 0;
        SmallHistogram queue;
        SmallHistogram device;
        Log2Histogram log2;
        void add(const Totals& other);
    };
    /// The first groups, by device time, and the others as one.
    struct Ranking {
        std::vector<std::pair<std::string_view, const Totals*>> groups;
        std::unique_ptr<Totals> rest;
    };
    [[nodiscard]] Ranking ranking(Summary& texts) const;
    [[nodiscard]] Column group_column() const;
    Totals& of(std::string_view group, const iolens_block_event& e, u64 bytes);
    struct TextHash {
        using is_transparent = void;  // looking up an existing key needs no std::string
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    std::string key_;
    std::string header_;
    std::size_t top_;
    bool with_queue_;
    std::unordered_map<std::string, std::unique_ptr<Totals>, TextHash, std::equal_to<>> totals_;
};

}  // namespace iolens
