// SPDX-License-Identifier: Apache-2.0
#include "probe/vfs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ranges>
#include <span>

#include "base/clock.h"
#include "base/failure.h"
#include "base/fd.h"
#include "base/text.h"
#include "probe/origin.h"
#include "probe/pid_namespace.h"
#include "probe/symbols.h"
// made by bpftool from bpf/vfs.bpf.c; it is C, and looks for the types of read-only data in the global namespace
using iolens::iolens_keep;
using iolens::iolens_pidns;
using iolens::iolens_resolved;
#include "vfs.skel.h"

namespace iolens {
namespace {

/// IOLENS_PROBE=fentry, kprobe or calls forces a way, to test it.
bool may_try(VfsWay way) {
    const char* word = std::getenv("IOLENS_PROBE");  // NOLINT(concurrency-mt-unsafe): one thread
    const bool names_one = word != nullptr && std::ranges::find(vfs_ways, std::string_view(word)) != vfs_ways.end();
    return !names_one || vfs_ways.at(static_cast<std::size_t>(way)) == word;
}

constexpr std::string_view kprobe_suffix = "_kprobe";
constexpr std::string_view end_suffix = "_end";

/// Of a program at a function: the place's name, and how it is attached.
struct AtFunction {
    std::string place;
    bool end = false;
    bool kprobe = false;
};
std::optional<AtFunction> at_function(const bpf_program* program) {
    const std::string_view section = bpf_program__section_name(program);
    AtFunction at;
    at.kprobe = section == "kprobe" || section == "kretprobe";
    if (!at.kprobe && section != "fentry" && section != "fexit") return {};
    std::string_view name = bpf_program__name(program);
    name.remove_prefix(std::string_view("iolens_").size());
    if (name.ends_with(kprobe_suffix)) name.remove_suffix(kprobe_suffix.size());
    at.end = name.ends_with(end_suffix);
    if (at.end) name.remove_suffix(end_suffix.size());
    at.place = name;
    return at;
}

/// libbpf finds a fentry program's function in the BTF of the kernel and its modules when it is set.
Link attach_function(bpf_program* program, const AtFunction& at, const std::string& function) {
    if (at.kprobe) return Link(bpf_program__attach_kprobe(program, at.end, function.c_str()));
    return Link(bpf_program__attach(program));
}

/// How many entries of its scratch map (enum file_slot of bpf/lib/file.bpf.h) a program of a place needs.
u32 scratch_of(std::string_view place) {
    constexpr std::array<std::string_view, 7> slots{"read_iter", "write_iter", "splice_read", "fsync",
                                                    "fallocate", "fault",      "store"};
    const auto at = std::ranges::find(slots, place);
    return at == slots.end() ? 1 : static_cast<u32>(at - slots.begin()) + 1;
}

/// A function of the kernel's own that is attached to, the place of its programs, and the operations that pass it.
struct KernelTarget {
    std::string_view place;
    std::string_view function;
    std::array<iolens_vfs_op, 2> ops;
};
constexpr std::array every_kernel_target{
    KernelTarget{"fault", "filemap_fault", {IOLENS_VFS_FAULT, IOLENS_VFS_FAULT}},
    KernelTarget{"store", "do_page_mkwrite", {IOLENS_VFS_FAULT, IOLENS_VFS_FAULT}},
    KernelTarget{"fallocate", "vfs_fallocate", {IOLENS_VFS_DISCARD, IOLENS_VFS_DISCARD}},
    KernelTarget{"complete_aio", "aio_complete_rw", {IOLENS_VFS_READ, IOLENS_VFS_WRITE}},
    KernelTarget{"complete_uring", "io_complete_rw", {IOLENS_VFS_READ, IOLENS_VFS_WRITE}},
    KernelTarget{"complete_uring_poll", "io_complete_rw_iopoll", {IOLENS_VFS_READ, IOLENS_VFS_WRITE}},
    KernelTarget{"complete_loop", "lo_rw_aio_complete", {IOLENS_VFS_READ, IOLENS_VFS_WRITE}},
};

std::vector<std::string_view> symbols() {
    std::vector<std::string_view> all = origin_symbols();
    for (const KernelTarget& target : every_kernel_target) {
        if (std::ranges::find(all, target.function) == all.end()) all.push_back(target.function);
    }
    return all;
}

/// Tracepoints that stand for the functions of faults: that they began.
bool is_seen_fault(const bpf_program* program) {
    return std::string_view(bpf_program__name(program)).ends_with("_seen");
}

}  // namespace

void VfsProbe::Close::operator()(vfs_bpf* object) const { vfs_bpf__destroy(object); }

bool VfsProbe::wants(iolens_vfs_op op) const { return options_.keep.ops == 0 || (options_.keep.ops >> op & 1U) != 0; }

/// An object with what was asked for in its read-only data, and no program chosen.
VfsProbe::Object VfsProbe::make() const {
    Object object(opened(vfs_bpf__open_opts(open_options())));
    bpf_map__set_max_entries(object->maps.ring, static_cast<u32>(options_.ring_bytes));
    bpf_map__set_max_entries(object->maps.accesses, options_.max_inflight);
    bpf_map__set_max_entries(object->maps.bios, options_.blk ? options_.max_inflight : 1);
    bpf_map__set_max_entries(object->maps.file_rooms, 1);  // until programs that send names are chosen
    bpf_map__set_max_entries(object->maps.watched, std::max(options_.max_files, 1U));
    if (options_.depth != 0) {
        // each processor sets up to 128 free entries aside
        constexpr u32 of_processor = 256;
        const auto least = of_processor * static_cast<u32>(std::max(libbpf_num_possible_cpus(), 1));
        bpf_map__set_max_entries(object->maps.watched_below, std::max(options_.max_files, least));
    }
    auto& data = *object->rodata;
    data.keep = options_.keep;
    data.own_pidns = own_pidns();
    std::ranges::copy(id_key(), std::begin(data.id_key));
    data.ring_wake_bytes = wake_bytes(options_.ring_bytes);
    data.levels = (options_.vfs ? 1U << IOLENS_LEVEL_VFS : 0U) | (options_.blk ? 1U << IOLENS_LEVEL_BLK : 0U);
    data.watch_depth = options_.depth;
    data.page_shift = static_cast<u32>(std::countr_zero(static_cast<u64>(::sysconf(_SC_PAGESIZE))));
    set_origin_addresses(data, addresses_);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object->obj) bpf_program__set_autoload(program, false);
    return object;
}

