// SPDX-License-Identifier: Apache-2.0
// Parses values as strace prints them: quoted text, numbers, and what -y prints in <>.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "import/scan.h"
#include "iolens/event/header.h"

namespace iolens {

/// The offset after what -y prints in <>, which starts at `at`: "</a/path>", "<TCP:[127.0.0.1:1->127.0.0.1:2]>",
/// "</dev/null<char 1:3>>". strace escapes < and > in a path.
std::size_t behind_angles(std::string_view text, std::size_t at);

/// The bytes of a text in double quotes, optionally followed by "..."; nothing if it isn't one.
std::optional<std::string> unquoted(std::string_view text);

/// A decimal, octal (0…) or hexadecimal (0x…) number at the start of `text`.
std::optional<s64> leading_number(std::string_view text);

/// The offset of `word` from `at` on, outside of text in double quotes; npos if it isn't there.
std::size_t find_outside(std::string_view text, std::string_view word, std::size_t at = 0);

/// What follows "name=" in a struct; "" if it isn't there.
std::string_view member_of(std::string_view text, std::string_view name);

/// The sum of the numbers after each "name=".
u64 sum_of(std::string_view text, std::string_view name);

/// The bytes of a vector of buffers: [{iov_base="ab", iov_len=2}, …], or as strace before 4.22 printed it, [{"ab", 2},
/// …]. Nothing if it isn't printed whole.
std::optional<u64> vector_bytes(std::string_view text);

/// A value without its comment: "0x2" of "0x2 /* MSG_PEEK */".
std::string_view without_comment(std::string_view text);

/// Likewise without each comment in it: "0x1|0x80000".
std::string without_comments(std::string_view text);

/// A value by name, where there is one: "MSG_PEEK" of "0x2 /* MSG_PEEK */"; of several flags, the first.
std::string_view by_name(std::string_view text);

/// Does a value have this flag, by name or, with -X raw, as a bit of one of its numbers?
bool has_flag(std::string_view text, std::string_view name, u64 bit);

/// The text in <> after the fd at the start of `text`, as -y prints it; "" if there is none.
std::string_view file_behind_fd(std::string_view text);

/// Does "(deleted)" follow what -y prints?
bool shown_as_deleted(std::string_view text);

}  // namespace iolens
