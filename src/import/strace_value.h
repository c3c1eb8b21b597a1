// SPDX-License-Identifier: Apache-2.0
// Parses values as strace prints them: quoted text, numbers, and what -y prints in <>.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

inline bool digit(char c) { return c >= '0' && c <= '9'; }

/// The offset after a text in double quotes that starts at `at`; npos if it isn't terminated.
std::size_t behind_quotes(std::string_view text, std::size_t at);

/// The offset after what -y prints in <>, which starts at `at`: "</a/path>", "<TCP:[127.0.0.1:1->127.0.0.1:2]>",
/// "</dev/null<char 1:3>>". strace escapes < and > in a path.
std::size_t behind_angles(std::string_view text, std::size_t at);

/// The bytes of a text in double quotes, optionally followed by "..."; nothing if it isn't one.
std::optional<std::string> unquoted(std::string_view text);

/// A decimal, octal (0…) or hexadecimal (0x…) number at the start of `text`.
std::optional<s64> leading_number(std::string_view text);

/// The sum of the numbers after each "name=".
u64 sum_of(std::string_view text, std::string_view name);

/// The text in <> after the fd at the start of `text`, as -y prints it; "" if there is none.
std::string_view file_behind_fd(std::string_view text);

}  // namespace iolens
