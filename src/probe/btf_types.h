// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "iolens/event/header.h"
#include "probe/kernel_btf.h"

struct btf_type;

namespace iolens {

/// BTF of the kernel or of a module, as sysfs has it. A module's ids and strings continue where the kernel's end.
/// libbpf would copy and index the 5 MB, which costs more than everything that is done here.
class BtfTypes {
public:
    using Names = std::unordered_set<std::string>;

    explicit BtfTypes(std::shared_ptr<const BtfFile> file, const BtfTypes* kernel = nullptr)
        : kernel_(kernel),
          file_(std::move(file)),
          first_id_(kernel == nullptr ? 1 : kernel->end()),
          first_string_(kernel == nullptr ? 0 : kernel->strings().size()) {}

    /// Locates each type. Returns false if the BTF is damaged or has an unknown kind of type.
    bool index();

    [[nodiscard]] u32 begin() const { return first_id_; }
    [[nodiscard]] u32 end() const { return first_id_ + static_cast<u32>(places_.size()); }
    /// Ids from 1, below end(); in a module they include the kernel's.
    [[nodiscard]] const btf_type* type(u32 id) const {
        if (id < first_id_) return kernel_->type(id);
        return at(places_.at(id - first_id_));
    }
    [[nodiscard]] bool has(u32 id) const { return id < end(); }
    /// Size in bytes of the type record, including its members.
    [[nodiscard]] std::size_t size(u32 id) const {
        return id < first_id_ ? kernel_->size(id) : size_of(places_.at(id - first_id_));
    }
    [[nodiscard]] std::string_view name(u32 offset) const {
        if (offset < first_string_) return kernel_->name(offset);
        const std::size_t at = offset - first_string_;
        return at < strings().size() ? strings().substr(at, strings().find('\0', at) - at) : std::string_view();
    }
    [[nodiscard]] std::string_view name(const btf_type* type) const;
    /// True if one of the names is among the strings.
    [[nodiscard]] bool mentions(const Names& names) const;
    /// The first struct with this name; 0 if there is none.
    [[nodiscard]] u32 find_struct(std::string_view wanted) const;

private:
    [[nodiscard]] std::string_view strings() const { return file_->strings(); }
    [[nodiscard]] const btf_type* at(std::size_t place) const {
        return reinterpret_cast<const btf_type*>(file_->types().data() + place);
    }
    /// 0: of unknown kind, or truncated.
    [[nodiscard]] std::size_t size_of(std::size_t place) const;

    const BtfTypes* kernel_;
    std::shared_ptr<const BtfFile> file_;
    std::vector<u32> places_;  ///< by id
    u32 first_id_;
    std::size_t first_string_;
};

}  // namespace iolens
