// SPDX-License-Identifier: Apache-2.0
#include "probe/syscalls.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <map>
#include <ranges>
#include <string_view>
#include <unordered_map>

#include "base/failure.h"
#include "base/fd.h"
#include "base/text.h"
#include "iolens/event/operation.h"
#include "probe/pid_namespace.h"
#include "probe/syscalls_aio.h"
#include "probe/syscalls_libc.h"
// made by bpftool from bpf/syscall.bpf.c
#include "syscall.skel.h"
#include "syscall_without_casts.skel.h"

namespace iolens {
namespace {

constexpr std::string_view direct_suffix = "_direct";

/// The object for this kernel, as bpf/lib/file.bpf.h explains: both objects have the same programs, maps and variables.
std::span<const std::byte> image_for(const KernelNames& kernel) {
    std::size_t size = 0;
    const void* bytes = has_casts(kernel) ? syscall_bpf__elf_bytes(&size) : syscall_without_casts_bpf__elf_bytes(&size);
    return {static_cast<const std::byte*>(bytes), size};
}

/// True if perf's tracepoints are needed and available (tracefs is mounted). IOLENS_PROBE=btf or perf forces one of
/// them.
bool wants_perf(const KernelNames& kernel) {
    if (is_forced("btf")) return false;
    const bool there = ::access("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", R_OK) == 0 ||
                       ::access("/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id", R_OK) == 0;
    return there && (preempts_programs(kernel) || is_forced("perf"));
}

/// True if the program is not attached, but run from user space.
bool is_run(const bpf_program* program) {
    const std::string_view section = bpf_program__section_name(program);
    return section.starts_with("raw_tp/") || section.starts_with("iter/");
}

bool is_perf(std::string_view section) { return section.starts_with("tp/"); }
/// True if a BTF tracepoint's program has a variant for perf's tracepoint.
bool has_perf_variant(std::string_view section) {
    return section == "tp_btf/sys_enter" || section == "tp_btf/sys_exit";
}

}  // namespace

/// Selects the programs to load. Of two variants: the direct one, which uses task storage and reads kernel memory
/// directly, or the plain one, which works on every kernel.
void SyscallProbe::choose_programs(const Options& options, bool direct) {
    const syscall_bpf& object = *object_;
    const std::vector<LibcFunction>& libc = options.libc;
    const bool uring = std::ranges::any_of(options.uring_ops, [](u8 what) { return what != 0; });
    const KernelNames kernel;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.obj) {
        const std::string name = bpf_program__name(program);
        if (name.ends_with(direct_suffix)) {
            bpf_program__set_autoload(program, direct);
        } else if (bpf_object__find_program_by_name(object.obj, (name + std::string(direct_suffix)).c_str()) !=
                   nullptr) {
            bpf_program__set_autoload(program, !direct);
        }
        // load the program for the name that io_uring's submit tracepoint has on this kernel; neither if the kernel
        // lacks io_uring
        const std::string_view section = bpf_program__section_name(program);
        const bool other_tracepoint = perf_ ? has_perf_variant(section) : is_perf(section);
        if (other_tracepoint) bpf_program__set_autoload(program, false);
        if (is_of_user_space(program)) {
            const bool wanted = many_uprobes_
                                    ? libc_name(program) == "all"
                                    : std::ranges::find(libc, libc_name(program), &LibcFunction::name) != libc.end();
            bpf_program__set_autoload(program, wanted && !libc.empty());
            if (many_uprobes_) {
                bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(attach_many_uprobes));
            }
        }
        if (is_completion(program)) bpf_program__set_autoload(program, completion_mode(program) == completions_);
        if (section.find("io_uring") != std::string_view::npos && bpf_program__autoload(program)) {
            bpf_program__set_autoload(program, uring && kernel.has_tracepoint(section));
        }
    }
    bpf_map__set_autocreate(object.maps.threads, !direct);
    bpf_map__set_autocreate(object.maps.thread_storage, direct);
}

void SyscallProbe::Close::operator()(syscall_bpf* object) const { syscall_bpf__destroy(object); }

