// SPDX-License-Identifier: Apache-2.0
// Fuzzes what reads iotracer's logs and the commands of its tree. Run by scripts/test.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "file_log.h"
#include "file_profile.h"
#include "import/iotracer_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace iolens;
    std::string_view text(reinterpret_cast<const char*>(data), size);
    ControlCommand command;
    if (parse_control(text, command) == 0 && (command.path.empty() || command.max_events > AccessLog::most_events)) {
        std::abort();
    }
    if (line_path(text).find('\n') != std::string::npos) std::abort();
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