VfsProbe::VfsProbe(const Options& options) : options_(options) {
    const KernelNames kernel;
    addresses_ = KernelAddresses(symbols());
    object_ = make();
    bpf_program* program = nullptr;
    std::vector<bpf_program*> wanted;
    bpf_object__for_each_program(program, object_->obj) {
        const std::string_view section = bpf_program__section_name(program);
        const bool block = section.starts_with("tp_btf/block_");
        const bool fault =
            is_seen_fault(program) && options_.vfs && wants(IOLENS_VFS_FAULT) && kernel.has_tracepoint(section);
        if ((block && options_.blk) || fault) {
            bpf_program__set_autoload(program, true);
            if (block) wanted.push_back(program);
        }
    }
    bpf_program__set_autoload(object_->progs.iolens_resolve, true);
    if (const int error = vfs_bpf__load(object_.get()); error != 0) fail_to_load("the file", error);
    allow_cgroup(object_->maps.keep_cgroup, options_.keep, options_.cgroup_fd);
    tell_bio_ends(object_->maps.bio_ends, addresses_);
    // in the object they stand with the start first: the ends are attached first
    for (bpf_program* one : wanted | std::views::reverse) links_.push_back(attach(one));
    ::malloc_trim(0);
}

VfsProbe::~VfsProbe() = default;

