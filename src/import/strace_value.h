// SPDX-License-Identifier: Apache-2.0
// Values as strace prints them: quoted text, numbers, and what -y has in <>.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

inline bool digit(char c) { return c >= '0' && c <= '9'; }

/// The place behind a text in double quotes that begins at `at`; npos where it doesn't end.
std::size_t behind_quotes(std::string_view text, std::size_t at);

/// The place behind what -y prints in <>, which begins at `at`: "</a/path>", "<TCP:[127.0.0.1:1->127.0.0.1:2]>",
/// "</dev/null<char 1:3>>". strace writes a < or > of a path as an escape.
std::size_t behind_angles(std::string_view text, std::size_t at);

/// A text in double quotes, possibly with "..." behind it, as bytes; nothing where it isn't one.
std::optional<std::string> unquoted(std::string_view text);

/// A number in decimal, octal (0…) or hexadecimal (0x…) at the beginning of `text`.
std::optional<s64> leading_number(std::string_view text);

/// What stands in <> behind the fd at the beginning of `text`, as -y prints it; "" where nothing does.
std::string_view file_behind_fd(std::string_view text);

}  // namespace iolens
