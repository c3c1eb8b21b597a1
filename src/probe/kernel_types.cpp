// SPDX-License-Identifier: Apache-2.0
#include "probe/kernel_types.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/btf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/failure.h"
#include "base/fd.h"
#include "base/text.h"
#include "iolens/event/header.h"
#include "probe/btf_types.h"
#include "probe/kernel_btf.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

using Names = BtfTypes::Names;

/// The essential name without its flavor: "task_struct" for "task_struct___new". Like libbpf's
/// bpf_core_essential_name_len().
std::string_view without_flavor(std::string_view name) {
    const std::size_t at = name.rfind("___");
    const bool is_flavor = at != std::string_view::npos && at > 0 && name[at - 1] != '_' && at + 3 < name.size();
    return is_flavor ? name.substr(0, at) : name;
}

/// True if an object can refer to a type of this kind by name.
bool can_be_named(u32 kind) {
    return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64 ||
           kind == BTF_KIND_TYPEDEF;
}

/// The data that follows a type record: members, values or parameters, or the description of an array.
template <typename Item, typename Type>
auto items(Type* type) {
    using Place = std::conditional_t<std::is_const_v<Type>, const Item*, Item*>;
    return std::span(reinterpret_cast<Place>(type + 1), btf_is_array(type) ? 1U : btf_vlen(type));
}

/// Calls `reference` with each type id in a type, and `name` with each name offset.
template <typename Type, typename Reference, typename Name>
void visit(Type* type, Reference&& reference, Name&& name) {
    name(type->name_off);
    switch (btf_kind(type)) {
        case BTF_KIND_PTR:
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_CONST:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_TYPE_TAG: reference(type->type); break;
        case BTF_KIND_ARRAY:
            reference(items<struct btf_array>(type)[0].type);
            reference(items<struct btf_array>(type)[0].index_type);
            break;
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
            for (auto& member : items<struct btf_member>(type)) {
                name(member.name_off);
                reference(member.type);
            }
            break;
        case BTF_KIND_ENUM:
            for (auto& value : items<struct btf_enum>(type)) name(value.name_off);
            break;
        case BTF_KIND_ENUM64:
            for (auto& value : items<struct btf_enum64>(type)) name(value.name_off);
            break;
        case BTF_KIND_FUNC_PROTO:
            reference(type->type);
            for (auto& parameter : items<struct btf_param>(type)) {
                name(parameter.name_off);
                reference(parameter.type);
            }
            break;
        default: break;
    }
}

/// Selects the named types and all types that they consist of, as BTF. Types that they only point to, and that are not
/// named themselves, become forward declarations.
class Selection {
public:
    explicit Selection(const Names& names) : names_(names) {}

    /// Adds the types of the kernel or a module that have these names; returns the names that were found.
    Names take(const BtfTypes& from, const Names& names) {
        Names found;
        for (u32 id = from.begin(); id < from.end(); ++id) {
            const btf_type* type = from.type(id);
            if (!can_be_named(btf_kind(type)) || type->name_off == 0) continue;
            const std::string name(without_flavor(from.name(type)));
            if (!names.contains(name)) continue;
            found.insert(name);
            add(from, id, false);
        }
        return found;
    }

    [[nodiscard]] std::string bytes() {
        std::string types;
        for (const Selected& item : selected_) {
            const btf_type* original = item.from->type(item.id);
            const std::size_t at = types.size();
            types.append(reinterpret_cast<const char*>(original),
                         item.forward ? sizeof *original : item.from->size(item.id));
            auto* type = reinterpret_cast<btf_type*>(types.data() + at);
            if (item.forward) {  // kind_flag: a union
                type->info = u32{BTF_KIND_FWD} << 24 | u32{btf_is_union(original)} << 31;
                type->type = 0;
            }
            auto next = item.references.begin();
            visit(
                type, [&](u32& reference) { reference = *next++; },
                [&](u32& name) { name = string(item.from->name(name)); });
        }
        btf_header head{};
        head.magic = BTF_MAGIC;
        head.version = 1;
        head.hdr_len = sizeof head;
        head.type_len = static_cast<u32>(types.size());
        head.str_off = head.type_len;
        head.str_len = static_cast<u32>(strings_.size());
        return std::string(reinterpret_cast<const char*>(&head), sizeof head) + types + strings_;
    }

private:
    struct Selected {
        const BtfTypes* from;
        u32 id;
        bool forward;
        std::vector<u32> references;  ///< ids in the selection, in the order of visit()
    };

    /// Returns the type's id in the selection.
    u32 add(const BtfTypes& from, u32 id, bool forward) {
        if (id == 0 || !from.has(id)) return 0;  // void
        const BtfTypes* owner = id < from.begin() ? nullptr : &from;
        const auto [place, fresh] = ids_.try_emplace({owner, id, forward}, static_cast<u32>(selected_.size()) + 1);
        if (!fresh) return place->second;
        const u32 own = place->second;
        selected_.push_back({&from, id, forward, {}});
        if (forward) return own;
        std::vector<u32> references;
        const btf_type* type = from.type(id);
        visit(
            type,
            [&](u32 reference) {
                references.push_back(btf_is_ptr(type) ? add_pointed(from, reference) : add(from, reference, false));
            },
            [](u32 /*name*/) {});
        selected_[own - 1].references = std::move(references);
        return own;
    }

