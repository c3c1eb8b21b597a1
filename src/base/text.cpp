// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <fmt/compile.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace iolens {
namespace {

/// The code point at `at` and its length; length 0 if the bytes are not well-formed UTF-8.
struct CodePoint {
    std::uint32_t value = 0;
    std::size_t length = 0;
};

CodePoint code_point(std::string_view s, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[at + i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || at + length > s.size()) return {};
    std::uint32_t value = lead & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return {};
        value = value << 6 | (byte(i) & 0x3fU);
    }
    constexpr std::array<std::uint32_t, 5> min{0, 0, 0x80, 0x800, 0x10000};
    if (value < min[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
    return {value, length};
}

bool harmless(std::uint32_t c) {
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;  // C0, DEL, C1
    // bidirectional marks and overrides, line and paragraph separators, the byte order mark
    return !(c == 0x61c || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
             (c >= 0x2066 && c <= 0x2069) || c == 0xfeff);
}

bool plain_ascii(std::string_view s) {
    for (const char c : s) {
        if (c < 0x20 || c == 0x7f || c == '\\') return false;
    }
    return true;
}

}  // namespace

std::size_t append_visible(Buffer& out, std::string_view bytes, std::size_t max) {
    if (plain_ascii(bytes)) {
        if (max != 0) bytes = bytes.substr(0, max);
        append(out, bytes);
        return bytes.size();
    }
    std::size_t shown = 0;
    std::array<char, 20> piece{};
    for (std::size_t at = 0; at < bytes.size();) {
        const CodePoint c = code_point(bytes, at);
        const std::size_t length = c.length == 0 ? 1 : c.length;
        std::size_t width = 1;
        std::string_view text = bytes.substr(at, length);
        if (c.length == 1 && (c.value == '\\' || c.value == '\n' || c.value == '\t')) {
            text = c.value == '\\' ? "\\\\" : c.value == '\n' ? "\\n" : "\\t";
            width = 2;
        } else if (c.length == 0 || !harmless(c.value)) {
            char* end = piece.data();
            for (std::size_t i = 0; i < length; ++i) {
                end = fmt::format_to(end, FMT_COMPILE("\\x{:02x}"), static_cast<unsigned char>(bytes[at + i]));
            }
            text = {piece.data(), static_cast<std::size_t>(end - piece.data())};
            width = text.size();
        }
        if (max != 0 && shown + width > max) break;
        append(out, text);
        shown += width;
        at += length;
    }
    return shown;
}

void append_json(Buffer& out, std::string_view bytes) {
    out.push_back('"');
    if (plain_ascii(bytes) && bytes.find('"') == std::string_view::npos) {
        append(out, bytes);
        out.push_back('"');
        return;
    }
    for (std::size_t at = 0; at < bytes.size();) {
        const CodePoint c = code_point(bytes, at);
        if (c.length == 0) {
            fmt::format_to(std::back_inserter(out), FMT_COMPILE("\\udc{:02x}"), static_cast<unsigned char>(bytes[at]));
            ++at;
            continue;
        }
        if (c.value == '"' || c.value == '\\') {
            out.push_back('\\');
            out.push_back(static_cast<char>(c.value));
        } else if (c.value == '\n') {
            append(out, "\\n");
        } else if (c.value == '\t') {
            append(out, "\\t");
        } else if (!harmless(c.value)) {
            fmt::format_to(std::back_inserter(out), FMT_COMPILE("\\u{:04x}"), c.value);
        } else {
            append(out, bytes.substr(at, c.length));
        }
        at += c.length;
    }
    out.push_back('"');
}

void append_label_value(Buffer& out, std::string_view bytes) {
    constexpr std::uint32_t replacement = 0xfffd;
    if (plain_ascii(bytes) && bytes.find('"') == std::string_view::npos) {
        append(out, bytes);
        return;
    }
    for (std::size_t at = 0; at < bytes.size();) {
        const CodePoint c = code_point(bytes, at);
        const std::string_view text = bytes.substr(at, c.length == 0 ? 1 : c.length);
        if (c.length == 1 && (c.value == '\\' || c.value == '"' || c.value == '\n')) {
            append(out, '\\');
            append(out, c.value == '\n' ? 'n' : text[0]);
        } else if (c.length == 0 || (c.value != '\t' && !harmless(c.value)) || c.value == replacement) {
            for (const char byte : text) {
                fmt::format_to(std::back_inserter(out), FMT_COMPILE("\xef\xbf\xbd{:02x}"),
                               static_cast<unsigned char>(byte));
            }
        } else {
            append(out, text);
        }
        at += text.size();
    }
}

void append_csv(Buffer& out, std::string_view bytes) {
    if (std::ranges::none_of(bytes, [](char c) { return c == ',' || c == '"' || c == '\r' || c == '\n'; })) {
        append(out, bytes);
        return;
    }
    out.push_back('"');
    for (const char c : bytes) {
        if (c == '"') out.push_back('"');
        out.push_back(c);
    }
    out.push_back('"');
}

std::string visible(std::string_view bytes) {
    Buffer out;
    append_visible(out, bytes);
    return fmt::to_string(out);
}

std::string counted(std::uint64_t count, std::string_view noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : noun.ends_with('s') ? "es" : "s");
}

std::string in_base(std::uint64_t number, std::uint64_t base) {
    switch (base) {
        case 16: return fmt::format("{:#x}", number);
        case 8: return fmt::format("{:#o}", number);
        default: return std::to_string(number);
    }
}

std::string_view errno_name(int error) {
    const char* name = ::strerrorname_np(error);
    return name != nullptr ? name : "E?";
}

}  // namespace iolens
