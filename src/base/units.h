// SPDX-License-Identifier: Apache-2.0
// Times and sizes in command-line notation: "500ms", "64KiB".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iolens {

/// Nanoseconds of "10s", "0.5s", "500ms", "20us", "5min" or "2h"; a number without a unit counts in `bare_ns`. Nothing
/// for any other text, a value of more than 64 bits, or nonzero digits below a nanosecond.
std::optional<std::uint64_t> parse_time(std::string_view text, std::uint64_t bare_ns);

/// Bytes of "4096B", "64KiB", "8MiB" or "1GiB", also without "iB"; a number without a unit counts in `bare`. Nothing
/// for any other text, or a value of more than 64 bits.
std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t bare = 1);

/// Uses the largest unit that needs no fraction: "500ms", "64KiB".
std::string time_text(std::uint64_t ns);
std::string size_text(std::uint64_t bytes);

}  // namespace iolens
