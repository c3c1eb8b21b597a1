// SPDX-License-Identifier: Apache-2.0
// Reads JSON output with a parser, like its users.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "iolens/event/header.h"

// Instantiated in json.cpp, so that most of the expensive header is compiled only once.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace iolens::test {

/// Ordered: objects are equal only if their members are in the same order.
using Json = nlohmann::ordered_json;

/// Throws on text that is not JSON.
Json parse_json(const std::string& text);

/// One object per line. Throws on a line that is not JSON.
std::vector<Json> parse_json_lines(const std::string& text);

/// Throws on anything but a non-negative integer.
u64 number(const Json& value);

/// Throws on anything but a string or null; null becomes "".
std::string text_or_null(const Json& value);

}  // namespace iolens::test