std::optional<iolens_resolved> VfsProbe::resolve(int fd) {
    const std::scoped_lock lock(resolving_);  // one place for the answer
    std::array<u64, 1> arguments{static_cast<u64>(fd)};
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.ctx_in = arguments.data();
    run.ctx_size_in = sizeof arguments;
    if (::bpf_prog_test_run_opts(bpf_program__fd(object_->progs.iolens_resolve), &run) != 0) return {};
    if (object_->bss->resolved.found == 0) return {};
    return object_->bss->resolved;
}

/// The kernel's own functions that every filesystem's accesses pass.
VfsProbe::Targets VfsProbe::kernel_targets() const {
    Targets targets;
    for (const KernelTarget& target : every_kernel_target) {
        const bool wanted = std::ranges::any_of(target.ops, [&](iolens_vfs_op op) { return wants(op); });
        if (wanted && addresses_.of(target.function) != 0) targets.emplace(target.place, target.function);
    }
    return targets;
}

/// All of the targets or none; but of the optional places those that can't be had in this way become `missing`.
bool VfsProbe::try_attach(const Targets& targets, VfsWay way, const Targets& optional, Targets& missing) {
    if (way == VfsWay::kprobe && ::access("/sys/bus/event_source/devices/kprobe/type", R_OK) != 0) {
        why_.emplace_back("kprobes: this kernel has none");
        return false;
    }
    Attached made;
    made.object = make();
    vfs_bpf& object = *made.object;
    object.data->period = object_->data->period;  // what was sent in it is in a map that they share
    share_map(object.maps.ring, bpf_map__fd(object_->maps.ring));
    share_map(object.maps.counters, bpf_map__fd(object_->maps.counters));
    share_map(object.maps.watched, bpf_map__fd(object_->maps.watched));
    share_map(object.maps.watched_below, bpf_map__fd(object_->maps.watched_below));
    share_map(object.maps.watch_found, bpf_map__fd(object_->maps.watch_found));
    share_map(object.maps.watch_near, bpf_map__fd(object_->maps.watch_near));
    share_map(object.maps.accesses, bpf_map__fd(object_->maps.accesses));
    if (way == VfsWay::kprobe) bpf_map__set_max_entries(object.maps.frames, options_.max_inflight);
    share_map(object.maps.bios, bpf_map__fd(object_->maps.bios));
    share_map(object.maps.files_told, bpf_map__fd(object_->maps.files_told));
    share_map(object.maps.keep_cgroup, bpf_map__fd(object_->maps.keep_cgroup));
    struct Wanted {
        bpf_program* program;
        AtFunction at;
        std::string function;
    };
    std::vector<Wanted> wanted;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.obj) {
        const auto at = at_function(program);
        if (!at || at->kprobe != (way == VfsWay::kprobe)) continue;
        const auto target = targets.find(at->place);
        if (target == targets.end()) continue;
        bpf_program__set_autoload(program, true);
        const int error = at->kprobe ? 0 : bpf_program__set_attach_target(program, 0, target->second.c_str());
        if (error != 0) {
            if (optional.contains(at->place)) {
                bpf_program__set_autoload(program, false);
                missing[at->place] = target->second;
                continue;
            }
            why_.push_back(error == -EPERM || error == -EACCES
                               ? fmt::format("fentry: {}: {}", target->second, probe_error_text(-error))
                               : fmt::format("fentry: {} is not in the kernel's BTF", target->second));
            return false;
        }
        wanted.push_back({program, *at, target->second});
        const u32 scratch = scratch_of(at->place);
        if (bpf_map__max_entries(object.maps.file_rooms) < scratch) {
            bpf_map__set_max_entries(object.maps.file_rooms, scratch);
        }
    }
    if (const int error = vfs_bpf__load(&object); error != 0) {
        why_.push_back(fmt::format("{}: {}", vfs_ways.at(static_cast<std::size_t>(way)), probe_error_text(-error)));
        if (error == -EINVAL || error == -EACCES || error == -E2BIG) why_.back() += " (" + last_verifier_words() + ")";
        return false;
    }
    // ends first
    std::ranges::partition(wanted, [](const Wanted& one) { return one.at.end; });
    for (const Wanted& one : wanted) {
        Link link = attach_function(one.program, one.at, one.function);
        if (!link) {
            why_.push_back(fmt::format("{} of {}: {}", vfs_ways.at(static_cast<std::size_t>(way)), one.function,
                                       probe_error_text(errno)));
            return false;
        }
        made.links.push_back(std::move(link));
    }
    attached_.push_back(std::move(made));
    return true;
}