/// Loads with the selected variants. Returns 0 or a negative errno.
int SyscallProbe::load(const Options& options, bool direct) {
    object_.reset(opened(open_image(syscall_bpf__create_skeleton, syscall_bpf__destroy, image_for(KernelNames()))));
    bpf_map__set_max_entries(object_->maps.ring, static_cast<u32>(options.ring_bytes));
    bpf_map__set_max_entries(object_->maps.threads, options.max_threads);
    object_->rodata->filter = options.filter;
    object_->rodata->own_pidns = own_pidns();
    std::ranges::copy(id_key(), std::begin(object_->rodata->id_key));
    object_->rodata->ring_wake_bytes = wake_bytes(options.ring_bytes);
    object_->rodata->follow = options.follow.empty() ? 0 : 1;
    auto* const syscalls = static_cast<iolens_call_info*>(object_->rodata->syscalls);
    std::ranges::copy(options.compat_syscalls, std::ranges::copy(options.syscalls, syscalls).out);
    std::ranges::copy(options.compat_calls, static_cast<iolens_compat_call*>(object_->rodata->compat_calls));
    object_->rodata->page_shift = static_cast<u32>(std::countr_zero(static_cast<u64>(::sysconf(_SC_PAGESIZE))));
    object_->rodata->own_ino = options.own_ino;
    object_->rodata->own_dev = options.own_dev;
    object_->rodata->decode_all = options.decode_all ? 1 : 0;
    // the direct programs look up the file of a mapping themselves
    object_->rodata->map_facts = options.map_facts && !direct ? 1 : 0;
    const auto asked = [](u8 what) { return what != 0; };
    const bool uring = std::ranges::any_of(options.uring_ops, asked);
    if (uring || std::ranges::any_of(options.aio_ops, asked)) {
        constexpr u32 max_contexts = 1024;
        object_->rodata->requests_wanted = 1;
        bpf_map__set_max_entries(object_->maps.requests, options.max_threads);
        bpf_map__set_max_entries(object_->maps.request_owners, options.max_threads);
        if (uring) bpf_map__set_max_entries(object_->maps.multishot_requests, options.max_threads);
        bpf_map__set_max_entries(object_->maps.request_contexts, max_contexts);
    }
    object_->bss->alive = static_cast<s64>(options.follow.size());
    std::ranges::copy(options.aio_ops, static_cast<u8*>(object_->rodata->aio_ops));
    std::ranges::copy(options.uring_ops, static_cast<u8*>(object_->rodata->uring_ops));
    if (options.watch) {
        object_->rodata->by_watch = 1;
        object_->rodata->watch_depth = options.watch->depth;
        share_map(object_->maps.ring, options.watch->ring);
        share_map(object_->maps.counters, options.watch->counters);
        share_map(object_->maps.watched, options.watch->watched);
        share_map(object_->maps.watched_below, options.watch->below);
        share_map(object_->maps.watched_names, options.watch->names);
        share_map(object_->maps.watch_found, options.watch->found);
        share_map(object_->maps.watch_tables, options.watch->tables);
        const u32 threads = std::bit_ceil(options.max_threads);
        bpf_map__set_max_entries(object_->maps.busy_threads, threads);
        object_->rodata->busy_mask = threads - 1;
    }
    bpf_map__set_autocreate(object_->maps.watch_tables, options.watch.has_value());
    choose_programs(options, direct);
    if (!options.libc.empty()) {
        object_->rodata->libc_wanted = 1;
        bpf_map__set_max_entries(object_->maps.libc_calls, options.max_threads);
    }
    // per CPU, so only as many slots as the programs use: enum file_slot of bpf/lib/file.bpf.h, enum request_slot
    constexpr u32 slots_of_calls = 2;
    constexpr u32 slots_of_uring = 4;
    constexpr u32 slots_of_operations = 7;
    bpf_map__set_max_entries(object_->maps.file_scratch_slots, options.operations ? slots_of_operations
                                                               : uring            ? slots_of_uring
                                                                                  : slots_of_calls);
    if (!uring) bpf_map__set_max_entries(object_->maps.request_scratch_slots, 2);
    bpf_map__set_autocreate(object_->maps.argument_scratch_slots, options.decode_all || options.operations);
    bpf_map__set_autocreate(object_->maps.operation_scratches, options.operations);
    object_->rodata->operations = options.operations ? 1 : 0;
    object_->rodata->leave_std = options.leave_std ? 1 : 0;
    object_->rodata->emit_start = options.emit_start ? 1 : 0;
    object_->rodata->emit_stop = options.emit_stop ? 1 : 0;
    object_->rodata->emit_cwd = options.emit_cwd ? 1 : 0;
    object_->rodata->start_on_open = options.start_words.empty() ? 0 : 1;
    object_->rodata->start_on_elapsed = options.start_on_elapsed_ns;
    constexpr u32 max_processes = 65536;
    if (!options.start_words.empty() || options.start_on_elapsed_ns != 0) {
        bpf_map__set_max_entries(object_->maps.started, max_processes);
    }
    constexpr u32 row = 256;
    const auto rows = static_cast<u32>(options.start_words.size()) / row;
    if (rows != 0) {
        object_->rodata->start_found = rows - 1;
        bpf_map__set_max_entries(object_->maps.start_words, rows);
    }
    const int error = syscall_bpf__load(object_.get());
    for (u32 i = 0; error == 0 && i < rows; ++i) {
        ::bpf_map_update_elem(bpf_map__fd(object_->maps.start_words), &i,
                              options.start_words.data() + std::size_t{i} * row, BPF_ANY);
    }
    return error;
}

