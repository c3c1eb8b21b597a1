// SPDX-License-Identifier: Apache-2.0
#include "probe/bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/btf.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/failure.h"
#include "base/fd.h"
#include "base/privileges.h"
#include "base/text.h"
#include "probe/functions.h"
#include "probe/kernel_types.h"

namespace iolens {
namespace {

bool print_log = false;
std::string last_warning;
std::string last_refusal;

/// The last verifier message before its statistics, as a detail for debugging: ": …", or nothing.
std::string last_words(const std::string& log) {
    std::string line;
    std::istringstream lines(log.substr(0, log.find('\0')));
    for (std::string next; std::getline(lines, next);) {
        if (next.starts_with("processed ")) break;
        if (!next.empty()) line = next;
    }
    return line.empty() ? line : ": " + visible(line);
}

/// Likewise from libbpf's message about a rejected program: its name, and the verifier's reason.
std::string refusal_of(const char* format, va_list args) {
    std::string text(4 << 20, '\0');
    const int length = std::vsnprintf(text.data(), text.size(), format, args);
    text.resize(static_cast<std::size_t>(std::clamp(length, 0, static_cast<int>(text.size()) - 1)));
    constexpr std::string_view end = "-- END PROG LOAD LOG";
    const std::size_t begin = text.find('\'');
    const std::string program = text.substr(begin, text.find('\'', begin + 1) + 1 - begin);
    text.resize(std::min(text.find(end), text.size()));
    return program + last_words(text);
}

int on_libbpf_message(libbpf_print_level level, const char* format, va_list args) {
    if (level == LIBBPF_DEBUG) return 0;
    std::array<char, 512> line{};
    va_list again;
    va_copy(again, args);
    const int length = std::vsnprintf(line.data(), line.size(), format, args);
    if (level == LIBBPF_WARN && length > 0) {
        std::string text(line.data());
        while (!text.empty() && text.back() == '\n') text.pop_back();
        last_warning = text.substr(0, text.find('\n'));
    }
    if (std::strstr(format, "BEGIN PROG LOAD LOG") != nullptr) last_refusal = refusal_of(format, again);
    va_end(again);
    if (print_log) std::fputs(line.data(), stderr);
    return length;
}

bpf_prog_info info_of(const bpf_program* program) {
    bpf_prog_info info{};
    u32 size = sizeof info;
    if (::bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) return {};
    return info;
}

using Object = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

/// Opens an object to load only its program number `index`, with small maps; `program` is null if there is none.
Object open_one(std::span<const std::byte> image, std::size_t index, bpf_program*& program) {
    Object object(bpf_object__open_mem(image.data(), image.size(), open_options()), bpf_object__close);
    if (!object) fail_to_open();
    prepare(object.get());
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF) bpf_map__set_max_entries(map, 64 << 10);
        if (bpf_map__type(map) == BPF_MAP_TYPE_HASH) bpf_map__set_max_entries(map, 64);
        // programs that only other kernels use must not keep this one from being loaded
        if (bpf_map__type(map) == BPF_MAP_TYPE_TASK_STORAGE &&
            libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, nullptr) != 1) {
            bpf_map__set_autocreate(map, false);
        }
    }
    program = nullptr;
    bpf_program* each = nullptr;
    std::size_t count = 0;
    bpf_object__for_each_program(each, object.get()) {
        if (count == index) program = each;
        bpf_program__set_autoload(each, count++ == index);
    }
    return object;
}

/// Has the verifier write to `log`, which outlives the loading, at a level of its own.
void capture_log(bpf_program* program, u32 level, std::size_t size, std::string& log) {
    log.assign(size, '\0');
    bpf_program__set_log_level(program, level);
    bpf_program__set_log_buf(program, log.data(), log.size());
}

/// "processed N insns" from such a log.
std::optional<u64> insns_of_log(const std::string& log) {
    constexpr std::string_view before = "processed ";
    const std::size_t at = log.find(before);
    if (at == std::string::npos) return {};
    u64 count = 0;
    const char* from = log.data() + at + before.size();
    const auto [end, error] = std::from_chars(from, log.data() + log.size(), count);
    return error == std::errc() && end != from ? std::optional(count) : std::nullopt;
}

}  // namespace

ProbeStatus program_status(const bpf_program* program) {
    ProbeStatus status;
    status.program = bpf_program__name(program);
    status.name = bpf_program__section_name(program);
    status.name = status.name.substr(status.name.find('/') + 1);
    const bpf_prog_info info = info_of(program);
    if (info.verified_insns != 0) status.verified_insns = info.verified_insns;
    status.missed = info.recursion_misses;
    return status;
}

void capture_libbpf_log(bool print) {
    print_log = print;
    libbpf_set_print(on_libbpf_message);
}

