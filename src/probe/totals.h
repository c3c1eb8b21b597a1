// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "iolens/block_totals.h"

struct bpf_map;

namespace iolens {

/// The totals of block requests that the BPF programs keep: bpf/block/totals.bpf.h.
class KernelTotals {
public:
    /// Sets the size of the map, before it is loaded: room for all disks of the machine, and for some that come later.
    static void set_size(bpf_map* map);

    /// The map has been loaded, and no program is attached yet. Throws Failure.
    explicit KernelTotals(const bpf_map* map);

    /// By how much the totals of each disk and operation have grown since the previous call, added up over the CPUs;
    /// the maxima are those since the start. An operation without requests since then is left out.
    using Each = std::function<void(const iolens_totals_key& key, const iolens_totals& grown)>;
    void read(const Each& each);

private:
    const bpf_map* map_;
    std::vector<std::byte> per_cpu_;  // what the kernel returns for a key
    std::map<std::pair<u32, u8>, std::unique_ptr<iolens_totals>> before_;
};

/// The totals per cgroup and target, which come and go: two maps take turns, and each is emptied when it is read.
class KernelGroups {
public:
    /// Sets the size of a map, before it is loaded.
    static void set_size(bpf_map* map);

    /// The maps have been loaded, and no program is attached yet. `turn` is the programs' variable. Throws Failure.
    KernelGroups(const bpf_map* first, const bpf_map* second, u32* turn);

    /// What was added since the previous call, over all CPUs. Waits until the programs use the other map: some
    /// milliseconds.
    using Each = std::function<void(const iolens_group_key& key, const iolens_group_totals& totals)>;
    void read(const Each& each);

private:
    void begin(const bpf_map* map);

    std::array<const bpf_map*, 2> maps_;
    u32* turn_;
    std::vector<std::byte> per_cpu_;
};

}  // namespace iolens
