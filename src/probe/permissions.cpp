// SPDX-License-Identifier: Apache-2.0
#include "probe/permissions.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <unistd.h>

#include <array>
#include <span>

#include "base/failure.h"
#include "base/fd.h"
#include "base/privileges.h"

namespace iolens {

bool may_trace() {
    const u64 have = effective_capabilities();
    constexpr u64 enough = capability_bit(CAP_BPF) | capability_bit(CAP_PERFMON);
    return (have & capability_bit(CAP_SYS_ADMIN)) != 0 || (have & enough) == enough;
}

namespace {

bool reading_maps_is_privileged() {
    const Fd map(::bpf_map_create(BPF_MAP_TYPE_ARRAY, "iolens_may_read", sizeof(u32), sizeof(u32), 1, nullptr));
    if (!map) return true;
    const WithoutCapabilities without(capability_bit(CAP_BPF) | capability_bit(CAP_SYS_ADMIN));
    const u32 key = 0;
    u32 value = 0;
    return ::bpf_map_lookup_elem(map.get(), &key, &value) != 0;
}

}  // namespace

u64 capabilities_to_read_maps() {
    if (!reading_maps_is_privileged()) return 0;
    const bool has_bpf = (effective_capabilities() & capability_bit(CAP_BPF)) != 0;
    return capability_bit(has_bpf ? CAP_BPF : CAP_SYS_ADMIN);
}

u64 capabilities_to_attach() {
    return capability_bit(CAP_BPF) | capability_bit(CAP_PERFMON) | capability_bit(CAP_SYS_ADMIN) |
           capability_bit(CAP_SYS_RESOURCE);
}

namespace {

bool loads(std::span<const bpf_insn> instructions) {
    bpf_prog_load_opts options{};
    options.sz = sizeof options;
    const Fd program(::bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "iolens_lockdown", "Dual BSD/GPL",
                                     instructions.data(), instructions.size(), &options));
    return static_cast<bool>(program);
}

}  // namespace

bool lockdown_forbids_reads() {
    // u64 value = 0; bpf_probe_read_kernel(&value, 8, 0); return 0;
    static constexpr std::array reads = std::to_array<bpf_insn>({
        {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .src_reg = 0, .off = -8, .imm = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10, .off = 0, .imm = 0},
        {.code = BPF_ALU64 | BPF_ADD, .dst_reg = BPF_REG_1, .src_reg = 0, .off = 0, .imm = -8},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .src_reg = 0, .off = 0, .imm = 8},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_probe_read_kernel},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    });
    // if not even an empty program loads, there is another reason
    return !loads(reads) && loads(std::span(reads).last(2));
}

void require_tracing() {
    if (!may_trace()) {
        throw Failure(Exit::unavailable, "tracing needs root, or CAP_BPF and CAP_PERFMON",
                      "run it with sudo; 'iolens replay FILE' needs no privileges");
    }
    if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
        throw Failure(Exit::unavailable, "can't read the kernel's BTF (/sys/kernel/btf/vmlinux)",
                      "mount sysfs, or boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distribution kernels are");
    }
}

}  // namespace iolens