VfsWay VfsProbe::attach_best(const Targets& targets, const Targets& optional) {
    for (const VfsWay way : {VfsWay::fentry, VfsWay::kprobe}) {
        Targets missing;
        if (!(options_.only ? options_.only == way : may_try(way)) || !try_attach(targets, way, optional, missing))
            continue;
        // of a module whose types the kernel doesn't have: a loop device's requests
        if (!missing.empty()) try_attach(missing, VfsWay::kprobe, {}, missing);
        return way;
    }
    return VfsWay::calls;
}

VfsWay VfsProbe::attach_functions(const iolens_resolved& file) {
    if (!options_.vfs) return VfsWay::fentry;
    std::array<u64, IOLENS_FUNCTIONS> functions{};
    std::ranges::copy(file.functions, functions.begin());
    if (const auto known = known_.find(functions); known != known_.end()) return known->second;
    std::optional<KernelSymbols> symbols;
    const auto name = [&](iolens_function function) -> std::string {
        const u64 address = functions.at(function);
        if (address == 0 || addresses_.hidden()) return "";
        std::string_view known = std::span(file.names)[function];
        if (known.empty()) known = (symbols ? *symbols : symbols.emplace()).name(address);
        return std::string(known.substr(0, known.find(' ')));  // "ext4_file_read_iter [ext4]"
    };
    VfsWay& way = known_[functions];
    way = VfsWay::calls;
    Targets targets;
    if (wants(IOLENS_VFS_READ)) targets["read_iter"] = name(IOLENS_READ_ITER);
    if (wants(IOLENS_VFS_WRITE)) targets["write_iter"] = name(IOLENS_WRITE_ITER);
    if (wants(IOLENS_VFS_FSYNC)) targets["fsync"] = name(IOLENS_FSYNC);
    // these read by read_iter, where it is seen
    const std::string splice = name(IOLENS_SPLICE_READ);
    const bool by_read_iter = splice == "generic_file_splice_read" || splice == "copy_splice_read";
    if (wants(IOLENS_VFS_READ) && !splice.empty() && !by_read_iter) targets["splice_read"] = splice;
    const auto unknown = [](const auto& target) { return target.second.empty(); };
    if (wants(IOLENS_VFS_READ) && targets["read_iter"].empty()) {
        why_.emplace_back("the filesystem's read function is unknown");
    } else {
        std::erase_if(targets, unknown);
        // two filesystems may share one
        std::erase_if(targets, [&](const auto& target) { return functions_.contains(target.second); });
        const Targets kernels = kernel_attached_ ? Targets{} : kernel_targets();
        targets.insert(kernels.begin(), kernels.end());
        way = targets.empty() ? VfsWay::fentry : attach_best(targets, kernels);
    }
    if (way != VfsWay::calls) {
        for (const auto& [place, function] : targets) functions_.insert(function);
        if (!kernel_attached_) sees_faults_ = targets.contains("fault");
        kernel_attached_ = true;
    } else if (!kernel_attached_) {
        attach_seen_faults();
    }
    return way;
}

void VfsProbe::attach_seen_faults() {
    if (seen_faults_) return;
    seen_faults_ = true;
    std::size_t attached = 0;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_->obj) {
        if (!is_seen_fault(program) || !bpf_program__autoload(program)) continue;
        links_.push_back(attach(program));
        ++attached;
    }
    sees_faults_ = attached == 2;  // loads and stores
}

