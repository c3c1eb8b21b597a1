// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "exporter/exposition.h"
#include "lens/metrics/top.h"
#include "probe/block.h"
#include "resolve/resolver.h"
#include "source/ring.h"

namespace iolens {

/// Metrics of block I/O, from totals that the BPF programs keep.
class BlockMetrics final : public Receiver {
public:
    struct Options {
        u64 ring_bytes = 0;
        bool files = true;    ///< by file and author's cgroup, too
        std::string version;  ///< of iolens
    };

    /// Loads and attaches. Throws Failure.
    explicit BlockMetrics(const Options& options);

    /// Readable if names or disks have been sent.
    [[nodiscard]] int descriptor() const { return source_->descriptor(); }
    /// Reads what was sent. Returns the number of records.
    std::size_t read() { return source_->read(*this); }
    void stop() { source_->stop(); }

    /// All metrics, up to now.
    std::string text(Exposition exposition);

    bool record(std::span<const std::byte> bytes) override;

private:
    /// Of a disk and an operation.
    struct Requests {
        std::string disk;
        std::array<u64, IOLENS_LOG2_SLOTS> device{};
        std::array<u64, IOLENS_LOG2_SLOTS> queue{};
        u64 device_ns = 0;
        u64 queue_ns = 0;
        u64 bytes = 0;
        u64 errors = 0;
        u64 requeues = 0;
    };

    Requests& of(u32 dev, u8 op);
    void collect();
    void add_group(const iolens_group_key& key, const iolens_group_totals& totals);
    void write_requests(MetricsText& out) const;
    void write_cgroups(MetricsText& out) const;
    void write_files(MetricsText& out) const;
    void write_losses(MetricsText& out) const;

    bool files_;
    std::string version_;
    Resolver resolver_;
    RowArena arena_;
    Decoder decoder_;
    std::map<std::pair<u32, u8>, Requests> requests_;
    TopTotals cgroups_;
    TopTotals targets_;
    std::unique_ptr<BlockProbe> probe_;
    std::unique_ptr<RingSource> source_;
};

}  // namespace iolens