/// True if task storage works. 7.0 needs a CPU with a 16-byte compare-and-exchange for it. Tested with a small map,
/// because loading the programs only to find them rejected takes long.
bool storage_works() {
    const std::unique_ptr<btf, void (*)(btf*)> types(btf__new_empty(), btf__free);
    const int number = btf__add_int(types.get(), "int", sizeof(int), BTF_INT_SIGNED);
    if (number < 0 || btf__load_into_kernel(types.get()) != 0) return false;
    bpf_map_create_opts options{};
    options.sz = sizeof options;
    options.map_flags = BPF_F_NO_PREALLOC;
    options.btf_fd = static_cast<u32>(btf__fd(types.get()));
    options.btf_key_type_id = static_cast<u32>(number);
    options.btf_value_type_id = static_cast<u32>(number);
    const Fd map(::bpf_map_create(BPF_MAP_TYPE_TASK_STORAGE, "iolens_try", sizeof(int), sizeof(int), 0, &options));
    const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    const int key = self.get();
    return map && ::bpf_map_update_elem(map.get(), &key, &number, BPF_NOEXIST) == 0;
}

/// Names the feature that the direct programs need and this kernel lacks, or nothing.
std::string_view lack_for_direct(const KernelNames& kernel) {
    if (!storage_works()) return "no BPF task storage";
    if (!has_casts(kernel)) return "no bpf_rdonly_cast";
    return {};
}

SyscallProbe::SyscallProbe(const Options& options) {
    const KernelNames kernel;
    // a single link for all of libc's functions, if the kernel supports it and the direct programs are not ruled out
    many_uprobes_ = !options.libc.empty() && !is_forced("plain") && kernel.has("BPF_TRACE_UPROBE_MULTI");
    preempts_ = preempts_programs(kernel);
    perf_ = wants_perf(kernel);
    if (std::ranges::any_of(options.aio_ops, [](u8 what) { return what != 0; })) choose_completions();
    bool direct = !is_forced("plain");
    if (direct && !is_forced("direct")) {
        const std::string_view lack = lack_for_direct(kernel);
        direct = lack.empty();
        if (!direct) why_.push_back(fmt::format("direct: {}", lack));
    }
    while (!start(options, direct)) {
    }
    // returns the memory of the parsed kernel BTF to the system
    ::malloc_trim(0);
}

SyscallProbe::~SyscallProbe() = default;

/// Drops a variant that the kernel rejected, unless it was requested by IOLENS_PROBE.
bool SyscallProbe::give_up(bool& variant, std::string_view name, int error) {
    if (!variant || is_forced(name)) return false;
    variant = false;
    why_.push_back(fmt::format("{}: {}", name, probe_error_text(error)));
    return true;
}

