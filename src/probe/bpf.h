// SPDX-License-Identifier: Apache-2.0
// Shared by all probe objects: permission to trace, load errors, counters and costs.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iolens/event/loss.h"
#include "iolens/filter.h"
#include "probe/kernel_btf.h"
#include "probe/permissions.h"

struct bpf_link;
struct bpf_map;
struct bpf_object;
struct bpf_object_open_opts;
struct bpf_object_skeleton;
struct bpf_program;

namespace iolens {

/// Result of loading one program.
struct ProbeStatus {
    std::string name;     ///< the tracepoint
    std::string program;  ///< the BPF program
    bool works = false;
    bool used = true;                   ///< false: another variant is better on this kernel
    std::string how = "tp_btf";         ///< the kind of probe, and its variant
    std::string why;                    ///< the reason if it doesn't work
    std::optional<u64> verified_insns;  ///< processed by the verifier; bpf_prog_info, before 5.16 from its log
    std::optional<u64> missed;          ///< runs skipped by the recursion guard; bpf_prog_info, from 5.12
};

/// A key to hash ids that contain kernel addresses: random, the same for all objects of a run.
const std::array<u64, 2>& id_key();

/// Describes an errno of load or attach.
std::string probe_error_text(int error);

struct LinkDeleter {
    void operator()(bpf_link* link) const;
};
using Link = std::unique_ptr<bpf_link, LinkDeleter>;

/// Throws Failure (unavailable) for a program that could not be attached (errno).
[[noreturn]] void fail_to_attach(const bpf_program* program, int error);

/// Attaches a program. Throws Failure (unavailable): a probe that fails to attach ends the run.
Link attach(bpf_program* program);

/// True if the program is a uprobe or uretprobe.
bool is_of_user_space(const bpf_program* program);

struct UserPlace;

/// Attaches a uprobe or uretprobe to the start or the end of a function, as its section says. Returns an empty link and
/// sets errno on error.
Link attach_at(const bpf_program* program, const UserPlace& place);

/// True if the environment forces a variant of the probes, for tests: IOLENS_PROBE.
bool is_forced(std::string_view variant);

/// True if the kernel may preempt a BTF tracepoint's program, and skips its runs for other tasks meanwhile (7.0).
bool preempts_programs(const KernelNames& kernel);

/// True if the kernel has what objects with casts read its memory with (6.2): bpf/lib/compat/cast.bpf.h.
bool has_casts(const KernelNames& kernel);

/// Waits until BPF programs that ran when their links were closed have ended (kernel/sched/membarrier.c:
/// MEMBARRIER_CMD_GLOBAL is synchronize_rcu()). Closing a link waits for none of them. Does not wait for programs that
/// may sleep.
void wait_for_programs();

/// A file offset to attach uprobes to.
struct UserPlace {
    std::string path;
    u64 offset = 0;         ///< bytes
    std::string_view name;  ///< function name; programs for it have names that end in it
};

/// Loads and attaches each program of an object file (its ELF image) by itself, so that a rejected one doesn't hide the
/// others, and reports the results; leaves nothing attached. Of the uprobes, only those for `place`.
/// If `wanted` is given, only programs that it returns true for.
std::vector<ProbeStatus> examine_object(std::span<const std::byte> image, const std::optional<UserPlace>& place = {},
                                        const std::function<bool(const bpf_program*)>& wanted = {});

/// Throws Failure (failed) for an object that libbpf could not open; errno says why.
[[noreturn]] void fail_to_open();

/// Options to open objects with: relocate against kernel_types_path(). If there is no such file and no CAP_SYS_ADMIN,
/// relocate against vmlinux alone; features that need a module's types are then unavailable.
const bpf_object_open_opts* open_options();

/// Makes an open object fit this kernel, before it is loaded.
void prepare(bpf_object* object);

/// The result of a skeleton's open_opts(), ready to be loaded, for a smart pointer to own.
template <typename Skeleton>
Skeleton* opened(Skeleton* object) {
    if (object == nullptr) fail_to_open();
    prepare(object->obj);
    return object;
}

/// bpf_object__open_skeleton() with this image: 0 or a negative errno.
int open_skeleton(bpf_object_skeleton* skeleton, std::span<const std::byte> image);

/// Opens an object with the image of another one, which has the same programs, maps and variables. Null on error
/// (errno).
template <typename Skeleton>
Skeleton* open_image(int (*create)(Skeleton*), void (*destroy)(Skeleton*), std::span<const std::byte> image) {
    auto* object = static_cast<Skeleton*>(std::calloc(1, sizeof(Skeleton)));
    if (object == nullptr) return nullptr;
    int error = create(object);
    if (error == 0) error = open_skeleton(object->skeleton, image);
    if (error == 0) return object;
    destroy(object);
    errno = -error;
    return nullptr;
}

/// Uses another object's map, by its descriptor. Throws Failure (failed).
void share_map(bpf_map* map, int fd);

/// The kernel wakes the reader once a ring has this many unread bytes; below that, the reader looks after a short
/// sleep.
constexpr u64 wake_bytes(u64 ring_bytes) { return std::max<u64>(ring_bytes / 8, 4096); }

/// Throws Failure (unavailable) for an error of loading an object; `what` names its probes.
[[noreturn]] void fail_to_load(std::string_view what, int error);

/// Puts the cgroup of filter.by_cgroup in its map. Throws Failure (usage) if the kernel does not accept it.
void allow_cgroup(const bpf_map* map, const iolens_filter& filter, int cgroup_fd);

/// bpf_prog_info of a loaded program.
ProbeStatus program_status(const bpf_program* program);

/// Sums the per-CPU counters and the programs' missed runs.
iolens_loss read_ledger(const bpf_map* counters, const bpf_object* object);

/// The programs' missed runs; if `counted` is given, only of programs that it returns true for.
u64 read_missed(const bpf_object* object, const std::function<bool(const bpf_program*)>& counted = {});

/// Calls `each` with every key of a map.
void for_each_key(const bpf_map* map, const std::function<void(const void*)>& each);

/// Calls `each` with a copy of every key and value of a hash map; reads many entries per system call.
void for_each_bytes(const bpf_map* map, const std::function<void(const void* key, const void* value)>& each);
template <typename Key, typename Value, typename Each>
void for_each_entry(const bpf_map* map, Each&& each) {
    for_each_bytes(map, [&](const void* key, const void* value) {
        each(*static_cast<const Key*>(key), *static_cast<const Value*>(value));
    });
}

/// The number of entries of a hash map.
std::size_t count_entries(const bpf_map* map);

/// Collects libbpf's messages instead of printing them; with `print`, also prints them on standard error.
void capture_libbpf_log(bool print);

/// The program that the verifier rejected last, and the reason.
std::string last_verifier_words();

/// libbpf's last warning, for a hint.
std::string last_libbpf_warning();

}  // namespace iolens