std::string last_verifier_words() { return last_refusal; }

std::string last_libbpf_warning() { return visible(last_warning); }

void prepare(bpf_object* object) {
    provide_kernel_types(object);
    make_functions_acceptable(object);
}

const bpf_object_open_opts* open_options() {
    static const bpf_object_open_opts options = [] {
        bpf_object_open_opts o{};
        o.sz = sizeof o;
        o.btf_custom_path = kernel_types_path();
        if (o.btf_custom_path == nullptr && (effective_capabilities() & capability_bit(CAP_SYS_ADMIN)) == 0)
            o.btf_custom_path = kernel_btf_path;
        return o;
    }();
    return &options;
}

const std::array<u64, 2>& id_key() {
    static const std::array<u64, 2> key = [] {
        std::array<u64, 2> random{};
        if (::getrandom(random.data(), sizeof random, 0) != sizeof random) {
            throw Failure(Exit::failed, "can't get random bytes: " + error_text(errno));
        }
        return random;
    }();
    return key;
}

std::string probe_error_text(int error) {
    switch (error) {
        case EPERM: return "permission denied (EPERM): missing capability, lockdown or an LSM";
        case ESRCH:
        case ENOENT: return "no such tracepoint or function in this kernel";
        case EACCES:
        case EINVAL: return "rejected by the verifier";
        case E2BIG: return "too large for the verifier (E2BIG)";
        case ENOMEM: return "out of memory (ENOMEM)";
        case EOPNOTSUPP: return "this kernel can't attach programs of this type";
        default: return error_text(error);
    }
}

void LinkDeleter::operator()(bpf_link* link) const { bpf_link__destroy(link); }

void fail_to_attach(const bpf_program* program, int error) {
    throw Failure(Exit::unavailable,
                  fmt::format("can't attach {}: {}", bpf_program__section_name(program), probe_error_text(error)),
                  "'iolens doctor' shows what works on this kernel");
}

Link attach(bpf_program* program) {
    Link link(bpf_program__attach(program));
    if (!link) fail_to_attach(program, errno);
    return link;
}

bool is_of_user_space(const bpf_program* program) {
    return std::string_view(bpf_program__section_name(program)).ends_with("probe");
}

bool is_forced(std::string_view variant) {
    const char* word = std::getenv("IOLENS_PROBE");  // NOLINT(concurrency-mt-unsafe): one thread
    return word != nullptr && word == variant;
}

bool preempts_programs(const KernelNames& kernel) { return kernel.has("tracepoint_srcu_srcu_data"); }

bool has_casts(const KernelNames& kernel) { return kernel.has("bpf_rdonly_cast"); }

void wait_for_programs() { ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0); }

Link attach_at(const bpf_program* program, const UserPlace& place) {
    bpf_uprobe_opts options{};
    options.sz = sizeof options;
    options.retprobe = std::string_view(bpf_program__section_name(program)) == "uretprobe";
    return Link(bpf_program__attach_uprobe_opts(program, -1, place.path.c_str(), place.offset, &options));
}

std::vector<ProbeStatus> examine_object(std::span<const std::byte> image, const std::optional<UserPlace>& place,
                                        const std::function<bool(const bpf_program*)>& wanted) {
    std::vector<ProbeStatus> items;
    for (std::size_t index = 0;; ++index) {
        bpf_program* program = nullptr;
        const Object object = open_one(image, index, program);
        if (program == nullptr) return items;
        if (wanted && !wanted(program)) continue;
        const bool of_user_space = is_of_user_space(program);
        if (of_user_space && !(place && std::string_view(bpf_program__name(program)).ends_with(place->name))) continue;
        constexpr u32 figures_only = 4;  // BPF_LOG_STATS
        std::string log;
        capture_log(program, figures_only, 4 << 20, log);
        const int error = bpf_object__load(object.get());
        ProbeStatus status = program_status(program);
        if (!status.verified_insns) status.verified_insns = insns_of_log(log);
        if (error != 0) {
            // load it again to get the reason
            const Object again = open_one(image, index, program);
            constexpr u32 every_step = 1;
            capture_log(program, every_step, 16 << 20, log);
            bpf_object__load(again.get());
            status.why = probe_error_text(-error) + last_words(log);
        } else if (const Link link = of_user_space ? attach_at(program, *place) : Link(bpf_program__attach(program));
                   !link) {
            status.why = probe_error_text(errno);
        } else {
            status.works = true;
        }
        // works anyway, but loads slower: without it each function is verified at every call
        if (error == 0 && bpf_object__btf_fd(object.get()) < 0) status.how += ", its BTF rejected";
        items.push_back(std::move(status));
    }
}

void fail_to_open() {
    throw Failure(Exit::failed, "can't open the BPF object: " + error_text(errno), last_libbpf_warning());
}

