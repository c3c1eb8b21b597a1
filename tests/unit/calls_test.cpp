// SPDX-License-Identifier: Apache-2.0
#include "enrich/calls.h"

#include <gtest/gtest.h>

#include <set>

namespace iolens {
namespace {

TEST(Calls, EachNumberHasOneName) {
    std::set<u16> numbers;
    std::set<u16> ids;
    std::set<std::string_view> names;
    for (const KnownCall& call : known_calls()) {
        EXPECT_TRUE(ids.insert(call.id).second) << call.name;
        EXPECT_TRUE(call.number == IOLENS_CALLS || numbers.insert(call.number).second) << call.name;
        EXPECT_TRUE(names.insert(call.name).second) << call.name;
        EXPECT_LT(call.id, IOLENS_CALLS) << call.name;
        EXPECT_NE(call.info.shape, 0) << call.name;
        EXPECT_EQ(call.info.id, call.id) << call.name;
        EXPECT_EQ(call_name(call.id), call.name);
    }
    EXPECT_EQ(call_name(17), "pread64");
    EXPECT_EQ(call_name(IOLENS_CALLS), "");
    EXPECT_EQ(call_name(~u64{0}), "");
}

}  // namespace
}  // namespace iolens
