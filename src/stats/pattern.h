// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <unordered_map>

namespace iolens {

enum class PatternKind { first, sequential, random };

/// Distinguishes sequential from random access to one disk or file.
class SinglePattern {
public:
    /// As Pattern::next().
    PatternKind next(std::uint64_t start, std::uint64_t end) {
        const bool fresh = fresh_;
        const bool follows = end_ == start;
        fresh_ = false;
        end_ = end;
        return fresh ? PatternKind::first : follows ? PatternKind::sequential : PatternKind::random;
    }

private:
    std::uint64_t end_ = 0;
    bool fresh_ = true;
};

/// Distinguishes sequential from random access, per key (a disk, a file).
class Pattern {
public:
    using Kind = PatternKind;

    /// An access from `start` up to (not including) `end`, in any unit: sequential if it starts where the previous one
    /// ended, whether they read or write.
    Kind next(std::uint64_t key, std::uint64_t start, std::uint64_t end) { return of_key_[key].next(start, end); }

private:
    std::unordered_map<std::uint64_t, SinglePattern> of_key_;
};

}  // namespace iolens