bool VfsProbe::watch(const iolens_file_id& id, const iolens_watch& how) {
    return put_watch(object_->maps.watched, id, how, BPF_ANY) == 0;
}

bool VfsProbe::watch_below(const iolens_file_id& id, const iolens_watch& how) {
    const int error = put_watch(object_->maps.watched_below, id, how, BPF_NOEXIST);
    if (error == 0) ++added_below_;
    return error == 0 || error == EEXIST;  // a program may have accessed it meanwhile
}

u64 VfsProbe::evicted() const {
    const u32 zero = 0;
    u64 found = 0;
    if (options_.depth == 0) return 0;
    ::bpf_map_lookup_elem(bpf_map__fd(object_->maps.watch_found), &zero, &found);
    found += added_below_;
    return found - std::min<u64>(found, count_entries(object_->maps.watched_below));
}

/// Returns 0 or an errno.
int VfsProbe::put_watch(const bpf_map* map, const iolens_file_id& id, const iolens_watch& how, u64 flags) {
    if (::bpf_map_update_elem(bpf_map__fd(map), &id, &how, flags) != 0) return errno;
    const u32 place = id.ino & (IOLENS_WATCH_NEAR - 1);
    const u8 one = 1;
    return ::bpf_map_update_elem(bpf_map__fd(object_->maps.watch_near), &place, &one, BPF_ANY) == 0 ? 0 : errno;
}

void VfsProbe::unwatch(const iolens_file_id& id) {
    for (const bpf_map* map : {object_->maps.watched, object_->maps.watched_below}) {
        ::bpf_map_delete_elem(bpf_map__fd(map), &id);  // it is in one of them, or in none
    }
}

std::vector<u64> VfsProbe::names_in_flight() const {
    std::vector<u64> names;
    for (const bpf_map* map : {object_->maps.accesses, object_->maps.bios}) {
        for_each_bytes(map, [&](const void* /*key*/, const void* value) {
            names.push_back(static_cast<const iolens_vfs_event*>(value)->name_id);
        });
    }
    return names;
}

void VfsProbe::begin_period() {
    const u32 period = __atomic_add_fetch(&object_->data->period, 1, __ATOMIC_RELAXED);
    for (const Attached& one : attached_) __atomic_store_n(&one.object->data->period, period, __ATOMIC_RELAXED);
}

/// Starts first, so that what has begun is seen to end.
void VfsProbe::detach() {
    if (detached_) return;
    detached_ = true;
    while (!links_.empty()) links_.pop_back();
    for (Attached& one : attached_) {
        while (!one.links.empty()) one.links.pop_back();
    }
    for (const bpf_map* map : {object_->maps.accesses, object_->maps.bios}) {
        for_each_bytes(
            map, [&](const void* /*key*/, const void* value) { settle(*static_cast<const iolens_vfs_event*>(value)); });
    }
}

/// Counts an access or bio that was left behind, and makes its record. One whose last bio has ended is whole.
void VfsProbe::settle(iolens_vfs_event e) {
    const bool ended = vfs_has(e, IOLENS_VFS_ENDED);
    if (!ended) e.h.ts = clock_ns(CLOCK_BOOTTIME);
    if (e.h.ts - e.start < options_.keep.min_ns) {
        ++settled_.filtered;
        return;
    }
    u32 flags = e.flags & u32{IOLENS_VFS_TOLD};
    if (!ended) flags |= u32{IOLENS_VFS_NO_END} | u32{IOLENS_VFS_PENDING};
    e.flags = static_cast<u16>(flags);
    ++(ended ? settled_.delivered : settled_.in_flight);
    e.h.kind = IOLENS_KIND_VFS;
    e.h.size = sizeof e;
    e.h.cpu = IOLENS_NO_CPU;
    std::vector<u64>& record = unfinished_.emplace_back(sizeof e / sizeof(u64));
    std::memcpy(record.data(), &e, sizeof e);
}

