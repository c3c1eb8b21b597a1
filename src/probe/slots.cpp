// SPDX-License-Identifier: Apache-2.0
#include "probe/slots.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "base/failure.h"
#include "base/text.h"
#include "iolens/slots.h"
#include "probe/bpf.h"

namespace iolens {

void set_slots(bpf_map* states, bpf_map* keys, u32& mask, u32 operations) {
    if (bpf_map__type(states) == BPF_MAP_TYPE_HASH) {
        bpf_map__set_max_entries(states, operations);
        return;
    }
    constexpr u32 max = 1U << 24;  // buckets
    const u32 buckets = std::bit_ceil(std::clamp(operations / (IOLENS_SLOTS_BUCKET / 2), 2U, max));
    mask = buckets - 1;
    bpf_map__set_max_entries(keys, buckets);
    bpf_map__set_max_entries(states, buckets * IOLENS_SLOTS_BUCKET);
}

SlotMap::SlotMap(const bpf_map* states, const bpf_map* keys) : states_(states) {
    if (bpf_map__type(states) == BPF_MAP_TYPE_HASH) return;
    slots_ = bpf_map__max_entries(states);
    void* const mapped =
        ::mmap(nullptr, slots_ * sizeof(u64), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(keys), 0);
    if (mapped == MAP_FAILED) throw Failure(Exit::failed, "can't map the state of requests: " + error_text(errno));
    keys_ = static_cast<u64*>(mapped);
}

SlotMap::~SlotMap() {
    if (!is_hash()) ::munmap(keys_, slots_ * sizeof(u64));
}

void SlotMap::for_each_place(const std::function<void(u64 key, u64 place)>& each) const {
    if (is_hash()) {
        for_each_key(states_,
                     [&](const void* key) { each(*static_cast<const u64*>(key), *static_cast<const u64*>(key)); });
        return;
    }
    for (u64 slot = 0; slot < slots_; ++slot) {
        const u64 key = __atomic_load_n(&keys_[slot], __ATOMIC_ACQUIRE);
        if (key != 0 && key != IOLENS_SLOT_BUSY) each(key, slot + 1);
    }
}

bool SlotMap::read(u64 place, void* state) const {
    if (is_hash()) return ::bpf_map_lookup_elem(bpf_map__fd(states_), &place, state) == 0;
    const u32 slot = static_cast<u32>(place) - 1;
    return ::bpf_map_lookup_elem(bpf_map__fd(states_), &slot, state) == 0;
}

bool SlotMap::take_out(u64 key, u64 place, void* state, const std::function<bool()>& is_same) const {
    if (is_hash()) {
        const int map = bpf_map__fd(states_);
        // atomic from 5.14 on; before, an end that comes in between has no row
        const bool at_once = ::bpf_map_lookup_and_delete_elem(map, &key, state) == 0;
        if (!at_once && !read(key, state)) return false;
        if (!is_same()) {
            if (at_once) ::bpf_map_update_elem(map, &key, state, BPF_NOEXIST);
            return false;
        }
        return at_once || ::bpf_map_delete_elem(map, &key) == 0;
    }
    // first without claiming it: nearly always, it is already another operation's by now, and must not be missed
    if (!read(place, state) || !is_same()) return false;
    u64& at = keys_[place - 1];
    u64 expected = key;
    if (!__atomic_compare_exchange_n(&at, &expected, IOLENS_SLOT_BUSY, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    const bool same = read(place, state) && is_same();
    __atomic_store_n(&at, same ? 0 : key, __ATOMIC_RELEASE);
    return same;
}

}  // namespace iolens
