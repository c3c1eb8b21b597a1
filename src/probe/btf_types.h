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

/// BTF as sysfs has it, of the kernel or of a module, whose ids and strings go on where the kernel's end. libbpf would
/// copy the 5 MB, and index them, which costs more than all that is done here.
class BtfTypes {
public:
    using Names = std::unordered_set<std::string>;

    explicit BtfTypes(std::shared_ptr<const BtfFile> file, const BtfTypes* kernel = nullptr)
        : kernel_(kernel),
          file_(std::move(file)),
          first_id_(kernel == nullptr ? 1 : kernel->end()),
          first_string_(kernel == nullptr ? 0 : kernel->strings().size()) {}

    /// Finds each type. Returns false where the BTF is damaged, or has a kind of type that isn't known.
    bool index();

    [[nodiscard]] u32 begin() const { return first_id_; }
    [[nodiscard]] u32 end() const { return first_id_ + static_cast<u32>(places_.size()); }
    /// Of 1 to end(), in a module also the kernel's.
    [[nodiscard]] const btf_type* type(u32 id) const {
        if (id < first_id_) return kernel_->type(id);
        return at(places_.at(id - first_id_));
    }
    [[nodiscard]] bool has(u32 id) const { return id < end(); }
    /// Bytes of the type, with its members.
    [[nodiscard]] std::size_t size(u32 id) const {
        return id < first_id_ ? kernel_->size(id) : size_of(places_.at(id - first_id_));
    }
    [[nodiscard]] std::string_view name(u32 offset) const {
        if (offset < first_string_) return kernel_->name(offset);
        const std::size_t at = offset - first_string_;
        return at < strings().size() ? strings().substr(at, strings().find('\0', at) - at) : std::string_view();
    }
    [[nodiscard]] std::string_view name(const btf_type* type) const;
    /// Is one of the names among its strings?
    [[nodiscard]] bool mentions(const Names& names) const;
    /// The first struct of a name; 0 where there is none.
    [[nodiscard]] u32 find_struct(std::string_view wanted) const;

private:
    [[nodiscard]] std::string_view strings() const { return file_->strings(); }
    [[nodiscard]] const btf_type* at(std::size_t place) const {
        return reinterpret_cast<const btf_type*>(file_->types().data() + place);
    }
    /// 0: it has no known kind, or is not all there.
    [[nodiscard]] std::size_t size_of(std::size_t place) const;

    const BtfTypes* kernel_;
    std::shared_ptr<const BtfFile> file_;
    std::vector<u32> places_;  ///< by id
    u32 first_id_;
    std::size_t first_string_;
};

}  // namespace iolens
