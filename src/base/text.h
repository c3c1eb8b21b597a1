// SPDX-License-Identifier: Apache-2.0
// Escapes untrusted bytes: comm, disk and file names may contain any bytes.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace iolens {

using Buffer = fmt::memory_buffer;

/// Extends the buffer by `size` bytes, which the caller must fill at once. fmt's append() is a function call per piece,
/// and most pieces of a row are a few bytes.
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

/// Appends `bytes` so that they can't control a terminal or mislead its reader: control characters, invalid UTF-8 and
/// bidirectional formatting characters become \n, \t, \\ or \xNN. Appends at most `max` characters (0 = all); an escape
/// is never cut in two. Returns the number of characters appended.
std::size_t append_visible(Buffer& out, std::string_view bytes, std::size_t max = 0);

/// Appends a JSON string with its quotes. Each byte NN that is not UTF-8 becomes \udcNN (which Python's surrogateescape
/// converts back).
void append_json(Buffer& out, std::string_view bytes);

/// Appends the value of a metric's label, without quotes, as the text formats of Prometheus and OpenMetrics escape it:
/// \\,
/// \" and \n. Each byte NN of invalid UTF-8, of a control character other than tab and newline, of a bidirectional
/// formatting character and of U+FFFD becomes U+FFFD and two hexadecimal digits. Different names stay different: a
/// scraper rejects all metrics if two series have the same labels, and anyone can name a file.
void append_label_value(Buffer& out, std::string_view bytes);

/// Appends a CSV field according to RFC 4180: quoted if necessary.
void append_csv(Buffer& out, std::string_view bytes);

/// Escapes the name of a file or device for an error message.
std::string visible(std::string_view bytes);

/// "1 request", "2 requests", "3 accesses".
std::string counted(std::uint64_t count, std::string_view noun);

/// "10", "0xa" or "012" for 10, in base 10, 16 or 8.
std::string in_base(std::uint64_t number, std::uint64_t base);

/// "EIO" for 5; the number itself if there is no name.
std::string_view errno_name(int error);

}  // namespace iolens
