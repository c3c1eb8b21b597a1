// SPDX-License-Identifier: Apache-2.0
// How sinks print times.
#pragma once

#include <charconv>
#include <ctime>

#include "base/text.h"
#include "iolens/event/header.h"

namespace iolens {

inline void append_number(Buffer& out, u64 n) {
    constexpr std::size_t max = 20;
    char* const begin = extend(out, max);
    const char* const end = std::to_chars(begin, begin + max, n).ptr;
    out.try_resize(out.size() - max + static_cast<std::size_t>(end - begin));
}

/// Appends a separator and `digits` (at most 9) digits of n, which has no more.
inline void append_digits(Buffer& out, char separator, u64 n, unsigned digits) {
    char* const text = extend(out, digits + 1);
    text[0] = separator;
    for (unsigned i = digits; i > 0; n /= 10) text[i--] = static_cast<char>('0' + n % 10);
}

/// Appends "whole.rest" with `digits` (at most 9) digits after the decimal point; `rest` has no more.
inline void append_scaled(Buffer& out, u64 whole, u64 rest, unsigned digits) {
    append_number(out, whole);
    append_digits(out, '.', rest, digits);
}

/// Nanoseconds as seconds with six digits, truncated rather than rounded, as a clock does.
inline void append_seconds(Buffer& out, u64 ns) {
    append_scaled(out, ns / 1'000'000'000, ns % 1'000'000'000 / 1000, 6);
}

/// Wall-clock time as local HH:MM:SS and a fraction. Consecutive rows usually share the same second.
class WallClock {
public:
    /// `ns` since 1970, with `digits` (at most 9) digits of the second, truncated.
    void append_to(Buffer& out, u64 ns, unsigned digits) {
        const u64 second = ns / 1'000'000'000;
        if (second != second_ || text_.empty()) {
            second_ = second;
            const auto clock = static_cast<std::time_t>(second);
            std::tm local{};
            ::localtime_r(&clock, &local);
            text_ = fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
        }
        append(out, text_);
        u64 rest = ns % 1'000'000'000;
        for (unsigned i = digits; i < 9; ++i) rest /= 10;
        append_digits(out, '.', rest, digits);
    }

private:
    u64 second_ = 0;
    std::string text_;
};

}  // namespace iolens
