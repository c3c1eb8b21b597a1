// SPDX-License-Identifier: Apache-2.0
#include "import/strace_value.h"

#include <algorithm>
#include <charconv>

namespace iolens {

std::size_t behind_angles(std::string_view text, std::size_t at) {
    int depth = 0;
    int brackets = 0;
    for (std::size_t i = at; i < text.size(); ++i) {
        switch (text[i]) {
            case '\\': ++i; break;  // strace escapes a quote in a path
            case '"':
                if (brackets > 0) {  // a unix socket's path
                    i = behind_quotes(text, i);
                    if (i == std::string_view::npos) return i;
                    --i;
                }
                break;
            case '[': ++brackets; break;
            case ']': --brackets; break;
            case '<': ++depth; break;
            case '>':
                if (brackets > 0 && text[i - 1] == '-') break;  // ->
                if (--depth == 0) return i + 1;
                break;
            default: break;
        }
    }
    // a path may contain a bracket
    const std::size_t end = text.find('>', at);
    return end == std::string_view::npos ? end : end + 1;
}

std::optional<s64> leading_number(std::string_view text) {
    if (!text.empty() && text[0] >= '1' && text[0] <= '9') {
        const auto n = take_digits(text);
        return n ? std::optional(static_cast<s64>(*n)) : std::nullopt;
    }
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    int base = 10;
    if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text.remove_prefix(2);
    } else if (text.size() > 1 && text[0] == '0' && digit(text[1])) {
        base = 8;
    }
    u64 n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n, base);
    if (error != std::errc() || end == text.data()) return {};
    return static_cast<s64>(negative ? ~n + 1 : n);
}

std::size_t find_outside(std::string_view text, std::string_view word, std::size_t at) {
    while (at < text.size()) {
        const std::size_t found = text.find(word, at);
        if (found == std::string_view::npos) return found;
        const std::size_t quote = text.find('"', at);
        if (quote >= found) return found;
        at = behind_quotes(text, quote);
    }
    return std::string_view::npos;
}

std::string_view member_of(std::string_view text, std::string_view name) {
    const std::size_t at = find_outside(text, name);
    return at == std::string_view::npos ? std::string_view() : text.substr(at + name.size());
}

u64 sum_of(std::string_view text, std::string_view name) {
    u64 sum = 0;
    for (std::size_t at = find_outside(text, name); at != std::string_view::npos; at = find_outside(text, name, at)) {
        at += name.size();
        sum += static_cast<u64>(leading_number(text.substr(at)).value_or(0));
    }
    return sum;
}

std::optional<u64> vector_bytes(std::string_view text) {
    // an address, or cut after some of its elements
    if (find_outside(text, "[") == std::string_view::npos || text.ends_with(", ...]")) {
        return {};
    }
    if (find_outside(text, "iov_len=") != std::string_view::npos) return sum_of(text, "iov_len=");
    u64 sum = 0;
    bool any = false;
    for (std::size_t at = find_outside(text, "{\""); at != std::string_view::npos; at = find_outside(text, "{\"", at)) {
        at = behind_quotes(text, at + 1);
        if (at == std::string_view::npos) return {};
        if (text.substr(at).starts_with("...")) at += 3;
        if (!text.substr(at).starts_with(", ")) continue;
        const auto length = leading_number(text.substr(at + 2));
        if (!length) continue;
        sum += static_cast<u64>(*length);
        any = true;
    }
    if (any || text == "[]") return sum;
    return {};
}

std::string_view without_comment(std::string_view text) {
    const std::size_t at = text.find(" /* ");
    return at == std::string_view::npos || text.starts_with('"') ? text : text.substr(0, at);
}

std::string without_comments(std::string_view text) {
    std::string plain;
    while (true) {
        const std::size_t at = find_outside(text, " /* ");
        const std::size_t end = at == std::string_view::npos ? at : text.find("*/", at);
        plain += text.substr(0, end == std::string_view::npos ? end : at);
        if (end == std::string_view::npos) return plain;
        text.remove_prefix(end + 2);
    }
}

std::string_view by_name(std::string_view text) {
    const std::size_t at = text.find("/* ");
    const std::size_t end = text.find(" */");
    if (text.empty() || !(digit(text[0]) || text[0] == '-') || at == std::string_view::npos ||
        end == std::string_view::npos || end < at + 3) {
        return text;
    }
    return text.substr(at + 3, end - at - 3);
}

bool has_flag(std::string_view text, std::string_view name, u64 bit) {
    if (text.empty()) return false;
    if (!digit(text[0])) return find_outside(text, name) != std::string_view::npos;
    u64 value = 0;  // "0x1|0x80000", each with a comment with -X verbose
    for (std::size_t at = 0; at < text.size();) {
        value |= static_cast<u64>(leading_number(text.substr(at)).value_or(0));
        const std::size_t bar = text.find('|', at);
        if (bar == std::string_view::npos) break;
        at = bar + 1;
    }
    return (value & bit) == bit;
}

namespace {

/// The offset after an fd at the start of `text`, which may be hexadecimal; 0 if there is none.
std::size_t behind_number(std::string_view text) {
    if (text.starts_with("AT_FDCWD")) return 8;
    const bool hexadecimal = text.starts_with("0x");
    std::size_t at = hexadecimal ? 2 : 0;
    while (at < text.size() && (digit(text[at]) || (hexadecimal && text[at] >= 'a' && text[at] <= 'f'))) ++at;
    return at;
}

}  // namespace

std::string_view file_behind_fd(std::string_view text) {
    const std::size_t at = behind_number(text);
    if (at == 0 || at >= text.size() || text[at] != '<') return {};
    const std::size_t end = behind_angles(text, at);
    return end == std::string_view::npos ? std::string_view() : text.substr(at + 1, end - at - 2);
}

bool shown_as_deleted(std::string_view text) {
    const std::size_t at = behind_number(text);
    if (at == 0 || at >= text.size() || text[at] != '<') return false;
    const std::size_t end = behind_angles(text, at);
    return end != std::string_view::npos && text.substr(end).starts_with("(deleted)");
}

std::optional<std::string> unquoted(std::string_view text) {
    if (!text.starts_with('"')) return {};
    const std::size_t end = behind_quotes(text, 0);
    if (end == std::string_view::npos) return {};
    text = text.substr(1, end - 2);
    std::string out;
    const auto octal = [](char c) { return c >= '0' && c <= '7'; };
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 >= text.size()) {
            out += text[i];
            continue;
        }
        const char c = text[++i];
        if (octal(c)) {
            unsigned value = 0;
            std::size_t digits = 0;
            for (; digits < 3 && i + digits < text.size() && octal(text[i + digits]); ++digits) {
                value = value * 8 + static_cast<unsigned>(text[i + digits] - '0');
            }
            i += digits - 1;
            out += static_cast<char>(value & 0xff);
        } else if (c == 'x') {
            unsigned value = 0;
            const char* begin = text.data() + i + 1;
            const auto [after, error] =
                std::from_chars(begin, std::min(begin + 2, text.data() + text.size()), value, 16);
            if (error == std::errc()) i += static_cast<std::size_t>(after - begin);
            out += static_cast<char>(value & 0xff);
        } else {
            constexpr std::string_view letters = "ntvfrabe";
            constexpr std::string_view bytes = "\n\t\v\f\r\a\b\033";
            const std::size_t which = letters.find(c);
            out += which == std::string_view::npos ? c : bytes[which];
        }
    }
    return out;
}

}  // namespace iolens
