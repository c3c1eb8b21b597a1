// SPDX-License-Identifier: Apache-2.0
#include "probe/vfs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ranges>
#include <span>
#include <tuple>

#include "base/clock.h"
#include "base/failure.h"
#include "base/fd.h"
#include "base/text.h"
#include "probe/pid_namespace.h"
#include "probe/symbols.h"
#include "probe/target.h"
#include "probe/vfs_attach.h"
// made by bpftool from bpf/vfs.bpf.c
#include "vfs.skel.h"

namespace iolens {
namespace {

constexpr u32 few_names = 16384;

}  // namespace

void VfsProbe::Close::operator()(vfs_bpf* object) const { vfs_bpf__destroy(object); }

bool VfsProbe::wants(iolens_vfs_op op) const {
    return options_.filter.ops == 0 || (options_.filter.ops >> op & 1U) != 0;
}

/// Number of names that can be followed. Entries that are allocated in advance cost 100 bytes each, used or not.
u32 VfsProbe::names_capacity() const {
    if (!options_.follow_names) return 0;
    const u32 max = std::min(options_.max_files, options_.max_names);
    return allocates_ ? max : std::min(max, std::max(few_names, options_.max_files / 8));
}

/// Opens an object with the options in its read-only data and no program selected.
VfsProbe::Object VfsProbe::make() const {
    Object object(opened(vfs_bpf__open_opts(open_options())));
    bpf_map__set_max_entries(object->maps.ring, static_cast<u32>(options_.ring_bytes));
    bpf_map__set_max_entries(object->maps.accesses, options_.max_inflight);
    bpf_map__set_max_entries(object->maps.bios, options_.blk ? options_.max_inflight : 1);
    bpf_map__set_max_entries(object->maps.file_scratch_slots, 1);  // until programs that send names are selected
    const u32 names = names_capacity();
    // and the directories of followed names
    bpf_map__set_max_entries(object->maps.watched, std::max(options_.max_files + names, 1U));
    bpf_map__set_max_entries(object->maps.watched_names, std::max(names, 1U));
    if (allocates_) {
        bpf_map__set_map_flags(object->maps.watched, BPF_F_NO_PREALLOC);
        bpf_map__set_map_flags(object->maps.watched_names, BPF_F_NO_PREALLOC);
    }
    if (options_.depth != 0) {
        // each CPU reserves up to 128 free entries
        constexpr u32 of_processor = 256;
        const auto min = of_processor * static_cast<u32>(std::max(libbpf_num_possible_cpus(), 1));
        const u32 below = options_.directories ? options_.max_files : std::min(options_.max_files, few_names);
        bpf_map__set_max_entries(object->maps.watched_below, std::max(below, min));
    }
    auto& data = *object->rodata;
    data.filter = options_.filter;
    data.own_pidns = own_pidns();
    std::ranges::copy(id_key(), std::begin(data.id_key));
    data.ring_wake_bytes = wake_bytes(options_.ring_bytes);
    data.levels = (options_.vfs ? 1U << IOLENS_LEVEL_VFS : 0U) | (options_.blk ? 1U << IOLENS_LEVEL_BLK : 0U);
    data.watch_depth = options_.depth;
    data.page_shift = static_cast<u32>(std::countr_zero(static_cast<u64>(::sysconf(_SC_PAGESIZE))));
    set_target_addresses(data, addresses_);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object->obj) bpf_program__set_autoload(program, false);
    return object;
}

VfsProbe::VfsProbe(const Options& options) : options_(options) {
    const KernelNames kernel;
    // Before 6.1 (fac54e2bfb5b, 34dd3bad1a6f), a hash map that allocates its entries when they are added is not safe in
    // programs that may interrupt the allocator: the kernel warns of it, or refuses it (PREEMPT_RT).
    allocates_ = kernel.has("bpf_mem_alloc");
    addresses_ = KernelAddresses(vfs_symbols());
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
    allow_cgroup(object_->maps.filter_cgroup, options_.filter, options_.cgroup_fd);
    void* const bytes =
        ::mmap(nullptr, sizeof *bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(object_->maps.watch_tables), 0);
    if (bytes == MAP_FAILED) throw Failure(Exit::failed, "can't map the table of watched files: " + error_text(errno));
    bytes_ = static_cast<iolens_watch_bytes*>(bytes);
    fill_bio_ends(object_->maps.bio_ends, addresses_);
    // the object lists starts before ends: attach the ends first
    for (bpf_program* item : wanted | std::views::reverse) links_.push_back(attach(item));
    ::malloc_trim(0);
}

VfsProbe::~VfsProbe() { ::munmap(bytes_, sizeof *bytes_); }

std::optional<iolens_resolved> VfsProbe::resolve(int fd) {
    const std::scoped_lock lock(resolving_);  // the result has a single slot
    std::array<u64, 1> arguments{static_cast<u64>(fd)};
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.ctx_in = arguments.data();
    run.ctx_size_in = sizeof arguments;
    if (::bpf_prog_test_run_opts(bpf_program__fd(object_->progs.iolens_resolve), &run) != 0) return {};
    if (object_->bss->resolved.found == 0) return {};
    return object_->bss->resolved;
}

