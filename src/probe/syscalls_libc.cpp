// SPDX-License-Identifier: Apache-2.0
// Attaches to libc functions.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <ranges>
#include <string_view>
#include <unordered_map>

#include "base/failure.h"
#include "base/fd.h"
#include "base/text.h"
#include "iolens/event/operation.h"
#include "probe/pid_namespace.h"
#include "probe/syscalls.h"
#include "probe/syscalls_libc.h"
// made by bpftool from bpf/syscall.bpf.c
#include "syscall.skel.h"

namespace iolens {
namespace {

// constants of attach_many_uprobes, for the same reason
constexpr u32 at_the_end = 1;  // BPF_F_UPROBE_MULTI_RETURN
struct ManyUprobes {
    u32 program;
    u32 target;
    u32 type;
    u32 flags;
    u64 path;
    u64 offsets;
    u64 counters;
    u64 cookies;
    u32 count;
    u32 many_flags;
    u32 pid;
    u32 reserved;
};

/// Attaches a program to many offsets of a file. Returns its link, or an empty one (errno).
Fd attach_many(const bpf_program* program, const std::string& path, const std::vector<u64>& offsets,
               const std::vector<u64>& cookies, bool end) {
    ManyUprobes attr{};
    attr.program = static_cast<u32>(bpf_program__fd(program));
    attr.type = attach_many_uprobes;
    attr.path = reinterpret_cast<u64>(path.c_str());
    attr.offsets = reinterpret_cast<u64>(offsets.data());
    attr.cookies = reinterpret_cast<u64>(cookies.data());
    attr.count = static_cast<u32>(offsets.size());
    attr.many_flags = end ? at_the_end : 0;
    return Fd(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof attr)));
}

}  // namespace

std::string_view libc_name(const bpf_program* program) {
    constexpr std::string_view begin = "iolens_libc_";
    constexpr std::string_view end = "iolens_libc_end_";
    const std::string_view name = bpf_program__name(program);
    return name.substr(name.starts_with(end) ? end.size() : begin.size());
}

/// Attaches ends first, like start(). Returns false in the same case as start().
bool SyscallProbe::attach_libc(const std::vector<LibcFunction>& functions) {
    const auto refuse = [](std::string_view what, const std::string& path, int error) {
        throw Failure(Exit::unavailable,
                      fmt::format("can't trace {} in '{}': {}", what, visible(path), probe_error_text(error)),
                      "omit --libc; the kernel rows are complete without it");
    };
    if (many_uprobes_) {
        std::map<std::string, std::pair<std::vector<u64>, std::vector<u64>>> files;  // offsets and cookies
        for (const LibcFunction& function : functions) {
            files[function.attach_path()].first.push_back(function.offset);
            files[function.attach_path()].second.push_back(function.number);
        }
        for (const bool end : {true, false}) {
            const bpf_program* program = end ? object_->progs.iolens_libc_end_all : object_->progs.iolens_libc_all;
            for (const auto& [path, places] : files) {
                many_links_.push_back(attach_many(program, path, places.first, places.second, end));
                if (many_links_.back()) continue;
                const int error = errno;
                if (give_up(many_uprobes_, "uprobe.multi", error)) return false;
                refuse("libc functions", path, error);
            }
        }
        return true;
    }
    for (const bool end : {true, false}) {
        for (const LibcFunction& function : functions) {
            const std::string name = (end ? "iolens_libc_end_" : "iolens_libc_") + std::string(function.name);
            bpf_program* program = bpf_object__find_program_by_name(object_->obj, name.c_str());
            Link link = attach_at(program, {function.attach_path(), function.offset, function.name});
            if (!link) refuse(function.name, function.path, errno);
            links_.push_back(std::move(link));
        }
    }
    return true;
}

}  // namespace iolens
