// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "iolens/event/file.h"

namespace iolens {

/// Names of open files, as the kernel side told them.
class Files {
public:
    struct Name {
        std::string text;  ///< "/var/lib/x", "anon_inode:[eventfd]", "/tmp/y (deleted)"
        std::string csv;   ///< the same as a csv field: a path in double quotes, quotes inside doubled
    };

    explicit Files(std::size_t most = 1 << 18) : most_(most) {}

    /// A fact and its path. Returns false where the record is damaged.
    bool told(const iolens_file_fact& fact, std::span<const std::byte> record);

    /// The name that was told for an id; null where none was, or where it was long ago. Valid until the next told().
    [[nodiscard]] const Name* find(u64 name_id);

private:
    struct Entry {
        Name name;
        bool used = false;  // since it was last looked at for removal
    };
    std::size_t most_;
    std::unordered_map<u64, Entry> names_;
    std::deque<u64> order_;  // as told; the oldest that wasn't used goes first
    u64 last_id_ = 0;        // most calls in a row are on one file
    const Name* last_ = nullptr;
};

}  // namespace iolens