bool VfsProbe::watch(const iolens_file_id& id, const iolens_watch& how) {
    iolens_watch own{};
    const int fd = bpf_map__fd(object_->maps.watched);
    if (::bpf_map_lookup_elem(fd, &id, &own) == 0 && (own.flags & IOLENS_WATCH_NAMES) != 0) {
        own = how;
        own.flags |= IOLENS_WATCH_NAMES;
        return put_watch(object_->maps.watched, id, own, BPF_ANY) == 0;
    }
    return put_watch(object_->maps.watched, id, how, BPF_ANY) == 0;
}

bool VfsProbe::watch_below(const iolens_file_id& id, const iolens_watch& how) {
    const int error = put_watch(object_->maps.watched_below, id, how, BPF_NOEXIST);
    if (error == 0) ++added_below_;
    return error == 0 || error == EEXIST;  // a program may have added it meanwhile
}

u64 VfsProbe::evicted() const {
    if (options_.depth == 0) return 0;
    const u64 found = watch_count(0) + added_below_;
    return found - std::min<u64>(found, count_entries(object_->maps.watched_below));
}

void VfsProbe::set_byte(iolens_watch_table table, u32 place) {
    __atomic_store_n(&std::span(std::span(bytes_->in)[table])[place], u8{1}, __ATOMIC_RELEASE);
}

/// Returns 0 or an errno. The bytes come first, so that no access misses the entry.
int VfsProbe::put_watch(const bpf_map* map, const iolens_file_id& id, const iolens_watch& how, u64 flags) {
    constexpr std::array<std::pair<u32, iolens_watch_table>, 4> tables{
        {{~u32{IOLENS_WATCH_NAMES}, IOLENS_WATCH_TABLE_INODES},
         {IOLENS_WATCH_DIRECTORY, IOLENS_WATCH_TABLE_DIRECTORIES},
         {IOLENS_WATCH_TREE, IOLENS_WATCH_TABLE_TREES},
         {IOLENS_WATCH_NAMES, IOLENS_WATCH_TABLE_PARENTS}}};
    for (const auto& [flag, table] : tables) {
        if ((how.flags & flag) == 0) continue;
        set_byte(table, iolens_watch_place(id.ino, id.dev));
    }
    return ::bpf_map_update_elem(bpf_map__fd(map), &id, &how, flags) == 0 ? 0 : errno;
}

void VfsProbe::unwatch(const iolens_file_id& id) {
    for (const bpf_map* map : {object_->maps.watched, object_->maps.watched_below}) {
        ::bpf_map_delete_elem(bpf_map__fd(map), &id);  // it is in one of them, or in neither
    }
}

bool VfsProbe::follow_name(const iolens_watch_name& name, const iolens_watch& how) {
    if (name.hash == 0) return true;
    set_byte(IOLENS_WATCH_TABLE_NAMES, IOLENS_WATCH_NAME_PLACE(name.hash));
    if (::bpf_map_update_elem(bpf_map__fd(object_->maps.watched_names), &name, &how, BPF_ANY) != 0) return false;
    iolens_watch directory{};
    ::bpf_map_lookup_elem(bpf_map__fd(object_->maps.watched), &name.directory, &directory);
    directory.flags |= IOLENS_WATCH_NAMES;
    return put_watch(object_->maps.watched, name.directory, directory, BPF_ANY) == 0;
}

void VfsProbe::unfollow_name(const iolens_watch_name& name) {
    // its directory stays: it costs little, and another name in it may be followed
    ::bpf_map_delete_elem(bpf_map__fd(object_->maps.watched_names), &name);
}

std::optional<iolens_file_id> VfsProbe::first_of(const iolens_file_id& id) const {
    iolens_watch how{};
    if (::bpf_map_lookup_elem(bpf_map__fd(object_->maps.watched_below), &id, &how) != 0 || how.first.ino == 0)
        return {};
    return how.first;
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
    for (const Attached& item : attached_) __atomic_store_n(&item.object->data->period, period, __ATOMIC_RELAXED);
}

/// Detaches starts first, so that everything that has started is seen to end.
void VfsProbe::detach() {
    if (detached_) return;
    detached_ = true;
    while (!links_.empty()) links_.pop_back();
    for (Attached& item : attached_) {
        while (!item.links.empty()) item.links.pop_back();
    }
    wait_for_programs();
    std::vector<iolens_vfs_event> left;
    for (const bpf_map* map : {object_->maps.accesses, object_->maps.bios}) {
        for_each_bytes(map, [&](const void* /*key*/, const void* value) {
            left.push_back(*static_cast<const iolens_vfs_event*>(value));
        });
    }
    std::ranges::sort(left, {}, [](const iolens_vfs_event& e) { return std::tuple(e.start, e.level, e.address); });
    for (const iolens_vfs_event& e : left) settle(e);
}

