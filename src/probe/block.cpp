// SPDX-License-Identifier: Apache-2.0
#include "probe/block.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <compare>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <thread>

#include "base/failure.h"
#include "base/text.h"
#include "iolens/block_state.h"
#include "iolens/event/block.h"
#include "probe/origin.h"
#include "probe/pid_namespace.h"
// made by bpftool from bpf/block.bpf.c; it is C, and looks for the types of read-only data in the global namespace
using iolens::iolens_keep;
using iolens::iolens_pidns;
#include "block.skel.h"

namespace iolens {
namespace {

/// Ends first: what begins after its start is attached has its end seen, too.
std::vector<bpf_program*> in_attach_order(const block_bpf& object) {
    return {object.progs.iolens_dirty_folio,  object.progs.iolens_dirty_page, object.progs.iolens_rq_complete,
            object.progs.iolens_bio_complete, object.progs.iolens_rq_requeue, object.progs.iolens_rq_issue,
            object.progs.iolens_bio_split,    object.progs.iolens_bio_queue};
}

/// Requests that a disk has now, by sysfs's `inflight`; nothing where it doesn't count them.
std::optional<u64> requests_of_disk(u32 dev) {
    const std::string disk = fmt::format("/sys/dev/block/{}:{}/", dev >> 20, dev & 0xfffff);
    u64 counts = 0;
    if (!(std::ifstream(disk + "queue/iostats") >> counts) || counts == 0) return {};
    u64 reads = 0;
    u64 writes = 0;
    if (!(std::ifstream(disk + "inflight") >> reads >> writes)) return {};
    return reads + writes;
}

}  // namespace

void BlockProbe::Close::operator()(block_bpf* object) const { block_bpf__destroy(object); }

BlockProbe::BlockProbe(const Options& options) : object_(opened(block_bpf__open_opts(open_options()))) {
    bpf_map__set_max_entries(object_->maps.ring, static_cast<u32>(options.ring_bytes));
    if (options.ring_fd) share_map(object_->maps.ring, *options.ring_fd);
    bpf_map__set_max_entries(object_->maps.inflight, options.max_inflight);
    object_->rodata->keep = options.keep;
    object_->rodata->own_pidns = own_pidns();
    std::ranges::copy(id_key(), std::begin(object_->rodata->id_key));
    object_->rodata->ring_wake_bytes = wake_bytes(options.ring_bytes);
    object_->rodata->attribute = options.attribute;
    object_->rodata->authored = options.attribute && options.authored;
    if (!object_->rodata->authored) bpf_map__set_max_entries(object_->maps.authors, 1);
    std::optional<KernelNames> names;  // 2 MiB: loaded only if needed, freed before load
    if (object_->rodata->authored) names.emplace();
    for (bpf_program* program : {object_->progs.iolens_dirty_folio, object_->progs.iolens_dirty_page}) {
        bpf_program__set_autoload(program, names && names->has_tracepoint(bpf_program__section_name(program)));
    }
    names.reset();
    std::optional<KernelSymbols> symbols;  // some 50 ms: the same
    const KernelSymbols* known = options.symbols;
    if (options.attribute) {
        if (known == nullptr) known = &symbols.emplace("/proc/kallsyms", origin_symbols());
        set_origin_addresses(*object_->rodata, *known);
    }
    bpf_map__set_max_entries(object_->maps.targets, options.attribute ? options.max_inflight : 1);
    if (const int error = block_bpf__load(object_.get()); error != 0) fail_to_load("the block", error);
    if (options.attribute) tell_bio_ends(object_->maps.bio_ends, *known);
    symbols.reset();
    allow_cgroup(object_->maps.keep_cgroup, options.keep, options.cgroup_fd);
    for (bpf_program* program : in_attach_order(*object_)) {
        if (bpf_program__autoload(program)) links_.push_back(attach(program));
    }
    // libbpf has read the kernel's whole BTF and freed it again: give that memory back
    ::malloc_trim(0);
}

BlockProbe::~BlockProbe() = default;

int BlockProbe::ring_fd() const { return bpf_map__fd(object_->maps.ring); }

iolens_loss BlockProbe::ledger() const {
    iolens_loss loss = read_ledger(object_->maps.counters, object_->obj);
    loss.n.stale += unseen_;
    return loss;
}

std::size_t BlockProbe::in_flight() const {
    const std::size_t entries = count_entries(object_->maps.inflight);
    return entries - std::min<std::size_t>(entries, unseen_);
}

void BlockProbe::detach() {
    if (!links_.empty()) unseen_ += unseen_ends();
    links_.clear();
}

/// A request that was issued and whose end is still to come.
struct BlockProbe::Open {
    u64 key;
    u64 issued;
    u32 dev;
    auto operator<=>(const Open&) const = default;
};

std::vector<BlockProbe::Open> BlockProbe::open_requests() const {
    // by many at once: one by one the kernel begins anew where an entry is deleted meanwhile
    constexpr u32 chunk = 1024;
    std::vector<u64> keys(chunk);
    std::vector<iolens_block_state> states(chunk);
    std::vector<Open> open;
    const iolens_keep& keep = object_->rodata->keep;
    u64 place = 0;
    for (bool first = true, more = true; more; first = false) {
        u32 count = chunk;
        const int result = ::bpf_map_lookup_batch(bpf_map__fd(object_->maps.inflight), first ? nullptr : &place, &place,
                                                  keys.data(), states.data(), &count, nullptr);
        if (result != 0 && errno != ENOENT) return {};
        more = result == 0;
        for (u32 i = 0; i < count; ++i) {
            const iolens_block_event& e = states[i].e;
            constexpr u32 not_out = IOLENS_BLOCK_DONE | IOLENS_BLOCK_REQUEUED | IOLENS_BLOCK_FILTERED;
            // what the kernel doesn't count among a disk's requests can't be held against its count
            const bool counted = e.op < IOLENS_OP_COUNT && e.op != IOLENS_OP_FLUSH && e.op != IOLENS_OP_PASSTHROUGH;
            if (states[i].issued == 0 || (e.flags & not_out) != 0 || !counted) continue;
            if ((keep.by_dev != 0 && e.dev != keep.dev) || (keep.ops != 0 && (keep.ops >> e.op & 1U) == 0)) continue;
            open.push_back({keys[i], states[i].issued, e.dev});
        }
    }
    std::ranges::sort(open);
    return open;
}

/// Requests that stay open while the kernel is asked how many its disks have, and that these don't have: their ends
/// were not seen. What a device has answered, and the kernel has not yet ended, is not counted by it either: that is
/// waited for.
u64 BlockProbe::unseen_ends() const {
    constexpr int looks = 5;
    std::vector<Open> open = open_requests();
    u64 unseen = 0;
    for (int look = 0; look < looks && !open.empty(); ++look) {
        if (look != 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        std::map<u32, u64> under_way;
        for (const Open& one : open) under_way.try_emplace(one.dev, ~u64{0});
        for (auto& [dev, count] : under_way) count = requests_of_disk(dev).value_or(count);
        std::vector<Open> still;
        std::ranges::set_intersection(open, open_requests(), std::back_inserter(still));
        open.swap(still);
        std::map<u32, u64> counts;
        for (const Open& one : open) ++counts[one.dev];
        unseen = 0;
        for (const auto& [dev, count] : counts) unseen += count - std::min(count, under_way[dev]);
        if (unseen == 0) break;
    }
    return unseen;
}

std::vector<ProbeStatus> BlockProbe::examine() {
    std::size_t size = 0;
    const void* image = block_bpf__elf_bytes(&size);
    const KernelNames kernel;
    return examine_object({static_cast<const std::byte*>(image), size}, {}, [&](const bpf_program* program) {
        const std::string_view section = bpf_program__section_name(program);
        return !section.starts_with("tp_btf/writeback_dirty_") || kernel.has_tracepoint(section);
    });
}

}  // namespace iolens
