// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <unordered_map>

namespace iolens {

/// Tells sequential from random access, per key (a disk, a file).
class Pattern {
public:
    enum class Kind { first, sequential, random };

    /// An access at `start` up to (not including) `end`, in any unit: sequential when it starts where the one before it
    /// ended, whichever direction the data went.
    Kind next(std::uint64_t key, std::uint64_t start, std::uint64_t end) {
        const auto [at, fresh] = ends_.try_emplace(key, end);
        const bool follows = at->second == start;
        at->second = end;
        if (fresh) return Kind::first;
        return follows ? Kind::sequential : Kind::random;
    }

private:
    std::unordered_map<std::uint64_t, std::uint64_t> ends_;
};

}  // namespace iolens
