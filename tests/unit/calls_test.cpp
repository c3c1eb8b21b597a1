// SPDX-License-Identifier: Apache-2.0
#include "enrich/calls.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <set>

namespace iolens {
namespace {

TEST(Calls, EachNumberHasOneName) {
    std::set<u16> numbers;
    std::set<std::string_view> names;
    for (const KnownCall& call : known_calls()) {
        EXPECT_TRUE(numbers.insert(call.number).second) << call.name;
        EXPECT_TRUE(names.insert(call.name).second) << call.name;
        EXPECT_LT(call.number, IOLENS_CALLS) << call.name;
        EXPECT_NE(call.info.shape, 0) << call.name;
        EXPECT_EQ(call_name(call.number), call.name);
    }
    EXPECT_EQ(call_name(SYS_pread64), "pread64");
    EXPECT_EQ(call_name(SYS_getpid), "");
    EXPECT_EQ(call_name(~u64{0}), "");
}

}  // namespace
}  // namespace iolens
