// SPDX-License-Identifier: Apache-2.0
// What the file lens adds up: per file and level, and per level.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "iolens/event/vfs.h"
#include "lens.h"
#include "reduce/accesses.h"

namespace iolens {

/// One level's profile as iotracer's io_profile prints it: events, time, rates, bytes, sequential and random share, and
/// the sizes that are 1% of the accesses or more.
std::string profile_text(std::string_view level, AccessProfile& profile);

/// An access in plain numbers: places are bytes at the VFS, sectors at the block level.
Access plain_access(const iolens_vfs_event& e);

class FileProfiles {
public:
    /// Of reads and writes; `name` is what the file column shows.
    void add(const iolens_vfs_event& e, std::string_view name);
    [[nodiscard]] Summary summary() const;
    /// Per level, as profile_text() has it.
    [[nodiscard]] std::string report() const;

private:
    struct OfFile {
        std::string name;
        std::array<AccessProfile, IOLENS_LEVELS> levels;
    };
    std::unordered_map<iolens_file_id, std::unique_ptr<OfFile>, FileIdHash> files_;
    std::array<AccessProfile, IOLENS_LEVELS> levels_;
};

}  // namespace iolens
