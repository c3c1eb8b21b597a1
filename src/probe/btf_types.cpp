// SPDX-License-Identifier: Apache-2.0
#include "probe/btf_types.h"

#include <bpf/btf.h>
#include <linux/btf.h>

#include <algorithm>

namespace iolens {

bool BtfTypes::index() {
    if (kernel_ == nullptr) places_.reserve(file_->types().size() / 24);
    for (std::size_t at = 0; at + sizeof(btf_type) <= file_->types().size(); at += size_of(at)) {
        if (size_of(at) == 0) return false;
        places_.push_back(static_cast<u32>(at));
    }
    return !places_.empty();
}

std::string_view BtfTypes::name(const btf_type* type) const { return name(type->name_off); }

bool BtfTypes::mentions(const Names& names) const {
    for (std::string_view rest = strings(); !rest.empty();) {
        const std::size_t length = std::min(rest.find('\0'), rest.size() - 1);
        if (length != 0 && names.contains(std::string(rest.substr(0, length)))) return true;
        rest.remove_prefix(length + 1);
    }
    return false;
}

u32 BtfTypes::find_struct(std::string_view wanted) const {
    for (u32 id = first_id_; id < end(); ++id) {
        if (btf_is_struct(type(id)) && name(type(id)) == wanted) return id;
    }
    return 0;
}

std::size_t BtfTypes::size_of(std::size_t place) const {
    const btf_type* type = at(place);
    std::size_t size = sizeof *type;
    switch (btf_kind(type)) {
        case BTF_KIND_INT:
        case BTF_KIND_VAR:
        case BTF_KIND_DECL_TAG: size += sizeof(u32); break;
        case BTF_KIND_ARRAY: size += sizeof(struct btf_array); break;
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION: size += btf_vlen(type) * sizeof(btf_member); break;
        case BTF_KIND_ENUM: size += btf_vlen(type) * sizeof(struct btf_enum); break;
        case BTF_KIND_ENUM64: size += btf_vlen(type) * sizeof(struct btf_enum64); break;
        case BTF_KIND_FUNC_PROTO: size += btf_vlen(type) * sizeof(btf_param); break;
        case BTF_KIND_DATASEC: size += btf_vlen(type) * sizeof(btf_var_secinfo); break;
        case BTF_KIND_PTR:
        case BTF_KIND_FWD:
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_CONST:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_FUNC:
        case BTF_KIND_FLOAT:
        case BTF_KIND_TYPE_TAG: break;
        default: return 0;
    }
    return place + size <= file_->types().size() ? size : 0;
}

}  // namespace iolens