int open_skeleton(bpf_object_skeleton* skeleton, std::span<const std::byte> image) {
    skeleton->data = const_cast<std::byte*>(image.data());
    skeleton->data_sz = image.size();
    return bpf_object__open_skeleton(skeleton, open_options());
}

void share_map(bpf_map* map, int fd) {
    if (bpf_map__reuse_fd(map, fd) != 0) {
        throw Failure(Exit::failed, "can't share a BPF map: " + error_text(errno), last_libbpf_warning());
    }
}

void fail_to_load(std::string_view what, int error) {
    if (lockdown_forbids_reads()) {
        throw Failure(Exit::unavailable, "lockdown=confidentiality prevents BPF programs from reading kernel memory",
                      "boot with lockdown=integrity or without lockdown; 'iolens replay FILE' still works");
    }
    throw Failure(
        Exit::unavailable, fmt::format("can't load {} probes: {}", what, probe_error_text(-error)),
        "'iolens doctor' shows what works on this kernel; " +
            (last_refusal.empty() ? "libbpf says: " + last_libbpf_warning() : "the verifier says of " + last_refusal));
}

void allow_cgroup(const bpf_map* map, const iolens_filter& filter, int cgroup_fd) {
    if (filter.by_cgroup == 0) return;
    const u32 zero = 0;
    const u32 fd = static_cast<u32>(cgroup_fd);
    if (::bpf_map_update_elem(bpf_map__fd(map), &zero, &fd, BPF_ANY) != 0) {
        throw Failure(Exit::usage, "the kernel rejects this cgroup: " + error_text(errno), "use a cgroup v2 directory");
    }
}

iolens_loss read_ledger(const bpf_map* counters, const bpf_object* object) {
    iolens_loss loss{};
    loss.h.kind = IOLENS_KIND_LOSS;
    loss.h.size = sizeof loss;
    const int cpus = libbpf_num_possible_cpus();
    std::vector<iolens_counters> each(static_cast<std::size_t>(cpus > 0 ? cpus : 1));
    const u32 zero = 0;
    if (::bpf_map_lookup_elem(bpf_map__fd(counters), &zero, each.data()) == 0) {
        using Words = std::array<u64, sizeof(iolens_counters) / sizeof(u64)>;
        Words sum{};
        for (const iolens_counters& n : each)
            std::ranges::transform(sum, std::bit_cast<Words>(n), sum.begin(), std::plus());
        loss.n = std::bit_cast<iolens_counters>(sum);
    }
    loss.missed = read_missed(object);
    return loss;
}

u64 read_missed(const bpf_object* object, const std::function<bool(const bpf_program*)>& counted) {
    u64 missed = 0;
    const bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(object, const_cast<bpf_program*>(program))) != nullptr) {
        if (bpf_program__fd(program) >= 0 && (!counted || counted(program)))
            missed += info_of(program).recursion_misses;
    }
    return missed;
}

void for_each_key(const bpf_map* map, const std::function<void(const void*)>& each) {
    std::vector<std::byte> key(bpf_map__key_size(map));
    std::vector<std::byte> next(key.size());
    for (const void* from = nullptr; ::bpf_map_get_next_key(bpf_map__fd(map), from, next.data()) == 0;) {
        key.swap(next);
        from = key.data();
        each(from);
    }
}

void for_each_bytes(const bpf_map* map, const std::function<void(const void* key, const void* value)>& each) {
    const std::size_t key_size = bpf_map__key_size(map);
    const std::size_t value_size = bpf_map__value_size(map);
    u32 max = 1024;
    std::vector<u64> keys;  // u64, so that both are aligned
    std::vector<u64> values;
    u32 position = 0;
    const void* from = nullptr;
    for (bool more = true; more;) {
        keys.resize((max * key_size + 7) / 8);
        values.resize((max * value_size + 7) / 8);
        u32 count = max;
        u32 next = 0;
        const int error = ::bpf_map_lookup_batch(bpf_map__fd(map), const_cast<void*>(from), &next, keys.data(),
                                                 values.data(), &count, nullptr);
        if (error != 0 && errno == ENOSPC) {  // one bucket has more entries
            max *= 2;
            continue;
        }
        if (error != 0 && errno != ENOENT) return;
        for (std::size_t i = 0; i < count; ++i) {
            each(reinterpret_cast<const std::byte*>(keys.data()) + i * key_size,
                 reinterpret_cast<const std::byte*>(values.data()) + i * value_size);
        }
        position = next;
        from = &position;
        more = error == 0;  // ENOENT: that was the last batch
    }
}

std::size_t count_entries(const bpf_map* map) {
    std::size_t count = 0;
    for_each_key(map, [&](const void* /*key*/) { ++count; });
    return count;
}

}  // namespace iolens
