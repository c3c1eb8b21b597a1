// SPDX-License-Identifier: Apache-2.0
#include "base/suggest.h"

#include <gtest/gtest.h>

#include <array>

namespace iolens {
namespace {

constexpr std::array<std::string_view, 5> formats{"table", "csv", "json", "metrics", "metrics-table"};

TEST(Suggest, TheNearestName) {
    EXPECT_EQ(nearest_name("JSON", formats), "json");
    EXPECT_EQ(nearest_name("jsno", formats), "json");
    EXPECT_EQ(nearest_name("jso", formats), "json");
    EXPECT_EQ(nearest_name("jsonl", formats), "json");
    EXPECT_EQ(nearest_name("tabel", formats), "table");
    EXPECT_EQ(nearest_name("metric-table", formats), "metrics-table");
    EXPECT_EQ(nearest_name("metrics_table", formats), "metrics-table");
    EXPECT_EQ(nearest_name("metric", formats), "metrics");
    EXPECT_EQ(nearest_name("cvs", formats), "csv");
}

TEST(Suggest, NothingWhereNoNameIsNear) {
    for (const std::string_view word : {"", "xml", "x", "yaml", "tsv2000", "\xff\xfe"}) {
        EXPECT_EQ(nearest_name(word, formats), "") << word;
    }
    EXPECT_EQ(nearest_name(std::string(1'000'000, 'j'), formats), "");
    EXPECT_EQ(nearest_name("json", {}), "");
    const std::string long_name(1000, 'j');
    const std::array<std::string_view, 2> names{"", long_name};
    EXPECT_EQ(nearest_name("j", names), "");
}

TEST(Suggest, ASentenceAndAList) {
    EXPECT_EQ(unknown_name("format", "JSON", formats), "unknown format 'JSON' (did you mean 'json'?)");
    EXPECT_EQ(unknown_name("format", "x\x1b[m", formats), "unknown format 'x\\x1b[m'");
    EXPECT_EQ(list_names("formats", formats), "the formats are table, csv, json, metrics and metrics-table");
    EXPECT_EQ(list_names("formats", std::span(formats).first(1)), "the formats are table");
}

}  // namespace
}  // namespace iolens
