// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

#include "iolens/event/call.h"
#include "resolve/argument_items.h"
#include "resolve/bounded.h"

namespace iolens {

/// The text of each argument; null if it has none.
using ArgumentTexts = std::array<std::string_view, IOLENS_CALL_ARGUMENTS>;

/// Finds the texts that follow a record of `h.size` bytes. For a record of an imported log (IOLENS_ARGUMENTS_WHOLE),
/// returns the single text of all arguments.
std::string_view argument_texts(const iolens_arguments& record, ArgumentTexts& texts);

/// The texts of a call in a log, as they are there; "" in a record that has none.
struct LoggedTexts {
    std::string_view arguments;
    std::string_view name;
    std::string_view result;
};
LoggedTexts texts_in_log(const iolens_arguments& record);

/// What the arguments point to, as far as the record has it. Valid as long as the record.
ArgumentItems argument_items(const iolens_arguments& record);

/// The arguments of each thread's current call, stored until the call's rows are built.
class Arguments {
public:
    explicit Arguments(std::size_t max = 1 << 15) : threads_(max) {}

    /// Adds a complete record.
    void add(const iolens_arguments& record) {
        const auto* words = reinterpret_cast<const u64*>(&record);
        std::vector<u64>& copy = threads_.get(record.tid);
        copy.assign(words, words + record.h.size / 8);
        last_tid_ = record.tid;
        last_ = &copy;
    }

    /// Null if there are none. The record has `h.size` bytes, and is valid until the next add() or spent().
    [[nodiscard]] const iolens_arguments* find(u32 host_tid) const {
        const std::vector<u64>* words = last_ != nullptr && last_tid_ == host_tid ? last_ : threads_.find(host_tid);
        return words == nullptr ? nullptr : reinterpret_cast<const iolens_arguments*>(words->data());
    }

    /// A row of a thread's call was built. There may be a second one, after records of other CPUs.
    void spent(u32 host_tid) {
        const iolens_arguments* record = find(host_tid);
        if (record == nullptr) return;
        spent_.emplace_back(host_tid, record->h.ts);
        constexpr std::size_t max_between = 1024;
        if (spent_.size() <= max_between) return;
        const auto [tid, ts] = spent_.front();
        spent_.pop_front();
        const iolens_arguments* old = find(tid);
        if (old == nullptr || old->h.ts != ts) return;
        if (tid == last_tid_) last_ = nullptr;
        threads_.erase(tid);
    }

    [[nodiscard]] std::size_t size() const { return threads_.size(); }
    /// Calls whose arguments were evicted.
    [[nodiscard]] u64 evicted() const { return threads_.evicted(); }

private:
    Bounded<u32, std::vector<u64>> threads_;  // by host_tid()
    u32 last_tid_ = 0;
    const std::vector<u64>* last_ = nullptr;  // of last_tid_: rows need the record that was added last
    std::deque<std::pair<u32, u64>> spent_;   // thread, and the timestamp of its arguments
};

}  // namespace iolens
