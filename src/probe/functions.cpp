// SPDX-License-Identifier: Apache-2.0
#include "probe/functions.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "iolens/event/header.h"
#include "probe/kernel_btf.h"

namespace iolens {
namespace {

/// True if the kernel's verifier takes pointers as arguments of global functions. check_mem_reg() came with that; later
/// kernels may have it inlined.
bool takes_pointers() {
    const KernelNames kernel;
    return kernel.has("check_mem_reg") || kernel.has("bpf_rdonly_cast");
}

bool has_pointer(const btf* types, const btf_type* function) {
    const btf_type* prototype = btf__type_by_id(types, function->type);
    for (u32 i = 0; i < btf_vlen(prototype); ++i) {
        if (btf_is_ptr(btf__type_by_id(types, btf_params(prototype)[i].type))) return true;
    }
    return false;
}

}  // namespace

void make_functions_acceptable(bpf_object* object) {
    static const bool acceptable = takes_pointers();
    if (acceptable) return;
    const btf* types = bpf_object__btf(object);
    for (u32 id = 1; id < btf__type_cnt(types); ++id) {
        auto* type = const_cast<btf_type*>(btf__type_by_id(types, id));
        if (!btf_is_func(type) || btf_vlen(type) != BTF_FUNC_GLOBAL || !has_pointer(types, type)) continue;
        const char* name = btf__name_by_offset(types, type->name_off);
        if (bpf_object__find_program_by_name(object, name) != nullptr) continue;
        type->info = (u32{BTF_KIND_FUNC} << 24) | BTF_FUNC_STATIC;
    }
}

}  // namespace iolens