    u32 add_pointed(const BtfTypes& from, u32 id) {
        while (id != 0 && from.has(id) && btf_is_mod(from.type(id))) id = from.type(id)->type;
        if (id == 0 || !from.has(id)) return 0;
        const std::string_view name = from.name(from.type(id));
        const bool forward =
            btf_is_composite(from.type(id)) && !name.empty() && !names_.contains(std::string(without_flavor(name)));
        return add(from, id, forward);
    }

    u32 string(std::string_view text) {
        if (text.empty()) return 0;
        const auto [place, fresh] = offsets_.try_emplace(std::string(text), static_cast<u32>(strings_.size()));
        if (fresh) strings_.append(text).push_back('\0');
        return place->second;
    }

    const Names& names_;
    std::vector<Selected> selected_;
    std::map<std::tuple<const BtfTypes*, u32, bool>, u32> ids_;
    std::string strings_ = std::string(1, '\0');
    std::unordered_map<std::string, u32> offsets_;
};

/// Modules whose BTF has one of the names.
std::vector<BtfTypes> modules_with(const Names& names, const BtfTypes& kernel) {
    std::vector<BtfTypes> modules;
    std::error_code error;
    for (fs::directory_iterator at("/sys/kernel/btf", error), end; !error && at != end; at.increment(error)) {
        if (at->path() == kernel_btf_path) continue;
        BtfTypes module(std::make_shared<const BtfFile>(at->path()), &kernel);
        if (module.mentions(names) && module.index()) modules.push_back(std::move(module));
    }
    return modules;
}

/// A kernel_type_NAME variable in read-only data.
struct TypeId {
    std::string name;
    std::byte* place;
};

std::vector<TypeId> type_ids_in(bpf_object* object) {
    constexpr std::string_view prefix = "kernel_type_";
    std::vector<TypeId> items;
    const btf* types = bpf_object__btf(object);
    const auto name_of = [&](u32 id) {
        return std::string_view(btf__name_by_offset(types, btf__type_by_id(types, id)->name_off));
    };
    const s32 section = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (std::string_view(bpf_map__name(map)).ends_with(".rodata")) break;
    }
    if (section < 0 || map == nullptr) return items;
    std::size_t size = 0;
    auto* data = static_cast<std::byte*>(const_cast<void*>(bpf_map__initial_value(map, &size)));
    const btf_type* type = btf__type_by_id(types, static_cast<u32>(section));
    for (u32 i = 0; i < btf_vlen(type); ++i) {
        const btf_var_secinfo& variable = btf_var_secinfos(type)[i];
        const std::string_view name = name_of(variable.type);
        if (!name.starts_with(prefix) || variable.offset + sizeof(u32) > size) continue;
        items.push_back({std::string(name.substr(prefix.size())), data + variable.offset});
    }
    return items;
}

class File {
public:
    File()
        : fd_(::memfd_create("iolens-kernel-types", MFD_CLOEXEC)),
          path_("/proc/self/fd/" + std::to_string(fd_.get())) {}
    [[nodiscard]] const char* path() const {
        return fd_ && ::access(path_.c_str(), R_OK) == 0 ? path_.c_str() : nullptr;
    }
    /// Returns false (errno) if it can't be written.
    [[nodiscard]] bool write(std::string_view bytes) const {
        return ::ftruncate(fd_.get(), 0) == 0 &&
               ::pwrite(fd_.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
    }
    Names names;                     ///< all names that objects have used so far
    std::map<std::string, u32> ids;  ///< the kernel's ids of the structs that were looked up so far

private:
    Fd fd_;
    std::string path_;
};

File& file() {
    static File item;
    return item;
}

}  // namespace

const char* kernel_types_path() { return file().path(); }

void provide_kernel_types(bpf_object* object) {
    const btf* own = bpf_object__btf(object);
    Names& names = file().names;
    const std::size_t before = names.size();
    for (u32 id = 1; id < btf__type_cnt(own); ++id) {
        const btf_type* type = btf__type_by_id(own, id);
        if (can_be_named(btf_kind(type)) && type->name_off != 0)
            names.emplace(without_flavor(btf__name_by_offset(own, type->name_off)));
    }
    const bool all_there = names.size() == before || kernel_types_path() == nullptr;
    std::map<std::string, u32>& known = file().ids;
    const std::vector<TypeId> ids = type_ids_in(object);
    const auto set_ids = [&] {
        for (const TypeId& item : ids) std::memcpy(item.place, &known.at(item.name), sizeof(u32));
    };
    if (all_there && std::ranges::all_of(ids, [&](const TypeId& item) { return known.contains(item.name); })) {
        set_ids();
        return;
    }
    BtfTypes kernel(kernel_btf());
    if (!kernel.index()) {
        throw Failure(Exit::unavailable, fmt::format("can't read the kernel's BTF ({})", kernel_btf_path),
                      "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distribution kernels are");
    }
    for (const TypeId& item : ids) known.try_emplace(item.name, kernel.find_struct(item.name));
    set_ids();
    if (all_there) return;
    Selection selection(names);
    Names missing = names;
    for (const std::string& found : selection.take(kernel, names)) missing.erase(found);
    const std::vector<BtfTypes> modules = modules_with(missing, kernel);
    for (const BtfTypes& module : modules) selection.take(module, missing);
    if (!file().write(selection.bytes())) {
        throw Failure(Exit::failed, "can't write the reduced BTF for libbpf: " + error_text(errno));
    }
}

}  // namespace iolens
