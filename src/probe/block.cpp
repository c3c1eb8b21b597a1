// SPDX-License-Identifier: Apache-2.0
#include "probe/block.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <malloc.h>

#include <algorithm>
#include <cerrno>

#include "base/failure.h"
#include "base/text.h"
#include "iolens/event/block.h"
// made by bpftool from bpf/block.bpf.c; it is C, and looks for the types of read-only data in the global namespace
using iolens::iolens_keep;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "block.skel.h"
#pragma GCC diagnostic pop

namespace iolens {
namespace {

/// Ends first: what begins after its start is attached has its end seen, too.
std::vector<bpf_program*> in_attach_order(const block_bpf& object) {
    return {object.progs.iolens_rq_complete, object.progs.iolens_bio_complete, object.progs.iolens_rq_requeue,
            object.progs.iolens_rq_issue,    object.progs.iolens_bio_split,    object.progs.iolens_bio_queue};
}

block_bpf* open_object() {
    block_bpf* object = block_bpf__open();
    if (object == nullptr) fail_to_open();
    return object;
}

}  // namespace

void BlockProbe::Close::operator()(block_bpf* object) const { block_bpf__destroy(object); }

BlockProbe::BlockProbe(const Options& options) : object_(open_object()) {
    bpf_map__set_max_entries(object_->maps.ring, static_cast<u32>(options.ring_bytes));
    bpf_map__set_max_entries(object_->maps.inflight, options.max_inflight);
    object_->rodata->keep = options.keep;
    object_->rodata->ring_wake_bytes = std::max<u64>(options.ring_bytes / 8, 4096);
    if (const int error = block_bpf__load(object_.get()); error != 0) fail_to_load("the block", error);
    allow_cgroup(object_->maps.keep_cgroup, options.keep, options.cgroup_fd);
    for (bpf_program* program : in_attach_order(*object_)) links_.push_back(attach(program));
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
    return examine_object({static_cast<const std::byte*>(image), size});
}

}  // namespace iolens
