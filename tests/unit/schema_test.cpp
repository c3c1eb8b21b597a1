// SPDX-License-Identifier: Apache-2.0
// The tables themselves: every field has a row, and every row is valid.
#include "iolens/schema.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "base/failure.h"
#include "iolens/event/block.h"
#include "lens/columns.h"
#include "lens/lens.h"
#include "sample.h"

namespace iolens {
namespace {

TEST(Schema, NamesAreUniqueAndSpeakTheirUnit) {
    for (const auto& lens : make_lenses()) {
        std::set<std::string_view> names;
        for (const Column& c : lens->info().row_types.front().columns) {
            EXPECT_TRUE(names.insert(c.name).second) << c.name;
            for (const char x : c.name) EXPECT_TRUE(std::islower(x) || std::isdigit(x) || x == '_') << c.name;
            EXPECT_EQ(c.unit == Unit::nanoseconds, c.name.ends_with("_ns")) << c.name;
            EXPECT_FALSE(c.help.empty()) << c.name;
            EXPECT_FALSE(c.header.empty()) << c.name;
            EXPECT_NE(c.width, 0) << c.name;
            EXPECT_NE(c.get, nullptr) << c.name;
        }
    }
}

TEST(Schema, UnknownColumnsAreRefusedWithTheList) {
    try {
        choose_columns(block_columns, {"bytes", "nonsense"});
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), Exit::usage);
        EXPECT_STREQ(failure.what(), "unknown column 'nonsense'");
        EXPECT_NE(failure.hint().find("device_ns"), std::string::npos);
    }
}

TEST(Schema, LettersAreAsTheKernelWritesThem) {
    const auto letters = [](u8 op, u16 flags) {
        iolens_block_event e = test::block_event(1, "x", op, 0, 0);
        e.flags = flags;
        return std::string(block_letters(e).text());
    };
    EXPECT_EQ(letters(IOLENS_OP_READ, IOLENS_BLOCK_RAHEAD), "RA");
    EXPECT_EQ(letters(IOLENS_OP_WRITE, IOLENS_BLOCK_SYNC), "WS");
    EXPECT_EQ(letters(IOLENS_OP_WRITE, IOLENS_BLOCK_PREFLUSH | IOLENS_BLOCK_FUA | IOLENS_BLOCK_SYNC), "FWFS");
    EXPECT_EQ(letters(IOLENS_OP_READ, IOLENS_BLOCK_META), "RM");
    EXPECT_EQ(letters(IOLENS_OP_FLUSH, 0), "F");
    EXPECT_EQ(letters(IOLENS_OP_DISCARD, IOLENS_BLOCK_SYNC), "DS");
    EXPECT_EQ(letters(IOLENS_OP_SECURE_ERASE, 0), "DE");
    EXPECT_EQ(letters(IOLENS_OP_PASSTHROUGH, 0), "N");
    EXPECT_EQ(letters(200, 0xffff), "F?FASM");
    std::set<std::string_view> unique;
    for (const BlockOpName& op : block_ops) EXPECT_TRUE(unique.insert(op.letters).second) << op.word;
}

}  // namespace
}  // namespace iolens
