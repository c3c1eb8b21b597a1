// SPDX-License-Identifier: Apache-2.0
#include "probe/waits.h"

#include <bpf/libbpf.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>

#include "probe/pid_namespace.h"
// made by bpftool from bpf/wait.bpf.c
#include "wait.skel.h"

namespace iolens {
void WaitProbe::Close::operator()(wait_bpf* object) const { wait_bpf__destroy(object); }

WaitProbe::WaitProbe(const Options& options) : object_(opened(wait_bpf__open_opts(open_options()))) {
    share_map(object_->maps.ring, options.ring_fd);
    share_map(object_->maps.followed, options.followed_fd);
    bpf_map__set_max_entries(object_->maps.waiting, options.max_threads);
    object_->rodata->own_pidns = own_pidns();
    object_->rodata->follow = options.follow ? 1 : 0;
    object_->rodata->own_tgid = static_cast<u32>(::getpid());
    object_->rodata->ring_wake_bytes = wake_bytes(options.ring_bytes);
    if (const int error = wait_bpf__load(object_.get()); error != 0) fail_to_load("the wait", error);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_->obj) links_.push_back(attach(program));
    // libbpf has read the kernel's whole BTF and freed it: return that memory to the system
    ::malloc_trim(0);
}

WaitProbe::~WaitProbe() = default;

iolens_loss WaitProbe::ledger() const { return read_ledger(object_->maps.counters, object_->obj); }

std::vector<ProbeStatus> WaitProbe::examine() {
    std::size_t size = 0;
    const void* image = wait_bpf__elf_bytes(&size);
    return examine_object({static_cast<const std::byte*>(image), size});
}

}  // namespace iolens
