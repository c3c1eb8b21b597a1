// SPDX-License-Identifier: Apache-2.0
// The profile of a log as iotracer's io_profile.py computes and prints it.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>

#include "iolens/event/vfs.h"

namespace iolens {

/// A floating-point number as Python prints it: the shortest text with this value, with ".0" if it is an integer.
std::string python_number(double number);

/// One level of a log, in the order of its lines. Unlike AccessSums, it has the definitions of io_profile.py: sizes are
/// those requested, the first access is sequential, shares are of all accesses of the level, the time is from the first
/// to the last start, and iops is the number of 4096-byte blocks per second.
class IoProfile {
public:
    void add(const iolens_vfs_event& e);
    /// "" if there are no accesses.
    [[nodiscard]] std::string text(std::string_view level) const;

private:
    struct Direction {
        u64 bytes = 0;
        u64 sequential = 0;
        u64 random = 0;
    };
    u64 events_ = 0;
    std::array<Direction, 2> directions_;  // reads, writes
    std::map<u64, u64> sizes_;             // number of accesses
    u64 first_ns_ = 0;
    u64 last_ns_ = 0;
    u64 previous_ = 0;  // address
    u64 previous_bytes_ = 0;
};

}  // namespace iolens
