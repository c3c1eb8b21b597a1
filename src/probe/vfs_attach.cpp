// SPDX-License-Identifier: Apache-2.0
// Attaches to kernel functions by fentry or kprobes, or falls back to system calls.
#include "probe/vfs_attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ranges>

#include "base/failure.h"
#include "base/text.h"
#include "probe/pid_namespace.h"
#include "probe/symbols.h"
#include "probe/target.h"
#include "probe/vfs.h"
// made by bpftool from bpf/vfs.bpf.c
#include "vfs.skel.h"

namespace iolens {
namespace {

constexpr std::string_view kprobe_suffix = "_kprobe";
constexpr std::string_view end_suffix = "_end";

/// Describes a program on a function: its place, and how it is attached.
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

/// Entries of its scratch map (enum file_slot of bpf/lib/file.bpf.h) that a program at this place needs.
u32 scratch_of(std::string_view place) {
    constexpr std::array<std::string_view, 7> slots{"read_iter", "write_iter", "splice_read", "fsync",
                                                    "fallocate", "fault",      "store"};
    const auto it = std::ranges::find(slots, place);
    return it == slots.end() ? 1 : static_cast<u32>(it - slots.begin()) + 1;
}

/// A kernel function to attach to, the place of its programs, and the operations that pass through it.
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

}  // namespace

bool may_try(AttachMode mode) {
    const char* word = std::getenv("IOLENS_PROBE");  // NOLINT(concurrency-mt-unsafe): one thread
    const bool names_one =
        word != nullptr && std::ranges::find(attach_mode_names, std::string_view(word)) != attach_mode_names.end();
    return !names_one || attach_mode_names.at(static_cast<std::size_t>(mode)) == word;
}

bool has_kprobes() { return ::access("/sys/bus/event_source/devices/kprobe/type", R_OK) == 0; }

std::vector<std::string_view> vfs_symbols() {
    std::vector<std::string_view> items = target_symbols();
    for (const KernelTarget& target : every_kernel_target) {
        if (std::ranges::find(items, target.function) == items.end()) items.push_back(target.function);
    }
    return items;
}

bool is_seen_fault(const bpf_program* program) {
    return std::string_view(bpf_program__name(program)).ends_with("_seen");
}

/// The kernel functions that accesses of every filesystem pass through.
VfsProbe::Targets VfsProbe::kernel_targets() const {
    Targets targets;
    for (const KernelTarget& target : every_kernel_target) {
        const bool wanted = std::ranges::any_of(target.ops, [&](iolens_vfs_op op) { return wants(op); });
        if (wanted && addresses_.of(target.function) != 0) targets.emplace(target.place, target.function);
    }
    return targets;
}

/// Attaches all targets or none; optional ones that can't be attached in this mode are added to `missing` instead.
bool VfsProbe::try_attach(const Targets& targets, AttachMode mode, const Targets& optional, Targets& missing) {
    if (mode == AttachMode::kprobe && !has_kprobes()) {
        why_.push_back(fmt::format("kprobe: {}", no_kprobes));
        return false;
    }
    Attached made;
    made.object = make();
    vfs_bpf& object = *made.object;
    object.data->period = object_->data->period;  // the map that they share records the period in which a name was sent
    share_map(object.maps.ring, bpf_map__fd(object_->maps.ring));
    share_map(object.maps.counters, bpf_map__fd(object_->maps.counters));
    share_map(object.maps.watched, bpf_map__fd(object_->maps.watched));
    share_map(object.maps.watched_below, bpf_map__fd(object_->maps.watched_below));
    share_map(object.maps.watched_names, bpf_map__fd(object_->maps.watched_names));
    share_map(object.maps.watch_found, bpf_map__fd(object_->maps.watch_found));
    share_map(object.maps.watch_tables, bpf_map__fd(object_->maps.watch_tables));
    share_map(object.maps.accesses, bpf_map__fd(object_->maps.accesses));
    if (mode == AttachMode::kprobe) bpf_map__set_max_entries(object.maps.frames, options_.max_inflight);
    share_map(object.maps.bios, bpf_map__fd(object_->maps.bios));
    share_map(object.maps.emitted_files, bpf_map__fd(object_->maps.emitted_files));
    share_map(object.maps.filter_cgroup, bpf_map__fd(object_->maps.filter_cgroup));
    struct Wanted {
        bpf_program* program;
        AtFunction at;
        std::string function;
    };
    std::vector<Wanted> wanted;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.obj) {
        const auto at = at_function(program);
        if (!at || at->kprobe != (mode == AttachMode::kprobe)) continue;
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
        if (bpf_map__max_entries(object.maps.file_scratch_slots) < scratch) {
            bpf_map__set_max_entries(object.maps.file_scratch_slots, scratch);
        }
    }
    if (const int error = vfs_bpf__load(&object); error != 0) {
        why_.push_back(
            fmt::format("{}: {}", attach_mode_names.at(static_cast<std::size_t>(mode)), probe_error_text(-error)));
        if (error == -EINVAL || error == -EACCES || error == -E2BIG) why_.back() += " (" + last_verifier_words() + ")";
        return false;
    }
    // ends first
    std::ranges::partition(wanted, [](const Wanted& item) { return item.at.end; });
    for (const Wanted& item : wanted) {
        Link link = attach_function(item.program, item.at, item.function);
        if (!link) {
            why_.push_back(fmt::format("{} of {}: {}", attach_mode_names.at(static_cast<std::size_t>(mode)),
                                       item.function, probe_error_text(errno)));
            return false;
        }
        made.links.push_back(std::move(link));
    }
    attached_.push_back(std::move(made));
    return true;
}

