// SPDX-License-Identifier: Apache-2.0
#include "probe/block.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "base/failure.h"
#include "base/text.h"
#include "iolens/block_state.h"
#include "iolens/event/block.h"
#include "probe/pid_namespace.h"
#include "probe/slots.h"
#include "probe/target.h"
// made by bpftool from bpf/block.bpf.c
#include "block.skel.h"
#include "block_without_casts.skel.h"

namespace iolens {
namespace {

/// Ends first, so that every request that starts once the start is attached has its end seen, too. Copies come after
/// the program that they are of: bpf/block/copy.bpf.h.
std::vector<bpf_program*> in_attach_order(const block_bpf& object) {
    return {object.progs.iolens_dirty_folio,   object.progs.iolens_dirty_page,   object.progs.iolens_rq_complete,
            object.progs.iolens_rq_complete_1, object.progs.iolens_bio_complete, object.progs.iolens_bio_complete_1,
            object.progs.iolens_rq_requeue,    object.progs.iolens_rq_issue,     object.progs.iolens_rq_issue_1,
            object.progs.iolens_rq_issue_2,    object.progs.iolens_bio_split,    object.progs.iolens_bio_queue,
            object.progs.iolens_bio_queue_1,   object.progs.iolens_bio_queue_2};
}

/// Number of a copy; 0: the program is not one.
int copy_number(std::string_view name) {
    const char last = name.back();
    return last >= '1' && last <= '9' ? last - '0' : 0;
}
int copy_number(const bpf_program* program) { return copy_number(std::string_view(bpf_program__name(program))); }

/// Ends arrive in interrupts, which may come on top of their own program.
bool is_of_ends(const bpf_program* program) {
    return std::string_view(bpf_program__section_name(program)).ends_with("_complete");
}

/// Does the kernel skip a program that runs already on the processor (05b24ff9b2cf, 6.1)? Its counter of such runs was
/// static before.
bool skips_programs(const KernelNames& kernel) { return kernel.has("bpf_prog_inc_misses_counter"); }

/// Which copies are used: of ends if the kernel skips programs, of starts if it may preempt them, too.
/// IOLENS_PROBE=copies uses all of them, "only-copies" not even the programs that they are of, and "no-copies" none.
bool wants_copies(bool needed) {
    if (is_forced("no-copies")) return false;
    return is_forced("copies") || is_forced("only-copies") || needed;
}
bool wants_copies_of_starts(const KernelNames& kernel) { return wants_copies(preempts_programs(kernel)); }
bool wants_copies_of_ends(const KernelNames& kernel) { return wants_copies(skips_programs(kernel)); }

/// True if it has a copy.
bool has_copy(const block_bpf& object, const bpf_program* program) {
    const std::string copy = std::string(bpf_program__name(program)) + "_1";
    return bpf_object__find_program_by_name(object.obj, copy.c_str()) != nullptr;
}

/// The object for this kernel: both have the same programs, maps and variables.
std::span<const std::byte> image_for(const KernelNames& kernel) {
    std::size_t size = 0;
    const bool casts = has_casts(kernel) && !is_forced("plain");
    const void* bytes = casts ? block_bpf__elf_bytes(&size) : block_without_casts_bpf__elf_bytes(&size);
    return {static_cast<const std::byte*>(bytes), size};
}

/// Requests in flight on a disk, from sysfs's `inflight`; nothing if the disk doesn't count them.
std::optional<u64> requests_of_disk(u32 dev) {
    const std::string disk = fmt::format("/sys/dev/block/{}:{}/", dev >> 20, dev & 0xfffff);
    u64 counts = 0;
    if (!(std::ifstream(disk + "queue/iostats") >> counts) || counts == 0) return {};
    u64 reads = 0;
    u64 writes = 0;
    if (!(std::ifstream(disk + "inflight") >> reads >> writes)) return {};
    return reads + writes;
}

}  // namespace

void BlockProbe::Close::operator()(block_bpf* object) const { block_bpf__destroy(object); }

BlockProbe::BlockProbe(const Options& options) {
    std::optional<KernelNames> names(std::in_place);  // several MB: freed before load
    object_.reset(opened(open_image(block_bpf__create_skeleton, block_bpf__destroy, image_for(*names))));
    bpf_map__set_max_entries(object_->maps.ring, static_cast<u32>(options.ring_bytes));
    if (options.ring_fd) share_map(object_->maps.ring, *options.ring_fd);
    set_slots(object_->maps.inflight, object_->maps.inflight_keys, object_->rodata->inflight_mask,
              options.max_inflight);
    object_->rodata->filter = options.filter;
    object_->rodata->own_pidns = own_pidns();
    std::ranges::copy(id_key(), std::begin(object_->rodata->id_key));
    object_->rodata->ring_wake_bytes = wake_bytes(options.ring_bytes);
    object_->rodata->attribute = options.attribute;
    object_->rodata->whole_events = options.attribute || options.partition || own_pidns().level != 0;
    object_->rodata->totals_only = options.totals_only;
    object_->rodata->totals_log2 = options.log2;
    object_->rodata->totals_groups = options.groups;
    if (options.totals_only) KernelTotals::set_size(object_->maps.totals);
    if (options.groups) {
        KernelGroups::set_size(object_->maps.groups_0);
        KernelGroups::set_size(object_->maps.groups_1);
    }
    object_->rodata->authored = options.attribute && options.authored;
    if (!object_->rodata->authored) bpf_map__set_max_entries(object_->maps.authors, 1);
    for (bpf_program* program : {object_->progs.iolens_dirty_folio, object_->progs.iolens_dirty_page}) {
        bpf_program__set_autoload(
            program, object_->rodata->authored && names->has_tracepoint(bpf_program__section_name(program)));
    }
    object_->rodata->copies_of_starts = wants_copies_of_starts(*names);
    object_->rodata->copies_of_ends = wants_copies_of_ends(*names);
    for (bpf_program* program : in_attach_order(*object_)) {
        if (copy_number(program) == 0) continue;
        bpf_program__set_autoload(
            program, is_of_ends(program) ? object_->rodata->copies_of_ends : object_->rodata->copies_of_starts);
    }
    // per CPU: enum file_slot of bpf/lib/file.bpf.h
    constexpr u32 slots = 2;
    constexpr u32 slots_with_copies = 6;
    bpf_map__set_max_entries(object_->maps.file_scratch_slots,
                             object_->rodata->copies_of_starts ? slots_with_copies : slots);
    std::optional<KernelAddresses> addresses;
    if (options.attribute) {
        addresses.emplace(target_symbols());
        set_target_addresses(*object_->rodata, *addresses);
    }
    names.reset();
    bpf_map__set_max_entries(object_->maps.targets, options.attribute ? options.max_inflight : 1);
    if (const int error = block_bpf__load(object_.get()); error != 0) fail_to_load("the block", error);
    inflight_ = std::make_unique<SlotMap>(object_->maps.inflight, object_->maps.inflight_keys);
    if (options.totals_only) totals_.emplace(object_->maps.totals);
    if (options.groups) {
        groups_.emplace(object_->maps.groups_0, object_->maps.groups_1, &object_->bss->totals_turn);
    }
    if (addresses) fill_bio_ends(object_->maps.bio_ends, *addresses);
    allow_cgroup(object_->maps.filter_cgroup, options.filter, options.cgroup_fd);
    for (bpf_program* program : in_attach_order(*object_)) {
        if (!bpf_program__autoload(program) || (is_forced("only-copies") && has_copy(*object_, program))) continue;
        links_.push_back(attach(program));
    }
    // returns the memory of the parsed kernel BTF to the system
    ::malloc_trim(0);
}

BlockProbe::~BlockProbe() = default;

int BlockProbe::ring_fd() const { return bpf_map__fd(object_->maps.ring); }

iolens_loss BlockProbe::ledger() const {
    iolens_loss loss = read_ledger(object_->maps.counters, object_->obj);
    // of the skipped runs, those that no copy made up for
    const u64 skipped = read_missed(object_->obj, [](const bpf_program* program) { return copy_number(program) == 0; });
    loss.missed = skipped - std::min<u64>(skipped, __atomic_load_n(&object_->bss->copy_runs, __ATOMIC_RELAXED));
    loss.n.seen += settled_.seen;
    loss.n.delivered += settled_.delivered;
    loss.n.filtered += settled_.filtered;
    loss.n.no_end += settled_.no_end;
    loss.n.in_flight += settled_.in_flight;
    return loss;
}

/// An entry of the state map that has not completed.
struct BlockProbe::Open {
    u64 key;
    u64 place;
    iolens_block_state state;

