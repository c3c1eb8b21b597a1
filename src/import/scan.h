// SPDX-License-Identifier: Apache-2.0
// Scans text from left to right. Inline: each line of a log needs a dozen of these calls.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

inline bool digit(char c) { return c >= '0' && c <= '9'; }

inline void skip_blanks(std::string_view& text) {
    std::size_t at = 0;
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
    text.remove_prefix(at);
}

inline void cut_blanks(std::string_view& text) {
    std::size_t size = text.size();
    while (size != 0 && (text[size - 1] == ' ' || text[size - 1] == '\t' || text[size - 1] == '\r')) --size;
    text = text.substr(0, size);
}

inline bool take_word(std::string_view& text, std::string_view word) {
    // nearly always another first character: no call of memcmp()
    if (text.empty() || word.empty() || text[0] != word[0] || !text.starts_with(word)) return word.empty();
    text.remove_prefix(word.size());
    return true;
}

/// Takes a decimal number; nothing if there is none, or if it has more than 64 bits.
inline std::optional<u64> take_digits(std::string_view& text) {
    constexpr std::size_t always_fit = 19;
    u64 n = 0;
    std::size_t at = 0;
    while (at < text.size() && digit(text[at])) n = n * 10 + static_cast<u64>(text[at++] - '0');
    if (at == 0) return {};
    const std::string_view number = text.substr(0, at);
    if (at > always_fit && std::from_chars(number.data(), number.data() + number.size(), n).ec != std::errc())
        return {};
    text.remove_prefix(at);
    return n;
}

/// Takes ".123456" as nanoseconds; nothing if there is no fraction.
inline std::optional<u64> take_fraction(std::string_view& text) {
    if (text.size() < 2 || text[0] != '.' || !digit(text[1])) return {};
    u64 ns = 0;
    u64 unit = 100'000'000;
    std::size_t at = 1;
    for (; at < text.size() && digit(text[at]); ++at, unit /= 10) ns += static_cast<u64>(text[at] - '0') * unit;
    text.remove_prefix(at);
    return ns;
}

/// The offset after a text in double quotes that starts at `at`; npos if it isn't terminated.
inline std::size_t behind_quotes(std::string_view text, std::size_t at) {
    constexpr std::size_t none = std::string_view::npos;
    const std::size_t begin = at + 1;
    for (std::size_t end = text.find('"', begin); end != none; end = text.find('"', end + 1)) {
        // an odd number of backslashes: the quote is part of the text
        std::size_t slashes = end;
        while (slashes > begin && text[slashes - 1] == '\\') --slashes;
        if ((end - slashes) % 2 == 0) return end + 1;
    }
    return none;
}

}  // namespace iolens
