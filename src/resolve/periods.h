// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdlib>

#include "iolens/event/header.h"

namespace iolens {

/// Times the cleanup of caches. The kernel side sends names and threads again when they are first used in a new period,
/// so that an entry that was unused for a whole period can be dropped safely.
class Periods {
public:
    /// Calls `send_again` when a period begins, or at most once a second if more entries were `evicted` since; then
    /// calls `age` if a period has passed.
    void look(u64 evicted, auto send_again, auto age) {
        const auto now = std::chrono::steady_clock::now();
        const bool passed = now - began_ >= length_;
        if (!passed && (evicted == evicted_ || now - sent_ < std::chrono::seconds(1))) return;
        sent_ = now;
        evicted_ = evicted;
        send_again();
        if (!passed) return;
        began_ = now;
        age();
    }

private:
    /// IOLENS_PERIOD_MS shortens it, for tests.
    static std::chrono::milliseconds length() {
        const char* text = std::getenv("IOLENS_PERIOD_MS");  // NOLINT(concurrency-mt-unsafe): one thread
        return std::chrono::milliseconds(text == nullptr ? 30'000 : std::strtol(text, nullptr, 10));
    }

    const std::chrono::milliseconds length_ = length();
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point sent_{};
    u64 evicted_ = 0;
};

}  // namespace iolens
