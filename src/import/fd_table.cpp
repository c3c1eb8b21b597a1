// SPDX-License-Identifier: Apache-2.0
#include "import/fd_table.h"

#include <algorithm>
#include <utility>

namespace iolens {

const FdTable::Part* FdTable::part_of(int fd) const {
    if (fd < 0) return nullptr;
    const int first = fd - fd % per_part;
    const auto it = std::ranges::lower_bound(*parts_, first, {}, &Part::first);
    return it != parts_->end() && it->first == first ? &*it : nullptr;
}

const FdEntry* FdTable::find(int fd) const {
    const Part* part = part_of(fd);
    if (part == nullptr) return nullptr;
    const FdEntry& entry = part->fds->at(static_cast<std::size_t>(fd % per_part));
    return entry.file ? &entry : nullptr;
}

FdEntry& FdTable::writable(int fd) {
    if (parts_.use_count() != 1) parts_ = std::make_shared<Parts>(*parts_);
    const int first = fd - fd % per_part;
    auto it = std::ranges::lower_bound(*parts_, first, {}, &Part::first);
    if (it == parts_->end() || it->first != first) it = parts_->insert(it, {first, std::make_shared<Fds>()});
    if (it->fds.use_count() != 1) it->fds = std::make_shared<Fds>(*it->fds);
    return it->fds->at(static_cast<std::size_t>(fd % per_part));
}

void FdTable::set(int fd, FdEntry entry) {
    if (fd >= 0) writable(fd) = std::move(entry);
}

FdEntry FdTable::take(int fd) {
    if (find(fd) == nullptr) return {};
    FdEntry taken = std::exchange(writable(fd), {});
    const auto it = std::ranges::lower_bound(*parts_, fd - fd % per_part, {}, &Part::first);
    if (std::ranges::none_of(*it->fds, [](const FdEntry& entry) { return entry.file != nullptr; })) parts_->erase(it);
    return taken;
}

std::size_t FdTable::size() const {
    std::size_t count = 0;
    for (const Part& part : *parts_) {
        count += static_cast<std::size_t>(
            std::ranges::count_if(*part.fds, [](const FdEntry& entry) { return entry.file != nullptr; }));
    }
    return count;
}

}  // namespace iolens
