// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// A block device as sysfs has it.
struct Disk {
    std::string name;      ///< nvme0n1p1
    u32 dev = 0;           ///< major << 20 | minor
    u32 whole_dev = 0;     ///< of the disk that a partition is on; else `dev`
    u64 first_sector = 0;  ///< of a partition, in 512-byte sectors
    u64 sector_count = 0;  ///< of a partition; 0 for a whole disk
    [[nodiscard]] bool is_partition() const { return dev != whole_dev; }
};

/// Disk numbers to names, and back. `root` is "/" but for tests.
class Disks {
public:
    explicit Disks(std::string root = "/") : root_(std::move(root)) {}

    /// A name from the kernel. It replaces an earlier one.
    void add(u32 dev, std::string_view name) { names_[dev] = name; }

    /// What is shown was recorded, perhaps on another machine: /sys is not asked for its disks. One that the recording
    /// does not name is "major:minor", and find() finds none.
    void set_recorded() { here_ = false; }

    /// The disk's name: as added, or as /sys/dev/block has it; "" where neither knows.
    std::string_view name(u32 dev);

    /// A disk, partition or device-mapper name, or a path in /dev, as sysfs has it.
    [[nodiscard]] std::optional<Disk> find(const std::string& name) const;

    /// Every name that find() takes, without paths.
    [[nodiscard]] std::vector<std::string> all_names() const;

    /// The same by its number.
    [[nodiscard]] std::optional<Disk> find(u32 dev) const;

private:
    std::string root_;
    bool here_ = true;
    std::unordered_map<u32, std::string> names_;
};

}  // namespace iolens
