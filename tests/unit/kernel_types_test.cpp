// SPDX-License-Identifier: Apache-2.0
#include "probe/kernel_types.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>

#include "iolens/event/header.h"
#include "probe/bpf.h"

namespace iolens {
namespace {

using Btf = std::unique_ptr<btf, decltype(&btf__free)>;

class KernelTypes : public testing::Test {
protected:
    KernelTypes() : kernel_(btf__parse("/sys/kernel/btf/vmlinux", nullptr), btf__free) {}
    void SetUp() override {
        if (!kernel_) GTEST_SKIP() << "no readable BTF of the kernel";
        capture_libbpf_log(false);
        object_.reset(bpf_object__open_file(IOLENS_SKELETONS "/syscall.bpf.o", open_options()));
        ASSERT_NE(object_, nullptr);
        provide_kernel_types(object_.get());
        ASSERT_NE(kernel_types_path(), nullptr);
        types_.reset(btf__parse(kernel_types_path(), nullptr));
        ASSERT_NE(types_, nullptr);
    }

    /// Name and size of a type.
    static std::string describe(const btf* from, u32 id) {
        const btf_type* type = btf__type_by_id(from, id);
        const s64 size = btf_is_ptr(type) ? 8 : btf__resolve_size(from, id);
        return std::string(btf__name_by_offset(from, type->name_off)) + "/" + std::to_string(size);
    }

    Btf kernel_;
    Btf types_{nullptr, btf__free};
    std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object_{nullptr, bpf_object__close};
};

/// Every named struct has the same members at the same offsets as in the kernel's own BTF.
TEST_F(KernelTypes, AreTheKernelsOwn) {
    std::size_t structs = 0;
    for (u32 id = 1; id < btf__type_cnt(types_.get()); ++id) {
        const btf_type* type = btf__type_by_id(types_.get(), id);
        if (!btf_is_struct(type) || type->name_off == 0) continue;
        const std::string name = btf__name_by_offset(types_.get(), type->name_off);
        bool found = false;  // two kernel structs can have the same name
        for (u32 other = 1; other < btf__type_cnt(kernel_.get()) && !found; ++other) {
            const btf_type* original = btf__type_by_id(kernel_.get(), other);
            if (!btf_is_struct(original) || original->size != type->size || btf_vlen(original) != btf_vlen(type) ||
                name != btf__name_by_offset(kernel_.get(), original->name_off)) {
                continue;
            }
            found = true;
            for (u32 i = 0; i < btf_vlen(type) && found; ++i) {
                const btf_member& ours = btf_members(type)[i];
                const btf_member& theirs = btf_members(original)[i];
                found = ours.offset == theirs.offset &&
                        std::strcmp(btf__name_by_offset(types_.get(), ours.name_off),
                                    btf__name_by_offset(kernel_.get(), theirs.name_off)) == 0 &&
                        describe(types_.get(), ours.type) == describe(kernel_.get(), theirs.type);
            }
        }
        EXPECT_TRUE(found) << name;
        ++structs;
    }
    EXPECT_GT(structs, 50U);
}

/// Types that objects name are complete; types that they only point to are forward declarations.
TEST_F(KernelTypes, AreNoMoreThanNeeded) {
    for (const char* name : {"task_struct", "file", "inode"}) {
        EXPECT_GT(btf__find_by_name_kind(types_.get(), name, BTF_KIND_STRUCT), 0) << name;
    }
    EXPECT_LT(btf__find_by_name_kind(types_.get(), "sched_class", BTF_KIND_STRUCT), 0);
    EXPECT_GT(btf__find_by_name_kind(types_.get(), "sched_class", BTF_KIND_FWD), 0);
    EXPECT_LT(btf__type_cnt(types_.get()), btf__type_cnt(kernel_.get()) / 5);
}

TEST_F(KernelTypes, IdsAreTheKernels) {
    const btf* own = bpf_object__btf(object_.get());
    const s32 section = btf__find_by_name_kind(own, ".rodata", BTF_KIND_DATASEC);
    ASSERT_GT(section, 0);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_.get()) {
        if (std::string(bpf_map__name(map)).ends_with(".rodata")) break;
    }
    ASSERT_NE(map, nullptr);
    std::size_t size = 0;
    const auto* data = static_cast<const std::byte*>(bpf_map__initial_value(map, &size));
    std::size_t ids = 0;
    const btf_type* type = btf__type_by_id(own, static_cast<u32>(section));
    for (u32 i = 0; i < btf_vlen(type); ++i) {
        const btf_var_secinfo& variable = btf_var_secinfos(type)[i];
        const std::string name = btf__name_by_offset(own, btf__type_by_id(own, variable.type)->name_off);
        if (!name.starts_with("kernel_type_")) continue;
        u32 id = 0;
        std::memcpy(&id, data + variable.offset, sizeof id);
        const btf_type* original = btf__type_by_id(kernel_.get(), id);
        ASSERT_TRUE(btf_is_struct(original));
        EXPECT_EQ(btf__name_by_offset(kernel_.get(), original->name_off), name.substr(std::strlen("kernel_type_")));
        ++ids;
    }
    EXPECT_EQ(ids, 5U);
}

}  // namespace
}  // namespace iolens