AttachMode VfsProbe::attach_best(const Targets& targets, const Targets& optional) {
    for (const AttachMode mode : {AttachMode::fentry, AttachMode::kprobe}) {
        Targets missing;
        if (!(options_.only ? options_.only == mode : may_try(mode)) || !try_attach(targets, mode, optional, missing))
            continue;
        // functions of a module without BTF in this kernel: a loop device's requests
        if (!missing.empty()) try_attach(missing, AttachMode::kprobe, {}, missing);
        return mode;
    }
    return AttachMode::syscalls;
}

AttachMode VfsProbe::attach_functions(const iolens_resolved& file) {
    if (!options_.vfs) return AttachMode::fentry;
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
    AttachMode& mode = known_[functions];
    mode = AttachMode::syscalls;
    Targets targets;
    if (wants(IOLENS_VFS_READ)) targets["read_iter"] = name(IOLENS_READ_ITER);
    if (wants(IOLENS_VFS_WRITE)) targets["write_iter"] = name(IOLENS_WRITE_ITER);
    if (wants(IOLENS_VFS_FSYNC)) targets["fsync"] = name(IOLENS_FSYNC);
    // these call read_iter, where the access is seen already
    const std::string splice = name(IOLENS_SPLICE_READ);
    const bool by_read_iter = splice == "generic_file_splice_read" || splice == "copy_splice_read";
    if (wants(IOLENS_VFS_READ) && !splice.empty() && !by_read_iter) targets["splice_read"] = splice;
    const auto unknown = [](const auto& target) { return target.second.empty(); };
    if (wants(IOLENS_VFS_READ) && targets["read_iter"].empty()) {
        why_.emplace_back("unknown read function of the filesystem");
    } else {
        std::erase_if(targets, unknown);
        // two filesystems may share a function
        std::erase_if(targets, [&](const auto& target) { return functions_.contains(target.second); });
        const Targets kernels = kernel_attached_ ? Targets{} : kernel_targets();
        targets.insert(kernels.begin(), kernels.end());
        mode = targets.empty() ? AttachMode::fentry : attach_best(targets, kernels);
    }
    if (mode != AttachMode::syscalls) {
        for (const auto& [place, function] : targets) functions_.insert(function);
        if (!kernel_attached_) sees_faults_ = targets.contains("fault");
        kernel_attached_ = true;
    } else if (!kernel_attached_) {
        attach_seen_faults();
    }
    return mode;
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

}  // namespace iolens
