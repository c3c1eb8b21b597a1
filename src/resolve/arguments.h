// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

#include "iolens/event/call.h"
#include "resolve/bounded.h"

namespace iolens {

/// Each argument's text; null where it has none.
using ArgumentTexts = std::array<std::string_view, IOLENS_CALL_ARGUMENTS>;

/// Finds the texts behind a record of `h.size` bytes. Returns the one text of all arguments that a record of an
/// imported log has (IOLENS_ARGUMENTS_WHOLE).
std::string_view argument_texts(const iolens_arguments& record, ArgumentTexts& texts);

/// The arguments of each thread's current call. They are kept until the call's rows are made.
class Arguments {
public:
    explicit Arguments(std::size_t max = 1 << 15) : threads_(max) {}

    /// Adds a whole record.
    void add(const iolens_arguments& record) {
        const auto* words = reinterpret_cast<const u64*>(&record);
        threads_.get(record.tid).assign(words, words + record.h.size / 8);
    }

    /// Null where there are none. The record has `h.size` bytes, and is valid until the next add() or spent().
    [[nodiscard]] const iolens_arguments* find(u32 host_tid) const {
        const std::vector<u64>* words = threads_.find(host_tid);
        return words == nullptr ? nullptr : reinterpret_cast<const iolens_arguments*>(words->data());
    }

    /// A row of a thread's call was made. There may be a second one, behind records of other processors.
    void spent(u32 host_tid) {
        const iolens_arguments* record = find(host_tid);
        if (record == nullptr) return;
        spent_.emplace_back(host_tid, record->h.ts);
        constexpr std::size_t max_between = 1024;
        if (spent_.size() <= max_between) return;
        const auto [tid, ts] = spent_.front();
        spent_.pop_front();
        const iolens_arguments* old = find(tid);
        if (old != nullptr && old->h.ts == ts) threads_.erase(tid);
    }

    [[nodiscard]] std::size_t size() const { return threads_.size(); }
    /// Calls whose arguments made room for others.
    [[nodiscard]] u64 evicted() const { return threads_.evicted(); }

private:
    Bounded<u32, std::vector<u64>> threads_;  // by host_tid()
    std::deque<std::pair<u32, u64>> spent_;   // thread, and the time of its arguments
};

}  // namespace iolens