/// Counts an access or bio that was left in a map, and builds its record. One whose last bio has ended is complete.
void VfsProbe::settle(iolens_vfs_event e) {
    const bool ended = vfs_has(e, IOLENS_VFS_ENDED);
    if (!ended) e.h.ts = clock_ns(CLOCK_BOOTTIME);
    if (e.h.ts - e.start < options_.filter.min_ns) {
        ++settled_.filtered;
        return;
    }
    u32 flags = e.flags & u32{IOLENS_VFS_EMITTED};
    if (!ended) flags |= u32{IOLENS_VFS_NO_END} | u32{IOLENS_VFS_PENDING};
    e.flags = static_cast<u16>(flags);
    ++(ended ? settled_.delivered : settled_.in_flight);
    e.h.kind = IOLENS_KIND_VFS;
    e.h.size = sizeof e;
    e.h.cpu = IOLENS_NO_CPU;
    std::vector<u64>& record = unfinished_.emplace_back(sizeof e / sizeof(u64));
    std::memcpy(record.data(), &e, sizeof e);
}

u64 VfsProbe::watch_count(u32 item) const {
    u64 count = 0;
    ::bpf_map_lookup_elem(bpf_map__fd(object_->maps.watch_found), &item, &count);
    return count;
}

u64 VfsProbe::unwatched_files() const { return watch_count(1); }

int VfsProbe::ring_fd() const { return bpf_map__fd(object_->maps.ring); }

WatchMaps VfsProbe::maps() const {
    return {.ring = bpf_map__fd(object_->maps.ring),
            .counters = bpf_map__fd(object_->maps.counters),
            .watched = bpf_map__fd(object_->maps.watched),
            .below = bpf_map__fd(object_->maps.watched_below),
            .names = bpf_map__fd(object_->maps.watched_names),
            .found = bpf_map__fd(object_->maps.watch_found),
            .tables = bpf_map__fd(object_->maps.watch_tables),
            .depth = options_.depth};
}

iolens_loss VfsProbe::ledger() const {
    iolens_loss loss = read_ledger(object_->maps.counters, object_->obj);
    for (const Attached& item : attached_) loss.missed += read_missed(item.object->obj);
    loss.n.delivered += settled_.delivered;
    loss.n.filtered += settled_.filtered;
    loss.n.in_flight += settled_.in_flight;
    return loss;
}

/// The functions of the filesystem that this program is on represent those of others. The first row reports how they
/// are attached; with `only`, a row for each program of that mode follows.
std::vector<ProbeStatus> VfsProbe::examine_functions(std::optional<AttachMode> only) {
    std::vector<ProbeStatus> items(1);
    ProbeStatus& status = items.front();
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
            status.why = "the kernel does not run the program that identifies a file (BPF_PROG_TEST_RUN)";
            return items;
        }
        const AttachMode mode = probe.attach_functions(*file);
        status.works = true;
        status.how = mode == AttachMode::syscalls ? "falls back to system calls and io_uring"
                                                  : std::string(attach_mode_names.at(static_cast<std::size_t>(mode)));
        if (!probe.why().empty()) status.how += fmt::format(" ({})", fmt::join(probe.why(), "; "));
        if (!only) return items;
        status.works = mode == *only;
        for (const Attached& attached : probe.attached_) {
            bpf_program* program = nullptr;
            bpf_object__for_each_program(program, attached.object->obj) {
                if (bpf_program__fd(program) < 0) continue;
                ProbeStatus item = program_status(program);
                item.name = item.program;
                item.how = attach_mode_names.at(static_cast<std::size_t>(mode));
                item.works = true;
                items.push_back(std::move(item));
            }
        }
    } catch (const Failure& failure) {
        status.why = failure.what();
    }
    return items;
}

std::vector<ProbeStatus> VfsProbe::examine(bool variants) {
    std::size_t size = 0;
    const void* image = vfs_bpf__elf_bytes(&size);
    const KernelNames kernel;
    std::vector<ProbeStatus> items;
    const auto wanted = [&](const bpf_program* program) {
        const std::string_view section = bpf_program__section_name(program);
        if (section.starts_with("raw_tp/")) return true;
        return section.starts_with("tp_btf/") && (!is_seen_fault(program) || kernel.has_tracepoint(section));
    };
    items = examine_object({static_cast<const std::byte*>(image), size}, {}, wanted);
    for (ProbeStatus& item : items) {
        if (item.program != "iolens_resolve") continue;
        item.name = "what a file is";  // it is run in use, not attached
        item.how = "raw_tp, run per file";
    }
    items.push_back(std::move(examine_functions({}).front()));
    for (const AttachMode mode : {AttachMode::fentry, AttachMode::kprobe}) {
        if (!variants) break;
        for (ProbeStatus& item : examine_functions(mode)) {
            item.used = false;
            items.push_back(std::move(item));
        }
    }
    return items;
}

}  // namespace iolens
