// SPDX-License-Identifier: Apache-2.0
#include "resolve/mappings.h"

#include <iterator>

#include "resolve/syscalls.h"

namespace iolens {
namespace {

using ByAddress = std::map<u64, Mappings::Mapped>;

/// The kernel maps whole pages. Assumes the smallest page size: a recording does not say which one its machine used.
u64 page_end(const iolens_call_event& event) {
    constexpr u64 page = 4096;
    return (event.address + event.requested + page - 1) & ~(page - 1);
}

/// Removes the mappings in [first, end). A mapping that is only partly inside is cut or split.
void remove_range(ByAddress& mapped, u64 first, u64 end) {
    if (first >= end) return;
    auto it = mapped.upper_bound(first);
    if (it != mapped.begin()) --it;
    while (it != mapped.end() && it->first < end) {
        const auto [start, whole] = *it;
        if (whole.end <= first) {
            ++it;
            continue;
        }
        it = mapped.erase(it);
        if (start < first) {
            Mappings::Mapped head = whole;
            head.end = first;
            mapped.emplace(start, head);
        }
        if (end < whole.end) {
            Mappings::Mapped tail = whole;
            tail.offset += end - start;
            mapped.emplace(end, tail);
        }
    }
}

}  // namespace

void Mappings::take(iolens_call_event& event) {
    const Syscall* call = find_syscall(event.call);
    if (call == nullptr || event.result < 0) return;
    if (call->name.starts_with("execve") || call->name == "exit_group") {
        forget(host_tgid(event));
        return;
    }
    if (call->info.shape != IOLENS_SHAPE_MAP && call->info.shape != IOLENS_SHAPE_RANGE) return;
    ByAddress& mapped = processes_.get(host_tgid(event));
    const u64 end = page_end(event);
    if (call->info.shape == IOLENS_SHAPE_MAP) {
        remove_range(mapped, event.address, end);  // MAP_FIXED replaces what was there
        if (event.file == IOLENS_FILE_NONE || event.address >= end) return;
        mapped[event.address] = {.end = end,
                                 .name_id = event.name_id,
                                 .ino = event.ino,
                                 .dev = event.dev,
                                 .generation = event.generation,
                                 .file = event.file,
                                 .offset = event.offset};
        return;
    }
    const bool known = event.file != IOLENS_FILE_NONE;  // the kernel side has looked
    if (const auto next = mapped.upper_bound(event.address); !known && next != mapped.begin()) {
        const auto& [start, found] = *std::prev(next);
        if (event.address < found.end) {
            event.name_id = found.name_id;
            event.ino = found.ino;
            event.dev = found.dev;
            event.generation = found.generation;
            event.file = found.file;
            event.offset = found.offset + (event.address - start);
            event.flags |= IOLENS_CALL_HAS_OFFSET;
        }
    }
    if (call->name == "munmap") remove_range(mapped, event.address, end);
}

}  // namespace iolens
