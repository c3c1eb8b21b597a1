// SPDX-License-Identifier: Apache-2.0
// Operation of the programs of bpf/syscall.bpf.c while they are attached.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/fd.h"
#include "probe/pid_namespace.h"
#include "probe/syscalls.h"
#include "probe/syscalls_aio.h"
// made by bpftool from bpf/syscall.bpf.c
#include "syscall.skel.h"

namespace iolens {

int SyscallProbe::followed_fd() const { return bpf_map__fd(object_->maps.followed); }

int SyscallProbe::ring_fd() const { return bpf_map__fd(object_->maps.ring); }

iolens_loss SyscallProbe::ledger() const {
    iolens_loss loss = read_ledger(object_->maps.counters, object_->obj);
    loss.missed = missed();
    iolens_counters& n = loss.n;
    // the iterator covers only the threads of our own pid namespace: what remains is in flight in others
    const u64 accounted = n.delivered + n.filtered + n.ring_full + n.state_full + n.in_flight;
    if (links_.empty() && iterators_[0] && own_pidns().level != 0 && n.seen > accounted)
        n.in_flight += n.seen - accounted;
    return loss;
}

/// Except of libaio's completions: their requests end when io_getevents returns them, or have rows without an end.
u64 SyscallProbe::missed() const {
    return read_missed(object_->obj, [](const bpf_program* program) { return !is_completion(program); });
}

s64 SyscallProbe::alive() const { return __atomic_load_n(&object_->bss->alive, __ATOMIC_RELAXED); }

void SyscallProbe::forget(u32 pid) {
    // the kernel side deletes it, too, if the process exits now: the side that deletes it decrements the count
    if (::bpf_map_delete_elem(bpf_map__fd(object_->maps.followed), &pid) == 0) {
        __atomic_fetch_sub(&object_->bss->followed_buckets[pid % IOLENS_FOLLOWED_BUCKETS], 1, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&object_->bss->alive, 1, __ATOMIC_RELAXED);
    }
}

void SyscallProbe::leave_out(u32 pid, u64 pipe) {
    const int map = bpf_map__fd(object_->maps.row_readers);
    if (::bpf_map_update_elem(map, &pid, &pipe, BPF_NOEXIST) == 0) {
        __atomic_fetch_add(&object_->bss->row_readers_alive, 1, __ATOMIC_RELAXED);
    } else if (errno == EEXIST) {
        ::bpf_map_update_elem(map, &pid, &pipe, BPF_EXIST);
    }
}

void SyscallProbe::take_in(u32 pid) {
    if (::bpf_map_delete_elem(bpf_map__fd(object_->maps.row_readers), &pid) == 0) {
        __atomic_fetch_sub(&object_->bss->row_readers_alive, 1, __ATOMIC_RELAXED);
    }
}

void SyscallProbe::forget_gone() {
    const auto now = std::chrono::steady_clock::now();
    if (!preempts_ || now - looked_at_ < std::chrono::seconds(1)) return;
    looked_at_ = now;
    std::vector<u32> gone;
    const int map = bpf_map__fd(object_->maps.followed);
    u32 pid = 0;
    for (const u32* from = nullptr; ::bpf_map_get_next_key(map, from, &pid) == 0; from = &pid) {
        if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) gone.push_back(pid);
    }
    for (const u32 item : gone) forget(item);
}

void SyscallProbe::drop_ended_requests() {
    constexpr auto pause = std::chrono::milliseconds(100);
    const auto now = std::chrono::steady_clock::now();
    if (__atomic_load_n(&object_->bss->request_ends, __ATOMIC_RELAXED) == request_ends_ || now - dropped_at_ < pause) {
        return;
    }
    dropped_at_ = now;
    drop_requests();
}

/// Runs a program that isn't attached.
void SyscallProbe::run(const bpf_program* program, std::span<u64> arguments) {
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.ctx_in = arguments.data();
    run.ctx_size_in = static_cast<u32>(arguments.size_bytes());
    ::bpf_prog_test_run_opts(bpf_program__fd(program), &run);
}

void SyscallProbe::drop_request(const std::array<u64, 2>& key, u64 start, u16 flag) {
    std::array<u64, 4> arguments{key[0], key[1], start, flag};
    run(object_->progs.iolens_request_drop, arguments);
}

/// Detaches starts first, so that every operation that has started is seen to end. Then sends those still in flight.
void SyscallProbe::detach() {
    if (links_.empty()) return;
    while (!links_.empty()) links_.pop_back();
    while (!many_links_.empty()) many_links_.pop_back();
    // at once: the state of a direct program's thread ends with the thread
    send_pending(iterators_[0]);
    wait_for_programs();
    drop_requests();
    for_each_entry<std::array<u64, 2>, iolens_request>(
        object_->maps.requests, [&](const std::array<u64, 2>& key, const iolens_request& request) {
            drop_request(key, request.e.start, IOLENS_CALL_PENDING);
        });
    // calls whose programs were still running
    send_pending(iterators_[1]);
}

/// Sends the calls that have not returned. `iterator`: of the direct programs.
void SyscallProbe::send_pending(const Fd& iterator) {
    if (iterator) {
        std::array<char, 64> nothing{};
        while (::read(iterator.get(), nothing.data(), nothing.size()) > 0) {
        }
        return;
    }
    for_each_key(object_->maps.threads, [&](const void* key) {
        std::array<u64, 1> arguments{*static_cast<const u32*>(key)};
        run(object_->progs.iolens_pending, arguments);
    });
}

/// A process is in request_owners before its first request is in the map, and stays there until it exits.
void SyscallProbe::drop_requests() {
    const u64 ends = __atomic_load_n(&object_->bss->request_ends, __ATOMIC_RELAXED);
    if (ends == request_ends_) return;
    request_ends_ = ends;
    std::unordered_map<u64, u64> ended;  // end times, by process and by context
    const auto ended_at = [&](const bpf_map* map, u64 key, u64 absent) {
        const auto [at, fresh] = ended.try_emplace(key, absent);
        if (fresh) ::bpf_map_lookup_elem(bpf_map__fd(map), &key, &at->second);
        return at->second;
    };
    for_each_entry<std::array<u64, 2>, iolens_request>(
        object_->maps.requests, [&](const std::array<u64, 2>& key, const iolens_request& request) {
            const u64 start = request.e.start;
            if (start >= ended_at(object_->maps.request_owners, request.process, ~u64{0}) &&
                (request.context == 0 || start >= ended_at(object_->maps.request_contexts, request.context, 0))) {
                return;
            }
            drop_request(key, start, 0);
        });
}

/// Names of libaio and io_uring requests only: for a call, they are sent again when it ends.
std::vector<u64> SyscallProbe::names_in_flight() const {
    std::vector<u64> names;
    for_each_entry<std::array<u64, 2>, iolens_request>(
        object_->maps.requests,
        [&](const std::array<u64, 2>& /*key*/, const iolens_request& request) { names.push_back(request.e.name_id); });
    return names;
}

void SyscallProbe::begin_period() { __atomic_fetch_add(&object_->data->period, 1, __ATOMIC_RELAXED); }

}  // namespace iolens
