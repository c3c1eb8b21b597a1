// SPDX-License-Identifier: Apache-2.0
#include "probe/totals.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>

#include "base/failure.h"
#include "iolens/event/block.h"
#include "probe/bpf.h"

namespace iolens {
namespace {

// the distance of two CPUs' values is a multiple of 8
static_assert(sizeof(iolens_totals) % sizeof(u64) == 0 && sizeof(iolens_group_totals) % sizeof(u64) == 0);

std::size_t cpus() { return static_cast<std::size_t>(std::max(libbpf_num_possible_cpus(), 1)); }

/// Adds one CPU's totals to a sum.
void add(iolens_totals& sum, const iolens_totals& one) {
    sum.bytes += one.bytes;
    sum.queue_ns += one.queue_ns;
    sum.queue_max = std::max(sum.queue_max, one.queue_max);
    sum.device_ns += one.device_ns;
    sum.device_max = std::max(sum.device_max, one.device_max);
    sum.errors += one.errors;
    sum.requeues += one.requeues;
    sum.no_time += one.no_time;
    for (std::size_t i = 0; i < IOLENS_TIME_BUCKETS; ++i) {
        sum.queue[i] += one.queue[i];
        sum.device[i] += one.device[i];
    }
    for (std::size_t i = 0; i < IOLENS_LOG2_SLOTS; ++i) {
        sum.log2[i] += one.log2[i];
        sum.log2_queue[i] += one.log2_queue[i];
    }
}

void add(iolens_group_totals& sum, const iolens_group_totals& one) {
    for (std::size_t i = 0; i < 2; ++i) {
        sum.requests[i] += one.requests[i];
        sum.bytes[i] += one.bytes[i];
    }
    sum.device_ns += one.device_ns;
}

/// The sum of all CPUs' values.
template <typename Totals>
Totals sum_of(std::span<const std::byte> per_cpu) {
    Totals sum{};
    for (; !per_cpu.empty(); per_cpu = per_cpu.subspan(sizeof(Totals))) {
        Totals one{};
        std::memcpy(&one, per_cpu.data(), sizeof one);
        add(sum, one);
    }
    return sum;
}

iolens_totals difference(const iolens_totals& now, const iolens_totals& before) {
    iolens_totals grown = now;
    grown.bytes -= before.bytes;
    grown.queue_ns -= before.queue_ns;
    grown.device_ns -= before.device_ns;
    grown.errors -= before.errors;
    grown.requeues -= before.requeues;
    grown.no_time -= before.no_time;
    for (std::size_t i = 0; i < IOLENS_TIME_BUCKETS; ++i) {
        grown.queue[i] -= before.queue[i];
        grown.device[i] -= before.device[i];
    }
    for (std::size_t i = 0; i < IOLENS_LOG2_SLOTS; ++i) {
        grown.log2[i] -= before.log2[i];
        grown.log2_queue[i] -= before.log2_queue[i];
    }
    return grown;
}

bool has_requests(const iolens_totals& t) {
    return t.no_time != 0 || std::ranges::any_of(t.device, [](u32 count) { return count != 0; });
}

}  // namespace

void KernelTotals::set_size(bpf_map* map) {
    // most disks are read, written, flushed and discarded; those that come later get what the others don't need
    constexpr std::size_t per_disk = 4;
    constexpr std::size_t more_disks = 16;
    if (is_forced("few-totals")) {
        bpf_map__set_max_entries(map, IOLENS_OP_COUNT + 1);
        return;
    }
    constexpr std::size_t max_bytes = std::size_t{64} << 20;
    std::error_code error;
    const auto disks = static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator("/sys/block", error), std::filesystem::directory_iterator()));
    const std::size_t possible = max_bytes / (cpus() * sizeof(iolens_totals));
    const std::size_t entries = std::min((disks + more_disks) * per_disk, possible);
    bpf_map__set_max_entries(map, static_cast<u32>(std::max(entries, 2 * std::size_t{IOLENS_OP_COUNT})));
}

KernelTotals::KernelTotals(const bpf_map* map) : map_(map), per_cpu_(cpus() * sizeof(iolens_totals)) {
    // for disks that find no place
    for (u8 op = 0; op < IOLENS_OP_COUNT; ++op) {
        const iolens_totals_key key{.dev = 0, .op = op, .reserved = {}};
        if (::bpf_map_update_elem(bpf_map__fd(map_), &key, per_cpu_.data(), BPF_NOEXIST) != 0) {
            throw Failure(Exit::unavailable, "can't prepare the map of totals: " + probe_error_text(errno));
        }
    }
}

void KernelTotals::read(const Each& each) {
    const int fd = bpf_map__fd(map_);
    iolens_totals_key key{};
    for (const iolens_totals_key* from = nullptr; ::bpf_map_get_next_key(fd, from, &key) == 0; from = &key) {
        if (::bpf_map_lookup_elem(fd, &key, per_cpu_.data()) != 0) continue;
        const auto now = sum_of<iolens_totals>(per_cpu_);
        std::unique_ptr<iolens_totals>& before = before_[{key.dev, key.op}];
        if (!before) before = std::make_unique<iolens_totals>();
        const iolens_totals grown = difference(now, *before);
        *before = now;
        if (has_requests(grown)) each(key, grown);
    }
}

void KernelGroups::set_size(bpf_map* map) {
    constexpr std::size_t groups = 16384;
    constexpr std::size_t max_bytes = std::size_t{32} << 20;
    const std::size_t possible = max_bytes / (cpus() * sizeof(iolens_group_totals));
    bpf_map__set_max_entries(map, static_cast<u32>(is_forced("few-totals") ? 8 : std::min(groups, possible)));
}

KernelGroups::KernelGroups(const bpf_map* first, const bpf_map* second, u32* turn)
    : maps_{first, second}, turn_(turn), per_cpu_(cpus() * sizeof(iolens_group_totals)) {
    for (const bpf_map* map : maps_) begin(map);
}

/// Creates the entries for what finds no place.
void KernelGroups::begin(const bpf_map* map) {
    std::ranges::fill(per_cpu_, std::byte{0});
    for (u8 group = 0; group < IOLENS_GROUPS; ++group) {
        iolens_group_key key{};
        key.group = group;
        if (::bpf_map_update_elem(bpf_map__fd(map), &key, per_cpu_.data(), BPF_ANY) != 0) {
            throw Failure(Exit::unavailable, "can't prepare the map of totals: " + probe_error_text(errno));
        }
    }
}

void KernelGroups::read(const Each& each) {
    const bpf_map* full = maps_.at(__atomic_fetch_add(turn_, 1, __ATOMIC_RELAXED) & 1U);
    wait_for_programs();
    const int fd = bpf_map__fd(full);
    iolens_group_key key{};
    while (::bpf_map_get_next_key(fd, nullptr, &key) == 0) {
        if (::bpf_map_lookup_elem(fd, &key, per_cpu_.data()) == 0) {
            const auto totals = sum_of<iolens_group_totals>(per_cpu_);
            if (totals.requests[0] + totals.requests[1] != 0) each(key, totals);
        }
        if (::bpf_map_delete_elem(fd, &key) != 0) break;
    }
    begin(full);
}

}  // namespace iolens
