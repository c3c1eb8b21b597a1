// SPDX-License-Identifier: Apache-2.0
// Statistics of the file lens: per file and level, and per level.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "iolens/event/vfs.h"
#include "lens/lens.h"
#include "stats/accesses.h"

namespace iolens {

/// One level's profile: events, time, KiB and accesses per second, bytes, sequential and random share, and the sizes
/// that make up 1% of the accesses or more. The layout is that of iotracer's io_profile.
std::string profile_text(std::string_view level, const AccessSums& sums);
/// The same for a profile, including the accesses that it holds back.
std::string profile_text(std::string_view level, AccessProfile& profile);

/// One level's profile as a line of JSON, with counts instead of shares; "" if there are no accesses.
std::string profile_json(std::string_view level, const AccessSums& sums);

/// An access in plain numbers: positions are bytes at the VFS level, sectors at the block level.
Access plain_access(const iolens_vfs_event& e);

/// Takes about a kilobyte per file; files beyond the limit share one row.
class FileProfiles {
public:
    explicit FileProfiles(std::size_t max = 10'000) : max_(max) {}

    /// Adds an access; `name` is the text of the file column.
    void add(const iolens_vfs_event& e, std::string_view name);
    [[nodiscard]] Summary summary() const;
    /// Per level, in the form of profile_text().
    [[nodiscard]] std::string report() const;

private:
    struct OfFile {
        std::string name;
        std::array<AccessSums, IOLENS_LEVELS> levels;  // reads and writes
        std::map<u8, AccessTotals> others;             // by enum iolens_vfs_op: no bytes and no pattern
    };
    struct Item {
        Access access;
        OfFile* file;
        std::size_t level;
    };
    void take(const Item& item);
    static void add_rows(Summary& summary, const OfFile& file, bool patterns);
    static void add_row(Summary& summary, const OfFile& file, std::size_t level, std::string_view op,
                        const AccessTotals& t, bool pattern);
    void finish();

    std::size_t max_;
    OfFile& find(const iolens_file_id& id, std::string_view name);

    std::unordered_map<iolens_file_id, std::unique_ptr<OfFile>, FileIdHash> files_;
    OfFile rest_{.name = "(other files)", .levels = {}, .others = {}};  // files beyond the limit
    std::array<AccessSums, IOLENS_LEVELS> levels_;
    AccessOrder<Item> order_;
};

}  // namespace iolens
