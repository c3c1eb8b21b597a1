// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

namespace iolens {
namespace {

std::string shown(std::string_view bytes, std::size_t max = 0) {
    Buffer out;
    append_visible(out, bytes, max);
    return fmt::to_string(out);
}
std::string json(std::string_view bytes) {
    Buffer out;
    append_json(out, bytes);
    return fmt::to_string(out);
}
std::string csv(std::string_view bytes) {
    Buffer out;
    append_csv(out, bytes);
    return fmt::to_string(out);
}

TEST(Text, LeavesOrdinaryNamesAlone) {
    EXPECT_EQ(shown("kworker/u8:0"), "kworker/u8:0");
    EXPECT_EQ(shown("n\xc3\xbc\xe2\x82\xac \xf0\x9f\x98\x80"), "n\xc3\xbc\xe2\x82\xac \xf0\x9f\x98\x80");
}

TEST(Text, NothingReachesATerminalRaw) {
    EXPECT_EQ(shown("a\x1b[31mb"), "a\\x1b[31mb");
    EXPECT_EQ(shown("a\nb\tc\\d"), "a\\nb\\tc\\\\d");
    EXPECT_EQ(shown(std::string_view("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(shown("\x7f"), "\\x7f");
    EXPECT_EQ(shown("\xc2\x9b"
                    "31m"),
              "\\xc2\\x9b31m");  // CSI as one C1 character
    EXPECT_EQ(shown("\xe2\x80\xae"
                    "gpj.exe"),
              "\\xe2\\x80\\xaegpj.exe");  // right-to-left override
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        for (const char out : shown({&c, 1})) EXPECT_TRUE(out >= 0x20 && out < 0x7f) << byte;
    }
}

TEST(Text, InvalidUtf8IsShownByteByByte) {
    EXPECT_EQ(shown("\xff\xfe"), "\\xff\\xfe");
    EXPECT_EQ(shown("\xc3"), "\\xc3");                    // cut off
    EXPECT_EQ(shown("\xc0\xaf"), "\\xc0\\xaf");           // overlong /
    EXPECT_EQ(shown("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
    EXPECT_EQ(shown("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(Text, CutsBetweenCharacters) {
    EXPECT_EQ(shown("abcdef", 4), "abcd");
    EXPECT_EQ(shown("ab\x1b"
                    "cd",
                    4),
              "ab");  // the escape is four wide
    EXPECT_EQ(shown("\xc3\xbc\xc3\xbc\xc3\xbc", 2), "\xc3\xbc\xc3\xbc");
}

TEST(Text, AnEmptyViewAppendsNothing) {
    Buffer out;
    append(out, std::string_view());
    append_visible(out, {});
    append_csv(out, {});
    EXPECT_EQ(out.size(), 0U);
}

TEST(Text, Json) {
    EXPECT_EQ(json("a\"b\\c"), R"("a\"b\\c")");
    EXPECT_EQ(json("\n\t\x01\x7f"), R"("\n\t\u0001\u007f")");
    EXPECT_EQ(json("\xe2\x80\xae"), R"("\u202e")");
    EXPECT_EQ(json("\xff"), R"("\udcff")");
    EXPECT_EQ(json("\xc3\xbc"), "\"\xc3\xbc\"");
}

TEST(Text, Csv) {
    EXPECT_EQ(csv("plain"), "plain");
    EXPECT_EQ(csv("a,b"), "\"a,b\"");
    EXPECT_EQ(csv("a\"b"), "\"a\"\"b\"");
    EXPECT_EQ(csv("a\nb"), "\"a\nb\"");
}

TEST(Text, CountsAgreeWithTheirNouns) {
    EXPECT_EQ(counted(1, "request"), "1 request");
    EXPECT_EQ(counted(0, "request"), "0 requests");
    EXPECT_EQ(counted(2, "access"), "2 accesses");
    EXPECT_EQ(counted(1, "process"), "1 process");
    EXPECT_EQ(counted(~std::uint64_t{0}, "byte"), "18446744073709551615 bytes");
}

TEST(Text, ErrnoNames) {
    EXPECT_EQ(errno_name(5), "EIO");
    EXPECT_EQ(errno_name(4095), "E?");
}

}  // namespace
}  // namespace iolens
