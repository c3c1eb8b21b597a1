// SPDX-License-Identifier: Apache-2.0
// Any bytes as a log of iotracer, which 'iolens file profile' reads.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "import/iotracer_log.h"
#include "lens/file/profile.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace iolens;
    std::string_view text(reinterpret_cast<const char*>(data), size);
    std::array<AccessProfile, IOLENS_LEVELS> levels;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        iolens_vfs_event event;
        if (parse_iotracer_line(text.substr(0, end), event)) levels.at(event.level).add(plain_access(event));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    for (AccessProfile& level : levels) static_cast<void>(profile_text("VFS", level));
    return 0;
}
