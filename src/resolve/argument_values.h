// SPDX-License-Identifier: Apache-2.0
// Values of arguments as strace prints them.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

inline constexpr std::array<std::string_view, 5> whences{"SEEK_SET", "SEEK_CUR", "SEEK_END", "SEEK_DATA", "SEEK_HOLE"};

/// Appends a C string literal, followed by "…" if it was truncated.
void append_quoted(std::string& out, std::string_view text);

/// Appends a value; `kind` as in src/resolve/syscall_table.h.
void append_value(std::string& out, char kind, u64 value);

/// A flag by its name, or a number as strace prints it.
std::optional<u64> flag_named(char kind, std::string_view name);

}  // namespace iolens
