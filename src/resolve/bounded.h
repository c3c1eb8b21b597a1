// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <unordered_map>
#include <utility>

#include "iolens/event/header.h"

namespace iolens {

/// A map with a maximum size. When it is full, it evicts the oldest entry that was not used since it was last
/// considered (second chance), never the one that is being added.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class Bounded {
public:
    explicit Bounded(std::size_t max) : max_(max) {}

    /// Adds or replaces an entry. Valid until the next put().
    Value& put(const Key& key, Value value) {
        const auto [at, fresh] = entries_.try_emplace(key);
        at->second.value = std::move(value);
        if (at->second.idle != kept) at->second.idle = 0;
        if (!fresh) return at->second.value;
        order_.push_back(key);
        at->second.place = std::prev(order_.end());
        while (entries_.size() > max_ && entries_.size() > 1) evict(at->second);
        return at->second.value;
    }

    /// The entry of a key, created if there is none.
    Value& get(const Key& key) {
        if (const auto it = entries_.find(key); it != entries_.end()) {
            it->second.used = true;
            return it->second.value;
        }
        return put(key, Value{});
    }

    /// Null if there is none.
    [[nodiscard]] const Value* find(const Key& key) const {
        const auto it = entries_.find(key);
        if (it == entries_.end()) return nullptr;
        it->second.used = true;
        return &it->second.value;
    }

    [[nodiscard]] Value* find(const Key& key) { return const_cast<Value*>(std::as_const(*this).find(key)); }

    /// From now on age() does not remove this entry; put() may still evict it.
    void keep(const Key& key) {
        if (const auto it = entries_.find(key); it != entries_.end()) it->second.idle = kept;
    }

    /// Call when a period has passed. If there are more than `keep` entries, removes those that were neither used nor
    /// put during a whole period, oldest first.
    void age(std::size_t keep) {
        for (auto place = order_.begin(); place != order_.end();) {
            const auto it = entries_.find(*place++);
            Entry& entry = it->second;
            if (entry.idle == kept) continue;
            if (std::exchange(entry.used, false)) entry.idle = 0;
            if (entry.idle < idle_periods) ++entry.idle;
            if (entry.idle == idle_periods && entries_.size() > keep) {
                order_.erase(entry.place);
                entries_.erase(it);
            }
        }
    }

    void erase_if(auto goes) {
        for (auto place = order_.begin(); place != order_.end();) {
            const auto it = entries_.find(*place);
            if (goes(it->second.value)) {
                place = order_.erase(place);
                entries_.erase(it);
            } else {
                ++place;
            }
        }
    }

    void erase(const Key& key) {
        const auto it = entries_.find(key);
        if (it == entries_.end()) return;
        order_.erase(it->second.place);
        entries_.erase(it);
    }

    [[nodiscard]] std::size_t size() const { return entries_.size(); }
    /// Entries that were evicted.
    [[nodiscard]] u64 evicted() const { return evicted_; }

private:
    static constexpr u8 idle_periods = 2;  // the period of its last use doesn't count
    static constexpr u8 kept = 255;

    struct Entry {
        Value value{};
        mutable bool used = false;  // since it was last considered for eviction
        u8 idle = 0;                // periods, or `kept`
        typename std::list<Key>::iterator place;
    };

    void evict(const Entry& added) {
        const auto oldest = entries_.find(order_.front());
        if (oldest->second.used || &oldest->second == &added) {
            oldest->second.used = false;
            order_.splice(order_.end(), order_, oldest->second.place);
            return;
        }
        order_.pop_front();
        entries_.erase(oldest);
        ++evicted_;
    }

    std::size_t max_;
    std::unordered_map<Key, Entry, Hash> entries_;
    std::list<Key> order_;  // the next one to consider for eviction first
    u64 evicted_ = 0;
};

}  // namespace iolens
