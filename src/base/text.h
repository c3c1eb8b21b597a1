// SPDX-License-Identifier: Apache-2.0
// Bytes from outside, made harmless: comm, disk and file names are bytes that anyone can choose.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace iolens {

using Buffer = fmt::memory_buffer;

/// Room for `size` more bytes, which the caller fills at once. The library's own append() is a call for each piece, and
/// most pieces of a row are a few bytes.
[[gnu::always_inline]] inline char* extend(Buffer& out, std::size_t size) {
    const std::size_t at = out.size();
    out.try_resize(at + size);
    return out.data() + at;
}
inline void append(Buffer& out, std::string_view text) {
    if (text.empty()) return;  // memcpy() must not be given the null pointer of an empty view
    std::memcpy(extend(out, text.size()), text.data(), text.size());
}
inline void append(Buffer& out, char c) { *extend(out, 1) = c; }

/// Appends `bytes` so that they can't act on a terminal or mislead its reader: control characters, invalid UTF-8 and
/// the characters that turn the writing direction become \n, \t, \\ or \xNN. At most `max` characters are shown
/// (0 = all); an escape is never cut in two. Returns the number of characters appended.
std::size_t append_visible(Buffer& out, std::string_view bytes, std::size_t max = 0);

/// Appends a JSON string with its quotes. What is not UTF-8 becomes \udcNN for each byte NN (as Python's
/// surrogateescape reads it back).
void append_json(Buffer& out, std::string_view bytes);

/// Appends a CSV field as RFC 4180 has it: quoted when it must be.
void append_csv(Buffer& out, std::string_view bytes);

/// A name of a file or device for an error message.
std::string visible(std::string_view bytes);

/// "1 request", "2 requests", "3 accesses".
std::string counted(std::uint64_t count, std::string_view noun);

/// EIO for 5; the number itself where there is no name.
std::string_view errno_name(int error);

}  // namespace iolens
