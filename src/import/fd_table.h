// SPDX-License-Identifier: Apache-2.0
// The fds of a process. A copy costs nothing until one of the two changes.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "import/logged_file.h"

namespace iolens {

struct FdEntry {
    FileRef file;
    bool close_on_exec = false;
};

class FdTable {
public:
    FdTable() : parts_(std::make_shared<Parts>()) {}

    /// Null if the fd is not known.
    [[nodiscard]] const FdEntry* find(int fd) const;
    void set(int fd, FdEntry entry);
    /// Removes an fd and returns what it was; no file if it is not known.
    FdEntry take(int fd);
    /// Removes the fds from `first` to `last` for which goes(entry), and returns them.
    template <typename Goes>
    std::vector<std::pair<int, FdEntry>> take_if(int first, int last, const Goes& goes) {
        std::vector<std::pair<int, FdEntry>> taken;
        for (const Part& part : *parts_) {
            for (int i = 0; i < per_part; ++i) {
                const int fd = part.first + i;
                const FdEntry& entry = part.fds->at(static_cast<std::size_t>(i));
                if (entry.file && fd >= first && fd <= last && goes(entry)) taken.emplace_back(fd, entry);
            }
        }
        for (const auto& [fd, entry] : taken) take(fd);
        return taken;
    }
    [[nodiscard]] std::size_t size() const;

private:
    static constexpr int per_part = 64;
    using Fds = std::array<FdEntry, per_part>;
    struct Part {
        int first = 0;
        std::shared_ptr<Fds> fds;
    };
    using Parts = std::vector<Part>;

    [[nodiscard]] const Part* part_of(int fd) const;
    FdEntry& writable(int fd);

    std::shared_ptr<Parts> parts_;  // in order; shared with copies, and so is each part
};

}  // namespace iolens
