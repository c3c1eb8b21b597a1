// SPDX-License-Identifier: Apache-2.0
#include "resolve/extents.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"

namespace iolens {

std::optional<std::vector<Extent>> read_extents(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return {};
    constexpr u32 max = 512;
    std::vector<u64> buffer((sizeof(fiemap) + max * sizeof(fiemap_extent)) / 8 + 1);
    std::vector<Extent> items;
    for (u64 from = 0;;) {
        std::ranges::fill(buffer, 0);
        auto& map = *reinterpret_cast<fiemap*>(buffer.data());
        map.fm_start = from;
        map.fm_length = ~u64{0} - from;
        map.fm_extent_count = max;
        if (::ioctl(fd.get(), FS_IOC_FIEMAP, &map) != 0) return {};
        if (map.fm_mapped_extents == 0) return items;
        for (u32 i = 0; i < map.fm_mapped_extents; ++i) {
            const fiemap_extent& extent = map.fm_extents[i];
            constexpr u32 placeless =
                FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_ENCODED;
            if ((extent.fe_flags & placeless) == 0) {
                items.push_back({extent.fe_logical, extent.fe_physical, extent.fe_length});
            }
            if ((extent.fe_flags & FIEMAP_EXTENT_LAST) != 0) return items;
            from = extent.fe_logical + extent.fe_length;
        }
    }
}

Ranges sectors_of(const std::vector<Extent>& extents, u64 from, u64 to) {
    Ranges sectors;
    for (const Extent& extent : extents) {
        const u64 first = std::max(from, extent.logical);
        const u64 end = std::min(to, extent.logical + extent.length);
        if (first >= end) continue;
        const u64 begin = extent.physical + (first - extent.logical);
        sectors.emplace_back(begin / 512, (begin + (end - first) + 511) / 512);
    }
    return sectors;
}

Ranges united(Ranges ranges) {
    std::ranges::sort(ranges);
    Ranges items;
    for (const auto& [first, end] : ranges) {
        if (first >= end) continue;
        if (!items.empty() && first <= items.back().second) {
            items.back().second = std::max(items.back().second, end);
        } else {
            items.emplace_back(first, end);
        }
    }
    return items;
}

u64 covered(const Ranges& some, const Ranges& items) {
    u64 sum = 0;
    for (const auto& [first, end] : some) {
        // the first range that ends after our start
        auto it = std::ranges::upper_bound(items, first, {}, &std::pair<u64, u64>::second);
        for (; it != items.end() && it->first < end; ++it)
            sum += std::min(end, it->second) - std::max(first, it->first);
    }
    return sum;
}

u64 total(const Ranges& ranges) {
    u64 sum = 0;
    for (const auto& [first, end] : ranges) sum += end - first;
    return sum;
}

}  // namespace iolens
