// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "iolens/event/header.h"

namespace iolens {

/// Mount sources. `root` is "/" except in tests.
class Mounts {
public:
    explicit Mounts(std::string root = "/") : root_(std::move(root)) {}

    /// The source that a filesystem is mounted from ("/dev/sda1", "tmpfs"), by its device number (major << 20 | minor);
    /// "" if no mount of it is visible.
    [[nodiscard]] std::string source(u32 dev) const;

    /// The number of disks of the btrfs filesystem that `disk` ("sda1") belongs to; 0 if it belongs to none.
    [[nodiscard]] std::size_t btrfs_disks(const std::string& disk) const;

private:
    std::string root_;
};

}  // namespace iolens
