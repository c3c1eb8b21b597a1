// SPDX-License-Identifier: Apache-2.0
#include "import/name_map.h"

#include <gtest/gtest.h>

#include "resolve/syscalls.h"

namespace iolens {
namespace {

TEST(NameMap, FindsEachName) {
    NameMap<u16> map{{"a", 60001}, {"a_name_of_a_call_that_is_long", 60002}, {"a_name_of_a_cow_that_is_long", 60003}};
    for (const Syscall& call : syscalls()) map.add(call.name, call.id);
    for (const Syscall& call : syscalls()) {
        ASSERT_NE(map.find(call.name), nullptr) << call.name;
        EXPECT_EQ(*map.find(call.name), call.id) << call.name;
        EXPECT_EQ(map.find(std::string(call.name) + "_"), nullptr);
    }
    EXPECT_EQ(*map.find("a_name_of_a_call_that_is_long"), 60002);
    EXPECT_EQ(*map.find("a_name_of_a_cow_that_is_long"), 60003);
    EXPECT_EQ(map.find(""), nullptr);
    EXPECT_EQ(map.find("b"), nullptr);
    map.add("a", 1);
    EXPECT_EQ(*map.find("a"), 60001);
}

}  // namespace
}  // namespace iolens
