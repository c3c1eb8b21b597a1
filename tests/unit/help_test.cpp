// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "run.h"

namespace iolens {
namespace {

std::size_t columns_of(const std::string& line) {
    return static_cast<std::size_t>(
        std::ranges::count_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

const HelpPage page{.about = "do something to files, for as long as it takes",
                    .usage = {"prog [OPTIONS] FILE", "prog COMMAND"},
                    .sections = {{"Options",
                                  {{"-a, --all", "show every file, and more of each of them … than without it"},
                                   {"    --a-long-name-of-an-option VALUE", "begin on the next line"},
                                   {"-n, --none", ""}}}},
                    .examples = "prog x  do it to x\nprog --all --and-more of-this and-that  do it to many\nprog"};

TEST(Help, IsLaidOutInColumns) {
    EXPECT_EQ(help_text(page, 60),
              "do something to files, for as long as it takes\n"
              "\n"
              "Usage: prog [OPTIONS] FILE\n"
              "       prog COMMAND\n"
              "\n"
              "Options:\n"
              "  -a, --all  show every file, and more of each of them …\n"
              "             than without it\n"
              "      --a-long-name-of-an-option VALUE\n"
              "             begin on the next line\n"
              "  -n, --none\n"
              "\n"
              "Examples:\n"
              "  prog x  do it to x\n"
              "  prog --all --and-more of-this and-that\n"
              "          do it to many\n"
              "  prog\n");
}

TEST(Help, NoLineIsWiderThanTheTerminal) {
    HelpPage long_words = page;
    long_words.about = std::string(100, 'x') + " … " + std::string(100, 'y');
    long_words.usage.push_back("prog " + std::string(200, 'z'));
    long_words.sections[0].entries.push_back({std::string(90, 'n'), std::string(90, 't') + " end"});
    long_words.examples = "prog aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  b";
    for (std::size_t width = 40; width < 300; ++width) {
        for (const HelpPage& tested : {page, long_words}) {
            const std::string text = help_text(tested, width);
            for (const std::string& line : test::split(text, '\n')) {
                EXPECT_LE(columns_of(line), width) << line;
                EXPECT_FALSE(line.ends_with(' ')) << '\'' << line << '\'';
            }
        }
        // nothing is lost
        EXPECT_EQ(std::ranges::count(help_text(long_words, width), 'z'), 200);
        EXPECT_GE(std::ranges::count(help_text(long_words, width), 'x'), 100);
    }
}

}  // namespace
}  // namespace iolens
