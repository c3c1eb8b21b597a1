// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "iolens/event/header.h"

namespace iolens {

/// What is mounted from where. `root` is "/" but for tests.
class Mounts {
public:
    explicit Mounts(std::string root = "/") : root_(std::move(root)) {}

    /// What a filesystem is mounted from ("/dev/sda1", "tmpfs"), by its device number (major << 20 | minor); "" where
    /// no mount of it is to be seen.
    [[nodiscard]] std::string source(u32 dev) const;

    /// The disks that a btrfs is on, of which `disk` ("sda1") is one; 0 where that is no btrfs's.
    [[nodiscard]] std::size_t btrfs_disks(const std::string& disk) const;

private:
    std::string root_;
};

}  // namespace iolens
