// SPDX-License-Identifier: Apache-2.0
#include "probe/symbols.h"

#include <gtest/gtest.h>

#include <array>

#include "run.h"

namespace iolens {
namespace {

KernelSymbols symbols_of(const std::string& text) {
    const test::Scratch scratch;
    test::spit(scratch.path("kallsyms"), text);
    return KernelSymbols(scratch.path("kallsyms"));
}

constexpr std::string_view some =
    "ffffffff81000000 T _text\n"
    "ffffffff81000010 t twice\n"
    "ffffffff81000020 t twice\n"
    "ffffffff81000030 d some_data\n"
    "ffffffffc0000000 t xfs_file_read_iter\t[xfs]\n";

std::vector<KernelSymbols::Function> all_functions(const KernelSymbols& symbols) {
    return symbols.functions([](std::string_view) { return true; });
}

TEST(KernelSymbols, AreFoundByNameAndByAddress) {
    const KernelSymbols symbols = symbols_of(std::string(some));
    EXPECT_EQ(symbols.address("_text"), 0xffffffff81000000U);
    EXPECT_EQ(symbols.address("some_data"), 0xffffffff81000030U);
    EXPECT_EQ(symbols.address("xfs_file_read_iter"), 0xffffffffc0000000U);
    EXPECT_EQ(symbols.address("_tex"), 0U);
    EXPECT_EQ(symbols.address(""), 0U);
    EXPECT_EQ(symbols.name(0xffffffffc0000000U), "xfs_file_read_iter");
    EXPECT_EQ(symbols.name(0xffffffff81000020U), "twice");
    EXPECT_EQ(symbols.name(0xffffffff81000021U), "");
    EXPECT_EQ(symbols.name(0), "");
}

TEST(KernelSymbols, AnAmbiguousNameHasNoAddress) {
    EXPECT_EQ(symbols_of(std::string(some)).address("twice"), 0U);
    // a function that is listed twice counts as one
    EXPECT_EQ(symbols_of("10 t again\n10 t again\n").address("again"), 0x10U);
}

TEST(KernelSymbols, HiddenAddressesAreSkipped) {
    const KernelSymbols symbols = symbols_of("0000000000000000 T _text\n0000000000000000 t start\n");
    EXPECT_EQ(symbols.address("_text"), 0U);
    EXPECT_TRUE(all_functions(symbols).empty());
}

TEST(KernelSymbols, AddressesAreHiddenWhereAllAreZero) {
    const test::Scratch scratch;
    const auto hidden = [&](const std::string& text) {
        test::spit(scratch.path("kallsyms"), text);
        return kernel_addresses_hidden(scratch.path("kallsyms"));
    };
    EXPECT_TRUE(hidden("0000000000000000 A fixed_percpu_data\n0000000000000000 T _text\n"));
    EXPECT_TRUE(hidden(""));
    EXPECT_FALSE(hidden("0000000000000000 A fixed_percpu_data\nffffffff81000000 T _text\n"));
    EXPECT_FALSE(hidden(std::string(some)));
    EXPECT_TRUE(kernel_addresses_hidden(scratch.path("none")));
}

TEST(KernelSymbols, OnlyWhatIsWantedIsKept) {
    const test::Scratch scratch;
    test::spit(scratch.path("kallsyms"), std::string(some));
    const std::array<std::string_view, 2> wanted{"some_data", "twice"};
    const KernelSymbols symbols(scratch.path("kallsyms"), wanted);
    EXPECT_EQ(symbols.address("some_data"), 0xffffffff81000030U);
    EXPECT_EQ(symbols.address("twice"), 0U);
    EXPECT_EQ(symbols.address("_text"), 0U);
}

TEST(KernelSymbols, DamagedLinesAreSkipped) {
    const std::string longest(10'000, 'n');
    const KernelSymbols symbols = symbols_of("\nnonsense\nffff\nffff \nffff T\nffff T \n1ffffffffffffffff T too_far\n" +
                                             ("20 t " + longest) + "\n30 t last");
    EXPECT_EQ(symbols.name(0xffff), "");
    EXPECT_EQ(symbols.address("too_far"), 0U);
    EXPECT_EQ(symbols.address(longest), 0x20U);
    EXPECT_EQ(symbols.address("last"), 0x30U);
    EXPECT_EQ(all_functions(symbols).size(), 2U);
}

TEST(KernelSymbols, AMissingOrEmptyFileHasNoSymbols) {
    const test::Scratch scratch;
    const KernelSymbols symbols(scratch.path("none"));
    EXPECT_EQ(symbols.name(1), "");
    EXPECT_EQ(symbols.address("_text"), 0U);
    EXPECT_TRUE(all_functions(symbols).empty());
    EXPECT_TRUE(all_functions(symbols_of("")).empty());
}

TEST(KernelSymbols, AFunctionEndsWhereTheNextOneBegins) {
    // not sorted by address, and one address has two names
    const KernelSymbols symbols = symbols_of("30 t last\n10 T first\n20 t second\n10 t alias\n");
    for (const KernelSymbols::Function& function : all_functions(symbols)) {
        const u64 end = function.name == "last" ? 0x31 : function.name == "second" ? 0x30 : 0x20;
        EXPECT_EQ(function.end, end) << function.name;
    }
    EXPECT_EQ(all_functions(symbols).size(), 4U);
}

TEST(KernelSymbols, FunctionNamesLackTheCompilerSuffix) {
    const KernelSymbols symbols =
        symbols_of("10 t wanted\n20 t wanted.isra.0\n30 t wanted.part.0.cold\t[xfs]\n40 t unwanted\n50 t wanted_too\n");
    std::vector<u64> starts;
    for (const auto& function : symbols.functions([](std::string_view name) { return name == "wanted"; })) {
        EXPECT_EQ(function.name, "wanted");
        starts.push_back(function.start);
    }
    EXPECT_EQ(starts, (std::vector<u64>{0x10, 0x20, 0x30}));
    EXPECT_TRUE(symbols.functions([](std::string_view) { return false; }).empty());
    // address() takes the full name
    EXPECT_EQ(symbols.address("wanted"), 0x10U);
    EXPECT_EQ(symbols.address("wanted.isra.0"), 0x20U);
}

TEST(HiddenFunctions, OffsetsStayAndAddressesGo) {
    const u64 base = 0xffffffff81000000;
    const HiddenFunctions hidden({{base + 0x200, base + 0x280, "b"}, {base + 0x100, base + 0x180, "a"}});
    const auto functions = hidden.functions();
    ASSERT_EQ(functions.size(), 2U);
    EXPECT_EQ(functions[0].name, "a");
    EXPECT_EQ(functions[1].name, "b");
    EXPECT_EQ(hidden.hide(base + 0x110), functions[0].start + 0x10);
    EXPECT_EQ(hidden.hide(base + 0x180), functions[0].end);  // after a call at its end
    EXPECT_EQ(hidden.hide(base + 0x27f), functions[1].start + 0x7f);
    EXPECT_EQ(hidden.hide(0), 0U);
    for (const u64 other : {base, base + 0x100, base + 0x181, base + 0x281, ~u64{0}}) EXPECT_EQ(hidden.hide(other), 1U);
    for (const auto& function : functions) EXPECT_LT(function.end >> 63, 1U);
    EXPECT_EQ(HiddenFunctions({}).hide(base), 1U);
}

}  // namespace
}  // namespace iolens
