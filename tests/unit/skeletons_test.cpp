// SPDX-License-Identifier: Apache-2.0
// An object for kernels without casts is opened by the skeleton of the object with casts. The skeleton finds maps and
// programs by name, and variables by their offsets in the other object.
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "probe/bpf.h"

namespace iolens {
namespace {

class SharedSkeleton : public testing::TestWithParam<std::string> {
protected:
    using Object = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

    void SetUp() override {
        capture_libbpf_log(false);
        casts_ = open(GetParam());
        without_casts_ = open(GetParam() + "_without_casts");
        ASSERT_NE(casts_, nullptr);
        ASSERT_NE(without_casts_, nullptr);
    }

    /// Opens an object under the skeleton's name, as user space does: names of maps start with it.
    static Object open(const std::string& file) {
        bpf_object_open_opts options = *open_options();
        const std::string name = GetParam() + "_bpf";
        options.object_name = name.c_str();
        return {bpf_object__open_file((IOLENS_SKELETONS "/" + file + ".bpf.o").c_str(), &options), bpf_object__close};
    }

    /// Name, offset and size of each variable of a section, by offset.
    static std::vector<std::string> variables(const bpf_object* object, const char* section) {
        std::vector<std::string> found;
        const btf* types = bpf_object__btf(object);
        const s32 id = btf__find_by_name_kind(types, section, BTF_KIND_DATASEC);
        if (id < 0) return found;
        const btf_type* type = btf__type_by_id(types, static_cast<u32>(id));
        for (u32 i = 0; i < btf_vlen(type); ++i) {
            const btf_var_secinfo& variable = btf_var_secinfos(type)[i];
            const char* name = btf__name_by_offset(types, btf__type_by_id(types, variable.type)->name_off);
            found.push_back(std::string(name) + " at " + std::to_string(variable.offset) + ", " +
                            std::to_string(variable.size) + " bytes");
        }
        return found;
    }

    static std::set<std::string> maps(const bpf_object* object) {
        std::set<std::string> names;
        const bpf_map* map = nullptr;
        bpf_object__for_each_map(map, object) names.insert(bpf_map__name(map));
        return names;
    }

    /// Name and section of each program.
    static std::set<std::string> programs(const bpf_object* object) {
        std::set<std::string> names;
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, object) {
            names.insert(std::string(bpf_program__name(program)) + " in " + bpf_program__section_name(program));
        }
        return names;
    }

    Object casts_{nullptr, bpf_object__close};
    Object without_casts_{nullptr, bpf_object__close};
};

TEST_P(SharedSkeleton, VariablesAreAtTheSameOffsets) {
    std::size_t count = 0;
    for (const char* section : {".rodata", ".data", ".bss"}) {
        const std::vector<std::string> expected = variables(casts_.get(), section);
        std::vector<std::string> found = variables(without_casts_.get(), section);
        // behind those of the skeleton, it can have others, such as inflight_nothing
        ASSERT_GE(found.size(), expected.size()) << section;
        found.resize(expected.size());
        EXPECT_EQ(found, expected) << section;
        EXPECT_FALSE(expected.empty()) << section;
        count += expected.size();
    }
    EXPECT_GT(count, 20U);
}

/// Only names: maps of slots are of another type (bpf/lib/slots.bpf.h).
TEST_P(SharedSkeleton, MapsHaveTheSameNames) {
    EXPECT_EQ(maps(without_casts_.get()), maps(casts_.get()));
    EXPECT_GT(maps(casts_.get()).size(), 10U);
}

TEST_P(SharedSkeleton, ProgramsAreTheSame) {
    EXPECT_EQ(programs(without_casts_.get()), programs(casts_.get()));
    EXPECT_GT(programs(casts_.get()).size(), 5U);
}

INSTANTIATE_TEST_SUITE_P(Objects, SharedSkeleton, testing::Values("block", "syscall"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace iolens