    [[nodiscard]] u64 begun() const { return state.issued != 0 ? state.issued : state.created; }
    /// Ordered by start time. An entry that was reused compares as a different one.
    [[nodiscard]] auto identity() const { return std::tuple(begun(), key, state.created); }
};

std::vector<BlockProbe::Open> BlockProbe::open_requests(u64 min_age_ns) const {
    std::vector<Open> open;
    const u64 now = clock_ns(CLOCK_BOOTTIME);
    inflight_->for_each_place([&](u64 key, u64 place) {
        Open item{.key = key, .place = place, .state = {}};
        if (!inflight_->read(place, &item.state)) return;
        if ((item.state.e.flags & IOLENS_BLOCK_DONE) == 0 && item.begun() + min_age_ns <= now) open.push_back(item);
    });
    std::ranges::sort(open, {}, &Open::identity);
    return open;
}

/// Requests that stay open although the kernel counts fewer requests on their disks: their ends were not seen. The
/// kernel's count also excludes requests that the device has completed and the kernel has not yet ended, so look again
/// until those have ended.
std::vector<BlockProbe::Open> BlockProbe::without_end(u64 min_age_ns, std::chrono::milliseconds between) const {
    constexpr int looks = 5;
    // the kernel's count excludes these, so it says nothing about them
    const auto issued = [&] {
        std::vector<Open> open = open_requests(min_age_ns);
        std::erase_if(open, [](const Open& item) {
            const iolens_block_event& e = item.state.e;
            const bool counted = e.op < IOLENS_OP_COUNT && e.op != IOLENS_OP_FLUSH && e.op != IOLENS_OP_PASSTHROUGH;
            return item.state.issued == 0 || (e.flags & IOLENS_BLOCK_REQUEUED) != 0 || !counted;
        });
        return open;
    };
    std::vector<Open> open = issued();
    std::vector<Open> unseen;
    for (int look = 0; look < looks && !open.empty(); ++look) {
        if (look != 0) std::this_thread::sleep_for(between);
        std::map<u32, u64> under_way;
        for (const Open& item : open) under_way.try_emplace(item.state.e.dev, ~u64{0});
        for (auto& [dev, count] : under_way) count = requests_of_disk(dev).value_or(count);
        std::vector<Open> still;
        std::ranges::set_intersection(open, issued(), std::back_inserter(still), {}, &Open::identity, &Open::identity);
        open.swap(still);
        // the oldest requests of a disk are those that are no longer in flight
        std::map<u32, u64> counts;
        for (const Open& item : open) ++counts[item.state.e.dev];
        unseen.clear();
        for (const Open& item : open) {
            u64& count = counts[item.state.e.dev];
            if (count <= under_way[item.state.e.dev]) continue;
            --count;
            unseen.push_back(item);
        }
        if (unseen.empty()) break;
    }
    return unseen;
}

/// Removes an entry from the state map and returns it; nothing if it has ended meanwhile.
std::optional<BlockProbe::Open> BlockProbe::take_out(const Open& item) {
    Open found{.key = item.key, .place = item.place, .state = {}};
    const auto is_same = [&] { return found.identity() == item.identity(); };
    if (!inflight_->take_out(item.key, item.place, &found.state, is_same)) return {};
    if (found.state.vector != 0 &&
        ::bpf_map_delete_elem(bpf_map__fd(object_->maps.targets), &found.state.vector) == 0) {
        __atomic_fetch_sub(&object_->bss->targets_open, 1, __ATOMIC_RELAXED);
    }
    if (found.state.e.target.more != 0)
        ::bpf_map_delete_elem(bpf_map__fd(object_->maps.extra_targets), &found.state.rq);
    return found;
}

/// Counts a request without an end and builds its record if it passes the filter. `flag` says why it has no end.
void BlockProbe::settle(const Open& item, u32 flag) {
    iolens_block_event e = item.state.e;
    const u64 now = clock_ns(CLOCK_BOOTTIME);
    if (item.state.issued == 0) {
        ++settled_.seen;
        e.flags |= IOLENS_BLOCK_NO_ISSUE;
    } else {
        e.bytes = item.state.size;
    }
    if (item.state.created != 0) e.queue_ns = (item.state.issued != 0 ? item.state.issued : now) - item.state.created;
    if (iolens_block_wanted(&object_->rodata->filter, &e, now - item.begun()) == 0) {
        ++settled_.filtered;
        return;
    }
    if (flag == IOLENS_BLOCK_NO_END) {
        ++settled_.delivered;
        ++settled_.no_end;
    } else {
        ++settled_.in_flight;
    }
    constexpr u32 inside = IOLENS_BLOCK_REQUEUED | IOLENS_BLOCK_STACKED;  // flags internal to the kernel side
    e.flags = static_cast<u16>((e.flags | flag) & ~inside);
    e.h = {.ts = item.begun(),
           .kind = IOLENS_KIND_BLOCK,
           .size = static_cast<u16>(object_->rodata->whole_events ? sizeof e : offsetof(iolens_block_event, target)),
           .cpu = IOLENS_NO_CPU};
    std::vector<u64>& record = unfinished_.emplace_back(e.h.size / sizeof(u64));
    std::memcpy(record.data(), &e, e.h.size);
}

std::vector<u64> BlockProbe::names_in_flight() const {
    std::vector<u64> names;
    inflight_->for_each_place([&](u64 /*key*/, u64 place) {
        iolens_block_state state{};
        if (inflight_->read(place, &state)) names.push_back(state.e.target.name_id);
    });
    for_each_entry<u64, iolens_block_target>(
        object_->maps.targets,
        [&](u64 /*key*/, const iolens_block_target& target) { names.push_back(target.name_id); });
    for_each_entry<u64, iolens_extra_targets>(object_->maps.extra_targets,
                                              [&](u64 /*key*/, const iolens_extra_targets& extras) {
                                                  for (const iolens_extra_target& extra : extras.targets)
                                                      names.push_back(extra.target.name_id);
                                              });
    return names;
}

void BlockProbe::begin_period() { __atomic_fetch_add(&object_->data->period, 1, __ATOMIC_RELAXED); }

void BlockProbe::detach() {
    if (links_.empty()) return;
    const std::vector<Open> ended = without_end(0, std::chrono::milliseconds(20));
    links_.clear();
    wait_for_programs();
    for (const Open& item : open_requests(0)) {
        const bool has_ended = std::ranges::binary_search(ended, item.identity(), {}, &Open::identity);
        settle(item, has_ended ? IOLENS_BLOCK_NO_END : IOLENS_BLOCK_PENDING);
    }
}

std::vector<std::vector<u64>> BlockProbe::unfinished() {
    if (!links_.empty()) {
        constexpr u64 min_age_ns = 1'000'000'000;
        for (const Open& item : without_end(min_age_ns, std::chrono::milliseconds(1))) {
            if (const auto found = take_out(item)) settle(*found, IOLENS_BLOCK_NO_END);
        }
    }
    return std::exchange(unfinished_, {});
}

std::vector<ProbeStatus> BlockProbe::examine() {
    const KernelNames kernel;
    const auto wanted = [&](const bpf_program* program) {
        const std::string_view section = bpf_program__section_name(program);
        const bool used = is_of_ends(program) ? wants_copies_of_ends(kernel) : wants_copies_of_starts(kernel);
        if (copy_number(program) != 0 && !used) return false;
        return !section.starts_with("tp_btf/writeback_dirty_") || kernel.has_tracepoint(section);
    };
    std::vector<ProbeStatus> items = examine_object(image_for(kernel), {}, wanted);
    for (ProbeStatus& status : items) {
        const int copy = copy_number(std::string_view(status.program));
        if (copy != 0) status.name += fmt::format(", copy {}", copy);
    }
    return items;
}

}  // namespace iolens
