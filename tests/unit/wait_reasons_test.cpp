// SPDX-License-Identifier: Apache-2.0
#include "resolve/wait_reasons.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

namespace iolens {
namespace {

iolens_symbol_fact symbol(const std::string& name, u64 start, u64 end) {
    iolens_symbol_fact fact{};
    fact.h = {.ts = 1, .kind = IOLENS_KIND_SYMBOL, .size = sizeof fact, .cpu = 0};
    fact.start = start;
    fact.end = end;
    std::copy_n(name.data(), std::min(name.size(), sizeof fact.name), static_cast<u8*>(fact.name));
    return fact;
}

class WaitReasonsTest : public testing::Test {
protected:
    WaitReasonsTest() {
        reasons_.add(symbol("io_schedule", 0x1000, 0x1100));
        reasons_.add(symbol("folio_wait_bit_common", 0x1100, 0x1200));
        reasons_.add(symbol("jbd2_log_wait_commit", 0x2000, 0x2100));
        reasons_.add(symbol("filemap_read", 0x3000, 0x3100));
    }
    WaitReasons::Reason find(std::initializer_list<u64> frames) const {
        return reasons_.find(std::span(frames.begin(), frames.size()));
    }
    WaitReasons reasons_;
};

TEST_F(WaitReasonsTest, AReturnAddressIsAfterTheCall) {
    EXPECT_EQ(find({0x2001}).function, "jbd2_log_wait_commit");
    EXPECT_EQ(find({0x20ff}).what, WaitFor::journal);
    // the call is the function's last instruction
    EXPECT_EQ(find({0x2100}).what, WaitFor::journal);
    EXPECT_EQ(find({0x2101}).what, WaitFor::other);
    // no call inside a function returns to its first instruction
    EXPECT_EQ(find({0x2000}).what, WaitFor::other);
    // the end of one function is the start of the next
    EXPECT_EQ(find({0x1100}).function, "io_schedule");
}

TEST_F(WaitReasonsTest, ASpecificFunctionIsPreferredToAVagueOne) {
    EXPECT_EQ(find({0x1010, 0x1110, 0x3010}).function, "filemap_read");
    EXPECT_EQ(find({0x1010, 0x1110, 0x3010}).what, WaitFor::page);
    EXPECT_EQ(find({0x2010, 0x3010}).function, "jbd2_log_wait_commit");
}

TEST_F(WaitReasonsTest, TheInnermostVagueFunctionIsUsedIfThereIsNoOther) {
    EXPECT_EQ(find({0x9999, 0x1110, 0x1010}).function, "folio_wait_bit_common");
    EXPECT_EQ(find({0x1010, 0x1110}).what, WaitFor::device);
}

TEST_F(WaitReasonsTest, ZeroEndsTheStack) {
    EXPECT_EQ(find({0, 0x2010}).what, WaitFor::other);
    EXPECT_EQ(find({0x1010, 0, 0x2010}).function, "io_schedule");
}

TEST_F(WaitReasonsTest, WithoutAKnownFunctionThereIsNoReason) {
    EXPECT_EQ(find({}).what, WaitFor::other);
    EXPECT_EQ(find({}).function, "");
    EXPECT_EQ(find({1, 0x500, 0x2800, ~u64{0}}).function, "");
    EXPECT_EQ(WaitReasons().find(std::array{u64{0x2010}}).what, WaitFor::other);
}

TEST_F(WaitReasonsTest, AFaultIsTheProgramsOwnUnlessACallIsBelowIt) {
    reasons_.add(symbol("handle_mm_fault", 0x4000, 0x4100));
    reasons_.add(symbol("do_syscall_64", 0x5000, 0x5100));
    EXPECT_TRUE(find({0x1010, 0x3010, 0x4010, 0x9999, 0}).fault);
    EXPECT_EQ(find({0x1010, 0x3010, 0x4010, 0x9999, 0}).function, "filemap_read");
    EXPECT_EQ(find({0x1010, 0x4010, 0}).function, "io_schedule");
    EXPECT_FALSE(find({0x1010, 0x3010, 0x4010, 0x5010, 0}).fault);
    EXPECT_FALSE(find({0x1010, 0x3010, 0x5010, 0}).fault);
    // the stack is cut off: there may be a call below
    EXPECT_FALSE(find({0x1010, 0x3010, 0x4010, 0x9999}).fault);
}

TEST_F(WaitReasonsTest, UnknownSymbolsAreIgnored) {
    reasons_.add(symbol("schedule", 0x4000, 0x4100));
    reasons_.add(symbol("", 0x5000, 0x5100));
    // fills its field, no NUL at the end
    reasons_.add(symbol("jbd2_log_wait_commit" + std::string(IOLENS_SYMBOL_LEN, 'x'), 0x6000, 0x6100));
    for (const u64 frame : {u64{0x4010}, u64{0x5010}, u64{0x6010}}) EXPECT_EQ(find({frame}).function, "") << frame;
}

TEST(WaitFunctions, AreKnownByTheirFullName) {
    EXPECT_TRUE(is_wait_function("io_schedule"));
    EXPECT_TRUE(is_wait_function("do_wait"));
    for (const char* name : {"", "io_schedul", "io_schedule_", "schedule", "io_schedule.isra.0"}) {
        EXPECT_FALSE(is_wait_function(name)) << name;
    }
}

TEST(WaitWords, AreUniqueAndInEnumOrder) {
    std::set<std::string_view> words;
    for (u8 i = 0; i <= static_cast<u8>(WaitFor::other); ++i) {
        const WaitWords& own_rows = words_of(static_cast<WaitFor>(i));
        EXPECT_NE(own_rows.words, "") << int{i};
        EXPECT_TRUE(words.insert(own_rows.word).second) << own_rows.word;
    }
    // the table is in the order of the enum
    EXPECT_EQ(words_of(WaitFor::dirty_pages).word, "dirty_pages");
    EXPECT_EQ(words_of(WaitFor::page).word, "page_cache");
    EXPECT_EQ(words_of(WaitFor::fuse).word, "fuse");
    EXPECT_EQ(words_of(WaitFor::processor).word, "processor");
    EXPECT_EQ(words_of(WaitFor::other).word, "other");
}

}  // namespace
}  // namespace iolens
