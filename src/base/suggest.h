// SPDX-License-Identifier: Apache-2.0
// Suggestions for misspelled names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace iolens {

/// The name that is closest to `word`, ignoring case; "" if none is close.
std::string_view nearest_name(std::string_view word, std::span<const std::string_view> names);

/// "unknown format 'JSON' (did you mean 'json'?)": an error message for a word that is not one of `names`.
std::string unknown_name(std::string_view kind, std::string_view word, std::span<const std::string_view> names);

/// For a hint: "the formats are table, csv and json".
std::string list_names(std::string_view kinds, std::span<const std::string_view> names);

}  // namespace iolens
