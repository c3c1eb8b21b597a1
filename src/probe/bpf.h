// SPDX-License-Identifier: Apache-2.0
// What all probe objects share: may we trace here, what went wrong, what did it cost.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "iolens/event/loss.h"
#include "iolens/filter.h"
#include "probe/kernel_btf.h"
#include "probe/kernel_types.h"
#include "probe/permissions.h"

struct bpf_link;
struct bpf_map;
struct bpf_object;
struct bpf_object_open_opts;
struct bpf_program;

namespace iolens {

/// How one program of an object fares on this kernel.
struct ProbeStatus {
    std::string name;     ///< the tracepoint
    std::string program;  ///< the BPF program
    bool works = false;
    bool used = true;                   ///< false: another variant of it is better on this kernel
    std::string how = "tp_btf";         ///< the kind of probe, and which of its variants
    std::string why;                    ///< in words, where it doesn't work
    std::optional<u64> verified_insns;  ///< what the verifier walked; bpf_prog_info, before 5.16 from its log
    std::optional<u64> missed;          ///< runs skipped by the recursion guard; bpf_prog_info, from 5.12
};

/// A key for ids that kernel addresses are part of: random, the same for all objects of a run.
const std::array<u64, 2>& id_key();

/// An errno of load or attach, in words for a person.
std::string probe_error_text(int error);

struct LinkDeleter {
    void operator()(bpf_link* link) const;
};
using Link = std::unique_ptr<bpf_link, LinkDeleter>;

/// Throws Failure (unavailable) for a program that could not be attached (errno).
[[noreturn]] void fail_to_attach(const bpf_program* program, int error);

/// Attaches a program. Throws Failure (unavailable): a probe that fails to attach ends the run.
Link attach(bpf_program* program);

/// Is a program for functions in user space (uprobe, uretprobe), and not for the kernel?
bool is_of_user_space(const bpf_program* program);

struct UserPlace;

/// Attaches a program of user space, at a function's beginning or end as its section says. An empty link: errno says
/// why not.
Link attach_at(const bpf_program* program, const UserPlace& place);

/// A place in a file, for programs of user space.
struct UserPlace {
    std::string path;
    u64 offset = 0;         ///< bytes
    std::string_view name;  ///< of the function there; programs for it have names that end in it
};

/// Loads and attaches each program of an object file (its ELF image) by itself, so that one that is refused doesn't
/// hide the others, and says how it went; leaves nothing attached. Of the programs of user space only those for
/// `place`.
/// Where `wanted` is given, only of those that it returns true for.
std::vector<ProbeStatus> examine_object(std::span<const std::byte> image, const std::optional<UserPlace>& place = {},
                                        const std::function<bool(const bpf_program*)>& wanted = {});

/// Throws Failure (failed) for an object that libbpf did not open; errno says why.
[[noreturn]] void fail_to_open();

/// How objects are opened: to be relocated against kernel_types_path(). Where there is no such file and no
/// CAP_SYS_ADMIN, against the kernel's own types, and what depends on a module's types is done without.
const bpf_object_open_opts* open_options();

/// What a skeleton's open_opts() made, ready to be loaded, for a smart pointer to hold.
template <typename Skeleton>
Skeleton* opened(Skeleton* object) {
    if (object == nullptr) fail_to_open();
    provide_kernel_types(object->obj);
    return object;
}

/// Uses another object's map, by its descriptor. Throws Failure (failed).
void share_map(bpf_map* map, int fd);

/// At so many unread bytes of a ring the kernel wakes its reader, who else looks when it has napped.
constexpr u64 wake_bytes(u64 ring_bytes) { return std::max<u64>(ring_bytes / 8, 4096); }

/// Throws Failure (unavailable) for an error of loading an object; `what` names its probes.
[[noreturn]] void fail_to_load(std::string_view what, int error);

/// Puts the cgroup of filter.by_cgroup in its map. Throws Failure (usage) where the kernel does not take it.
void allow_cgroup(const bpf_map* map, const iolens_filter& filter, int cgroup_fd);

/// bpf_prog_info of a loaded program.
ProbeStatus program_status(const bpf_program* program);

/// Adds up the per-CPU counters, and the programs' missed runs.
iolens_loss read_ledger(const bpf_map* counters, const bpf_object* object);

/// The programs' missed runs.
u64 read_missed(const bpf_object* object);

/// Calls `each` with every key of a map.
void for_each_key(const bpf_map* map, const std::function<void(const void*)>& each);

/// Calls `each` with every key and value of a hash map, both copies: many are read by one system call.
void for_each_bytes(const bpf_map* map, const std::function<void(const void* key, const void* value)>& each);
template <typename Key, typename Value, typename Each>
void for_each_entry(const bpf_map* map, Each&& each) {
    for_each_bytes(map, [&](const void* key, const void* value) {
        each(*static_cast<const Key*>(key), *static_cast<const Value*>(value));
    });
}

/// The number of entries of a hash map.
std::size_t count_entries(const bpf_map* map);

/// Collects what libbpf has to say instead of printing it; with `print`, on standard error too.
void capture_libbpf_log(bool print);

/// Which program the kernel's verifier refused last, and its reason.
std::string last_verifier_words();

/// libbpf's last warning, for a hint.
std::string last_libbpf_warning();

}  // namespace iolens
