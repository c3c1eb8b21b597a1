// SPDX-License-Identifier: Apache-2.0
#include "enrich/calls.h"

#include <gtest/gtest.h>

#include <array>
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

TEST(Calls, ATextIsALiteralOfOneLineThatDoesNotAct) {
    const KnownCall* call = find_call(87);
    ASSERT_NE(call, nullptr);
    ASSERT_EQ(call->name, "unlink");
    const std::array<u64, IOLENS_CALL_ARGUMENTS> values{1};
    const std::array<std::string_view, IOLENS_CALL_ARGUMENTS> texts{"a\nb\x1b[31m\"\\"};
    std::string out;
    append_arguments(out, *call, values, texts);
    EXPECT_EQ(out, R"("a\nb\x1b[31m\"\\")");
}

}  // namespace
}  // namespace iolens
