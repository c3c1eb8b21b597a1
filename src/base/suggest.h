// SPDX-License-Identifier: Apache-2.0
// What a misspelled word was probably meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace iolens {

/// The name that is nearest to `word`, ignoring case; "" if none is near.
std::string_view nearest_name(std::string_view word, std::span<const std::string_view> names);

/// "unknown format 'JSON' (did you mean 'json'?)": a sentence about a word that is none of `names`.
std::string unknown_name(std::string_view kind, std::string_view word, std::span<const std::string_view> names);

/// For a hint: "the formats are table, csv and json".
std::string list_names(std::string_view kinds, std::span<const std::string_view> names);

}  // namespace iolens
