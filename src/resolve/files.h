// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "iolens/event/file.h"
#include "resolve/bounded.h"

namespace iolens {

/// Names of open files, as the kernel side told them.
class Files {
public:
    struct Name {
        std::string text;  ///< "/var/lib/x", "anon_inode:[eventfd]", "/tmp/y (deleted)"
        std::string csv;   ///< the same as a csv field: a path in double quotes, quotes inside doubled
    };

    explicit Files(std::size_t max = 1 << 18) : names_(max), of_file_(max) {}

    /// A fact and its path. Returns false where the record is damaged.
    bool add(const iolens_file_fact& fact, std::span<const std::byte> record);

    /// A name of a file, for what knows the file only.
    void named(const iolens_file_id& file, u64 name_id);

    /// A name that a file was given before tracing began. It is not sent again: it stays, for when there is no later
    /// one.
    void given(const iolens_file_id& file, u64 name_id);

    /// The name that was told for an id; null where none was, or where it was long ago. Valid until the next add().
    [[nodiscard]] const Name* find(u64 name_id);
    /// The same; where the id is 0, the file's last name.
    [[nodiscard]] const Name* find(const iolens_file_id& file, u64 name_id);
    /// A period has passed: a name that was not needed for a whole one goes, unless it is `in_flight`. The kernel side
    /// sends it again when it is used.
    void age(std::span<const u64> in_flight);
    [[nodiscard]] std::size_t size() const { return names_.size(); }
    /// Names that made room for others.
    [[nodiscard]] u64 evicted() const { return names_.evicted(); }

private:
    Bounded<u64, Name> names_;
    u64 last_id_ = 0;  // most calls in a row are on one file
    const Name* last_ = nullptr;
    Bounded<iolens_file_id, u64, FileIdHash> of_file_;           // each file's last name_id
    std::unordered_map<iolens_file_id, u64, FileIdHash> given_;  // as many as files are watched
    iolens_file_id named_file_{};
    u64 named_id_ = 0;
};

}  // namespace iolens