/// Loads and attaches. Returns false if the kernel rejected a variant and another one has to be tried.
bool SyscallProbe::start(const Options& options, bool& direct) {
    detach();
    if (const int error = load(options, direct); error != 0) {
        bool completions = completions_.has_value();
        if (give_up(completions, completion_function, -error)) {
            completions_.reset();
            return false;
        }
        if (give_up(direct, "direct", -error) || give_up(many_uprobes_, "uprobe.multi", -error)) return false;
        fail_to_load("the system call", error);
    }
    for (const u32 pid : options.follow) {
        const u8 one = 1;
        if (::bpf_map_update_elem(bpf_map__fd(object_->maps.followed), &pid, &one, BPF_ANY) != 0) {
            throw Failure(Exit::failed, "can't follow a process: " + error_text(errno), "use fewer processes");
        }
        ++object_->bss->followed_buckets[pid % IOLENS_FOLLOWED_BUCKETS];  // nothing is attached yet
    }
    allow_cgroup(object_->maps.filter_cgroup, options.filter, options.cgroup_fd);
    if (options.before_attach) options.before_attach(*this);
    // The object lists starts before ends. Attach in reverse order: every operation that starts once its start is
    // attached has its end seen, too.
    std::vector<bpf_program*> programs;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_->obj) {
        if (!bpf_program__autoload(program) || is_of_user_space(program) || is_run(program) || is_completion(program)) {
            continue;
        }
        programs.push_back(program);
    }
    attach_completions();
    for (bpf_program* item : programs | std::views::reverse) {
        Link link(bpf_program__attach(item));
        if (!link) {
            const int error = errno;
            if (is_perf(bpf_program__section_name(item)) && give_up(perf_, "perf", error)) return false;
            fail_to_attach(item, error);
        }
        links_.push_back(std::move(link));
    }
    if (!attach_libc(options.libc)) return false;
    if (direct) {
        // created while we have the privilege for it
        iterator_link_ = attach(object_->progs.iolens_pending_direct);
        for (Fd& iterator : iterators_) {
            iterator = Fd(::bpf_iter_create(bpf_link__fd(iterator_link_.get())));
            if (!iterator) throw Failure(Exit::unavailable, "can't create a task iterator: " + error_text(errno));
        }
    }
    return true;
}

std::vector<ProbeStatus> SyscallProbe::examine(bool variants) {
    // of the variants, the one that will be used: the direct one if it works
    std::vector<ProbeStatus> chosen;
    std::vector<ProbeStatus> others;
    const KernelNames kernel;
    // a function of this machine's C library represents all of them
    std::optional<UserPlace> place;
    for (const LibcFunction& f : find_functions(libc_of_program("/bin/sh").path, u64{1} << IOLENS_OPERATION_TELLDIR)) {
        place = UserPlace{f.path, f.offset, f.name};
    }
    std::vector<ProbeStatus> statuses = examine_object(image_for(kernel), place);
    const bool perf = wants_perf(kernel) && std::ranges::any_of(statuses, [](const ProbeStatus& status) {
                          return status.name.starts_with("raw_syscalls/") && status.works;
                      });
    chosen.push_back(take_completion(statuses, others));
    for (ProbeStatus& status : statuses) {
        if (status.name.ends_with("probe")) {
            status.how = status.name;
            status.name = status.name == "uprobe" ? "libc" : "libc, ends";
            chosen.push_back(std::move(status));
            continue;
        }
        // before 6.3 io_uring's submit tracepoint has another name, before 5.16 there is none of refused requests
        const bool optional = status.name.starts_with("io_uring_submit") || status.name == "io_uring_req_failed";
        if (optional && !kernel.has_tracepoint(status.name)) continue;
        // these are run in use, not attached
        if (status.program == "iolens_request_drop") {
            status.name = "requests without an end";
            status.how = "raw_tp, run per request";
        } else if (status.program.starts_with("iolens_pending")) {
            status.name = "calls at the end";
            status.how = status.program == "iolens_pending" ? "raw_tp, run per thread" : "task iterator";
        }
        const bool of_perf = status.name.starts_with("raw_syscalls/");
        const bool other_tracepoint =
            of_perf != perf && (of_perf || status.name == "sys_enter" || status.name == "sys_exit");
        if (of_perf) {
            status.name = status.name.substr(status.name.find('/') + 1);
            status.how = "perf tracepoint";
        }
        const bool direct = status.program.ends_with(direct_suffix);
        if (direct) status.how += ", direct";
        if (other_tracepoint) {
            others.push_back(std::move(status));
            continue;
        }
        const auto variant = std::ranges::find(chosen, status.name, &ProbeStatus::name);
        if (variant == chosen.end()) {
            chosen.push_back(std::move(status));
        } else {
            if (status.works && (direct || !variant->works)) std::swap(*variant, status);
            others.push_back(std::move(status));
        }
    }
    for (ProbeStatus& other : others) {
        if (!variants) break;
        other.used = false;
        chosen.push_back(std::move(other));
    }
    return chosen;
}

}  // namespace iolens
