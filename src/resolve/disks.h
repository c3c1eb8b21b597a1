// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// A block device, from sysfs.
struct Disk {
    std::string name;      ///< nvme0n1p1
    u32 dev = 0;           ///< major << 20 | minor
    u32 whole_dev = 0;     ///< the disk that contains a partition; otherwise `dev`
    u64 first_sector = 0;  ///< of a partition, in 512-byte sectors
    u64 sector_count = 0;  ///< of a partition; 0 for a whole disk
    [[nodiscard]] bool is_partition() const { return dev != whole_dev; }
};

/// Maps disk numbers to names and back. `root` is "/" except in tests.
class Disks {
public:
    explicit Disks(std::string root = "/") : root_(std::move(root)) {}

    /// Adds a name from the kernel, replacing an earlier one.
    void add(u32 dev, std::string_view name) {
        names_[dev] = name;
        partitions_.erase(dev);
    }

    /// The rows come from a recording, perhaps of another machine: don't look disks up in /sys. A disk that the
    /// recording does not name is "major:minor", and find() returns nothing.
    void set_recorded() { here_ = false; }

    /// The disk's name: as added, or from /sys/dev/block; "" if unknown.
    std::string_view name(u32 dev);

    /// The name of the partition that contains a 512-byte sector of a disk, from /sys; "" if there is none.
    std::string_view partition_at(u32 whole_dev, u64 sector);

    /// Finds a disk, partition or device-mapper device by name or path in /dev.
    [[nodiscard]] std::optional<Disk> find(const std::string& name) const;

    /// Every name that find() accepts, without paths.
    [[nodiscard]] std::vector<std::string> all_names() const;

    /// Likewise by number.
    [[nodiscard]] std::optional<Disk> find(u32 dev) const;

private:
    [[nodiscard]] std::string place_of(u32 dev) const;

    std::string root_;
    bool here_ = true;
    std::unordered_map<u32, std::string> names_;
    std::unordered_map<u32, std::vector<Disk>> partitions_;  // of a disk
};

}  // namespace iolens
