// SPDX-License-Identifier: Apache-2.0
// The state of operations in flight: slots or a hash map, as bpf/lib/slots.bpf.h says.
#pragma once

#include <functional>

#include "iolens/event/header.h"

struct bpf_map;

namespace iolens {

/// Room for this many operations, before load. `mask` is the variable NAME_mask. Slots get twice the room, because a
/// key has only sixteen of them.
void set_slots(bpf_map* states, bpf_map* keys, u32& mask, u32 operations);

/// The maps of SLOTS(name, state), of a loaded object, for as long as that is loaded.
class SlotMap {
public:
    /// Throws Failure (failed).
    SlotMap(const bpf_map* states, const bpf_map* keys);
    ~SlotMap();
    SlotMap(const SlotMap&) = delete;
    SlotMap& operator=(const SlotMap&) = delete;

    /// Calls `each` with every key, and its place.
    void for_each_place(const std::function<void(u64 key, u64 place)>& each) const;
    /// Copies the state at a place to `state`. Returns false if there is none.
    bool read(u64 place, void* state) const;
    /// Removes the key at a place, and copies its state. Returns false if it is gone, or if `is_same` says that the
    /// state is another operation's.
    bool take_out(u64 key, u64 place, void* state, const std::function<bool()>& is_same) const;

private:
    [[nodiscard]] bool is_hash() const { return keys_ == nullptr; }

    const bpf_map* states_;
    u64* keys_ = nullptr;  // of slots
    u64 slots_ = 0;
};

}  // namespace iolens
