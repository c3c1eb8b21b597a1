// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "iolens/event/file.h"
#include "resolve/bounded.h"

namespace iolens {

/// Names of open files, as emitted by the kernel side.
class Files {
public:
    struct Name {
        std::string text;  ///< "/var/lib/x", "anon_inode:[eventfd]", "/tmp/y (deleted)"
        std::string csv;   ///< as a CSV field: a path in double quotes, with quotes doubled
    };

    explicit Files(std::size_t max = 1 << 18) : names_(max), of_file_(max) {}

    /// Adds a fact with its path. Returns false if the record is damaged.
    bool add(const iolens_file_fact& fact, std::span<const std::byte> record);

    /// Sets a file's name, for events that identify only the file.
    void named(const iolens_file_id& file, u64 name_id);

    /// Sets a name that a file was given before tracing began. It is not sent again, so it is never dropped; it is used
    /// if there is no later one.
    void given(const iolens_file_id& file, u64 name_id);

    /// The name of an id; null if it was never emitted, or dropped since. Valid until the next add().
    [[nodiscard]] const Name* find(u64 name_id);
    /// Likewise; if the id is 0, the file's last name.
    [[nodiscard]] const Name* find(const iolens_file_id& file, u64 name_id);
    /// Call when a period has passed: drops names that were not used for a whole period, unless they are `in_flight`.
    /// The kernel side sends a name again when it is next used.
    void age(std::span<const u64> in_flight);
    [[nodiscard]] std::size_t size() const { return names_.size(); }
    /// Names that were evicted.
    [[nodiscard]] u64 evicted() const { return names_.evicted(); }

private:
    Bounded<u64, Name> names_;
    u64 last_id_ = 0;  // consecutive calls are usually on one file
    const Name* last_ = nullptr;
    Bounded<iolens_file_id, u64, FileIdHash> of_file_;           // each file's last name_id
    std::unordered_map<iolens_file_id, u64, FileIdHash> given_;  // bounded by the number of watched files
    iolens_file_id named_file_{};
    u64 named_id_ = 0;
};

}  // namespace iolens
