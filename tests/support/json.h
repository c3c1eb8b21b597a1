// SPDX-License-Identifier: Apache-2.0
// JSON output, read as its users read it: with a parser.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "iolens/event/header.h"

// Instantiated in json.cpp: most of what the header costs is compiled once.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace iolens::test {

/// Ordered: two objects are equal if their members have the same order, too.
using Json = nlohmann::ordered_json;

/// Throws on text that is not JSON.
Json parse_json(const std::string& text);

/// An object for each line. Throws on a line that is not one.
std::vector<Json> parse_json_lines(const std::string& text);

/// Throws on anything but a whole number that is not negative.
u64 number(const Json& value);

/// Throws on anything but a string and null, which is "".
std::string text_or_null(const Json& value);

}  // namespace iolens::test
