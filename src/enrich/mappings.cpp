// SPDX-License-Identifier: Apache-2.0
#include "enrich/mappings.h"

#include "enrich/calls.h"

namespace iolens {

void Mappings::take(iolens_call_event& event) {
    const KnownCall* call = find_call(event.call);
    if (call == nullptr || event.result < 0) return;
    if (call->name.starts_with("execve")) {
        forget(event.tgid);
        return;
    }
    if (call->info.shape != IOLENS_SHAPE_MAP && call->info.shape != IOLENS_SHAPE_RANGE) return;
    constexpr std::size_t most = 1 << 16;  // processes: one that ends is not told of
    if (processes_.size() > most) processes_.clear();
    std::map<u64, Mapped>& mapped = processes_[event.tgid];
    if (call->info.shape == IOLENS_SHAPE_MAP) {
        if (event.file == IOLENS_FILE_NONE) return;
        mapped[event.address] = {.end = event.address + event.requested,
                                 .name_id = event.name_id,
                                 .ino = event.ino,
                                 .dev = event.dev,
                                 .generation = event.generation,
                                 .file = event.file,
                                 .offset = event.offset};
        return;
    }
    auto at = mapped.upper_bound(event.address);
    if (at == mapped.begin()) return;
    --at;
    const Mapped& found = at->second;
    if (event.address >= found.end) return;
    event.name_id = found.name_id;
    event.ino = found.ino;
    event.dev = found.dev;
    event.generation = found.generation;
    event.file = found.file;
    event.offset = found.offset + (event.address - at->first);
    event.flags |= IOLENS_CALL_HAS_OFFSET;
    if (call->name == "munmap" && event.address == at->first && event.address + event.requested >= found.end) {
        mapped.erase(at);
    }
}

}  // namespace iolens
