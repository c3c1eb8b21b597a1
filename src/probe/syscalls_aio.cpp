// SPDX-License-Identifier: Apache-2.0
#include "probe/syscalls_aio.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/fd.h"
#include "base/text.h"
#include "probe/btf_types.h"
#include "probe/pid_namespace.h"
#include "probe/syscalls.h"
#include "probe/vfs_attach.h"
// made by bpftool from bpf/syscall.bpf.c
#include "syscall.skel.h"

namespace iolens {
namespace {

constexpr std::string_view kprobe_suffix = "_kprobe";

AttachMode mode_of(std::string_view program) {
    return program.ends_with(kprobe_suffix) ? AttachMode::kprobe : AttachMode::fentry;
}

std::string_view name_of(AttachMode mode) { return attach_mode_names.at(static_cast<std::size_t>(mode)); }

/// Id of the function in the kernel's BTF; 0: none.
u32 completion_id() {
    BtfTypes types(kernel_btf());
    if (!KernelNames().has(completion_function) || !types.index()) return 0;
    for (u32 id = types.begin(); id < types.end(); ++id) {
        const btf_type* type = types.type(id);
        if (btf_is_func(type) && types.name(type) == completion_function) return id;
    }
    return 0;
}

/// Returns why fentry does not work at the function, or nothing. Tested with a small program, because loading all of
/// them only to find one rejected takes long.
std::string lack_for_fentry() {
    bpf_prog_load_opts options{};
    options.sz = sizeof options;
    options.expected_attach_type = BPF_TRACE_FENTRY;
    options.attach_btf_id = completion_id();
    if (options.attach_btf_id == 0) return "not in the kernel's BTF";
    constexpr std::array<bpf_insn, 2> code{bpf_insn{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
                                           bpf_insn{BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    const Fd program(::bpf_prog_load(BPF_PROG_TYPE_TRACING, "iolens_try", "GPL", code.data(), code.size(), &options));
    if (!program) return probe_error_text(errno);
    const Fd link(::bpf_link_create(program.get(), 0, BPF_TRACE_FENTRY, nullptr));
    return link ? "" : probe_error_text(errno);
}

}  // namespace

bool is_completion(const bpf_program* program) {
    return std::string_view(bpf_program__section_name(program)).ends_with(completion_function);
}

AttachMode completion_mode(const bpf_program* program) { return mode_of(bpf_program__name(program)); }

/// Chooses the program to load, none if neither works: a request then ends when io_getevents returns its result.
void SyscallProbe::choose_completions() {
    const auto refuse = [&](AttachMode mode, std::string_view why) {
        why_.push_back(fmt::format("{} of {}: {}", name_of(mode), completion_function, why));
    };
    if (may_try(AttachMode::fentry)) {
        const std::string lack = lack_for_fentry();
        if (lack.empty()) {
            completions_ = AttachMode::fentry;
            return;
        }
        refuse(AttachMode::fentry, lack);
    }
    if (!may_try(AttachMode::kprobe)) return;
    if (has_kprobes()) {
        completions_ = AttachMode::kprobe;
    } else {
        refuse(AttachMode::kprobe, no_kprobes);
    }
}

/// Attaches the chosen program, before the requests that it completes are seen to start.
void SyscallProbe::attach_completions() {
    for (const bpf_program* program : {object_->progs.iolens_aio_complete, object_->progs.iolens_aio_complete_kprobe}) {
        if (!bpf_program__autoload(program)) continue;
        if (Link link(bpf_program__attach(program)); link) {
            links_.push_back(std::move(link));
        } else {
            why_.push_back(fmt::format("{} of {}: {}", name_of(completion_mode(program)), completion_function,
                                       probe_error_text(errno)));
        }
    }
}

ProbeStatus take_completion(std::vector<ProbeStatus>& statuses, std::vector<ProbeStatus>& others) {
    ProbeStatus used;
    used.name = completion_function;
    std::vector<std::string> why;
    std::vector<ProbeStatus> rest;
    for (ProbeStatus& status : statuses) {
        if (status.name != completion_function) {
            rest.push_back(std::move(status));
            continue;
        }
        status.how = name_of(mode_of(status.program));
        if (!status.works && status.how == name_of(AttachMode::kprobe) && !has_kprobes()) status.why = no_kprobes;
        if (!status.works) why.push_back(fmt::format("{}: {}", status.how, status.why));
        if (status.works && !used.works) std::swap(used, status);
        if (!status.program.empty()) others.push_back(std::move(status));
    }
    statuses = std::move(rest);
    if (!used.works) {
        used.works = true;
        used.program = "iolens_aio_complete";
        used.how = fmt::format("falls back to io_getevents ({})", fmt::join(why, "; "));
    }
    return used;
}

}  // namespace iolens
