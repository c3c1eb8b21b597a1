// SPDX-License-Identifier: Apache-2.0
#include "import/iotracer_log.h"

#include <algorithm>
#include <charconv>

namespace iolens {
namespace {

bool whole(std::string_view text, u64& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

/// Converts "12.345" to nanoseconds.
bool seconds(std::string_view text, u64& ns) {
    constexpr std::size_t digits = 9;
    const std::size_t point = text.find('.');
    u64 second = 0;
    u64 part = 0;
    if (point == std::string_view::npos || !whole(text.substr(0, point), second)) return false;
    const std::string_view fraction = text.substr(point + 1);
    if (fraction.empty() || fraction.size() > digits || !whole(fraction, part)) return false;
    for (std::size_t i = fraction.size(); i < digits; ++i) part *= 10;
    constexpr u64 max = ~u64{0} / 1'000'000'000 - 1;
    if (second > max) return false;
    ns = second * 1'000'000'000 + part;
    return true;
}

}  // namespace

bool parse_iotracer_line(std::string_view line, iolens_vfs_event& event) {
    event = {};
    event.h.kind = IOLENS_KIND_VFS;
    event.h.size = sizeof event;
    const auto next = [&line](std::string_view& field) {
        const std::size_t end = line.find(';');
        if (end == std::string_view::npos) return false;
        field = line.substr(0, end);
        line.remove_prefix(end + 1);
        return true;
    };
    std::string_view field;
    if (!next(field) || !seconds(field, event.start)) return false;
    event.h.ts = event.start;
    if (!next(field) || (field != "R" && field != "W")) return false;
    event.op = field == "R" ? IOLENS_VFS_READ : IOLENS_VFS_WRITE;
    if (!next(field) || !whole(field, event.address)) return false;
    if (!next(field) || !whole(field, event.requested)) return false;
    if (!next(field) || (field != "VFS" && field != "BLK")) return false;
    event.level = field == "VFS" ? IOLENS_LEVEL_VFS : IOLENS_LEVEL_BLK;
    // a name may contain a semicolon, a pid does not
    const std::size_t last = line.rfind(';');
    u64 pid = 0;
    if (last == std::string_view::npos || !whole(line.substr(last + 1), pid) || pid > 0xffffffffU) return false;
    event.tgid = static_cast<u32>(pid);
    const std::string_view comm = line.substr(0, std::min<std::size_t>(last, IOLENS_COMM_LEN - 1));
    std::ranges::copy(comm, reinterpret_cast<char*>(static_cast<u8*>(event.comm)));
    event.flags = IOLENS_VFS_NO_END;
    return true;
}

}  // namespace iolens
