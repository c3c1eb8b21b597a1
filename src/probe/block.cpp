// SPDX-License-Identifier: Apache-2.0
#include "probe/block.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/failure.h"
#include "base/text.h"
#include "iolens/event/block.h"
#include "probe/origin.h"
// made by bpftool from bpf/block.bpf.c; it is C, and looks for the types of read-only data in the global namespace
using iolens::iolens_keep;
#include "block.skel.h"

namespace iolens {
namespace {

/// Ends first: what begins after its start is attached has its end seen, too.
std::vector<bpf_program*> in_attach_order(const block_bpf& object) {
    return {object.progs.iolens_dirty_folio,  object.progs.iolens_dirty_page, object.progs.iolens_rq_complete,
            object.progs.iolens_bio_complete, object.progs.iolens_rq_requeue, object.progs.iolens_rq_issue,
            object.progs.iolens_bio_split,    object.progs.iolens_bio_queue};
}

}  // namespace

void BlockProbe::Close::operator()(block_bpf* object) const { block_bpf__destroy(object); }

BlockProbe::BlockProbe(const Options& options) : object_(opened(block_bpf__open())) {
    bpf_map__set_max_entries(object_->maps.ring, static_cast<u32>(options.ring_bytes));
    if (options.ring_fd) share_map(object_->maps.ring, *options.ring_fd);
    bpf_map__set_max_entries(object_->maps.inflight, options.max_inflight);
    object_->rodata->keep = options.keep;
    object_->rodata->ring_wake_bytes = wake_bytes(options.ring_bytes);
    object_->rodata->attribute = options.attribute;
    object_->rodata->authored = options.attribute && options.authored;
    if (!object_->rodata->authored) bpf_map__set_max_entries(object_->maps.authors, 1);
    std::optional<KernelNames> names;  // 5 MiB: only where it is asked for, and not for long
    if (object_->rodata->authored) names.emplace();
    for (bpf_program* program : {object_->progs.iolens_dirty_folio, object_->progs.iolens_dirty_page}) {
        bpf_program__set_autoload(program, names && names->has_tracepoint(bpf_program__section_name(program)));
    }
    names.reset();
    std::optional<KernelSymbols> symbols;  // 60 ms and 14 MiB: the same
    const KernelSymbols* known = options.symbols;
    if (options.attribute) {
        if (known == nullptr) known = &symbols.emplace();
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

iolens_loss BlockProbe::ledger() const { return read_ledger(object_->maps.counters, object_->obj); }

std::size_t BlockProbe::in_flight() const { return count_entries(object_->maps.inflight); }

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
