// SPDX-License-Identifier: Apache-2.0
#include "resolve/waits.h"

namespace iolens {

void Waits::add(u32 tid, const Wait& wait) {
    const auto added = all_.insert(all_.end(), Entry{.tid = tid, .wait = wait, .next = all_.end()});
    const auto [at, fresh] = threads_.try_emplace(tid, Thread{added, added});
    if (!fresh) {
        at->second.last->next = added;
        at->second.last = added;
    }
    while (all_.size() > max_) {
        forget_oldest();
        ++evicted_;
    }
}

void Waits::forget_before(u64 ns) {
    while (!all_.empty() && all_.front().wait.end < ns) forget_oldest();
}

std::span<const Waits::Wait> Waits::after(u32 tid, u64 ns) {
    found_.clear();
    while (true) {
        const auto it = threads_.find(tid);
        if (it == threads_.end()) return {};
        if (it->second.first->wait.end > ns) break;
        forget_first(it);
    }
    for (auto at = threads_.at(tid).first; at != all_.end(); at = at->next) found_.push_back(at->wait);
    return found_;
}

/// A thread's waits have the same order in `all_` as in its own list: the oldest wait is the first of its thread.
void Waits::forget_oldest() { forget_first(threads_.find(all_.front().tid)); }

void Waits::forget_first(Threads::iterator thread) {
    const auto first = thread->second.first;
    if (first->next == all_.end()) {
        threads_.erase(thread);
    } else {
        thread->second.first = first->next;
    }
    all_.erase(first);
}

}  // namespace iolens