u64 VfsProbe::unwatched_files() const {
    const u32 one = 1;
    u64 files = 0;
    ::bpf_map_lookup_elem(bpf_map__fd(object_->maps.watch_found), &one, &files);
    return files;
}

int VfsProbe::ring_fd() const { return bpf_map__fd(object_->maps.ring); }

WatchMaps VfsProbe::maps() const {
    return {.ring = bpf_map__fd(object_->maps.ring),
            .counters = bpf_map__fd(object_->maps.counters),
            .watched = bpf_map__fd(object_->maps.watched),
            .below = bpf_map__fd(object_->maps.watched_below),
            .found = bpf_map__fd(object_->maps.watch_found),
            .near = bpf_map__fd(object_->maps.watch_near),
            .depth = options_.depth};
}

iolens_loss VfsProbe::ledger() const {
    iolens_loss loss = read_ledger(object_->maps.counters, object_->obj);
    for (const Attached& one : attached_) loss.missed += read_missed(one.object->obj);
    loss.n.delivered += settled_.delivered;
    loss.n.filtered += settled_.filtered;
    loss.n.in_flight += settled_.in_flight;
    return loss;
}

/// The functions of the filesystem that this program is on stand for the others'. The first row says how they are
/// attached to; with `only`, a row for each of that way's programs follows.
std::vector<ProbeStatus> VfsProbe::examine_functions(std::optional<VfsWay> only) {
    std::vector<ProbeStatus> all(1);
    ProbeStatus& status = all.front();
    status.name = "read_iter, write_iter";
    status.program = "iolens_read_iter";
    try {
        Options options;
        options.blk = false;
        options.only = only;
        VfsProbe probe(options);
        const Fd self(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
        const auto file = probe.resolve(self.get());
        if (!file) {
            status.why = "the kernel doesn't run a program to tell about an open file (BPF_PROG_TEST_RUN)";
            return all;
        }
        const VfsWay way = probe.attach_functions(*file);
        status.works = true;
        status.how = way == VfsWay::calls ? "system calls and io_uring instead"
                                          : std::string(vfs_ways.at(static_cast<std::size_t>(way)));
        if (!probe.why().empty()) status.how += fmt::format(" ({})", fmt::join(probe.why(), "; "));
        if (!only) return all;
        status.works = way == *only;
        for (const Attached& attached : probe.attached_) {
            bpf_program* program = nullptr;
            bpf_object__for_each_program(program, attached.object->obj) {
                if (bpf_program__fd(program) < 0) continue;
                ProbeStatus one = program_status(program);
                one.name = one.program;
                one.how = vfs_ways.at(static_cast<std::size_t>(way));
                one.works = true;
                all.push_back(std::move(one));
            }
        }
    } catch (const Failure& failure) {
        status.why = failure.what();
    }
    return all;
}

std::vector<ProbeStatus> VfsProbe::examine(bool variants) {
    std::size_t size = 0;
    const void* image = vfs_bpf__elf_bytes(&size);
    const KernelNames kernel;
    std::vector<ProbeStatus> all;
    const auto wanted = [&](const bpf_program* program) {
        const std::string_view section = bpf_program__section_name(program);
        if (section.starts_with("raw_tp/")) return true;
        return section.starts_with("tp_btf/") && (!is_seen_fault(program) || kernel.has_tracepoint(section));
    };
    all = examine_object({static_cast<const std::byte*>(image), size}, {}, wanted);
    for (ProbeStatus& one : all) {
        if (one.program != "iolens_resolve") continue;
        one.name = "what a file is";  // in use it is run, and not attached
        one.how = "raw_tp, run for each file";
    }
    all.push_back(std::move(examine_functions({}).front()));
    for (const VfsWay way : {VfsWay::fentry, VfsWay::kprobe}) {
        if (!variants) break;
        for (ProbeStatus& one : examine_functions(way)) {
            one.used = false;
            all.push_back(std::move(one));
        }
    }
    return all;
}

}  // namespace iolens
