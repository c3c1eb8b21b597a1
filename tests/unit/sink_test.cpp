// SPDX-License-Identifier: Apache-2.0
#include "sink/sink.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "lens/lens.h"
#include "run.h"
#include "sink/formats.h"

namespace iolens {
namespace {

const std::array columns{
    Column{.name = "time_ns",
           .header = "TIME(s)",
           .unit = Unit::nanoseconds,
           .role = Role::time,
           .width = -11,
           .help = "x"},
    Column{.name = "who", .header = "WHO", .role = Role::name, .width = -6, .cut = 6, .missing = '?', .help = "x"},
    Column{.name = "took_ns",
           .header = "LAT(ms)",
           .unit = Unit::nanoseconds,
           .role = Role::duration,
           .width = 7,
           .help = "x"},
};
const Column error{.name = "error", .header = "ERR", .role = Role::error, .width = -6, .help = "x"};

/// The output of a sink for some rows.
std::string sunk(Format format, SinkOptions options = {}, bool with_error = false) {
    const test::Scratch scratch;
    {
        Output out = Output::file(scratch.path("x"));
        const auto sink = format->make(out, options);
        std::vector<const Column*> chosen;
        for (const Column& c : columns) chosen.push_back(&c);
        sink->begin("thing", chosen, with_error ? &error : nullptr);
        const std::array<std::array<Value, 4>, 3> rows{{
            {Value(u64{5'000'000'000}), Value(std::string_view("dd")), Value(u64{1'234'567}), Value()},
            {Value(u64{6'250'000'999}), Value(std::string_view("a,\"b\n,long")), Value(u64{0}), Value(u64{5})},
            {Value(u64{4'999'999'999}), Value(), Value(), Value()},
        }};
        for (const auto& row : rows) sink->row(Row(row).first(with_error ? 4 : 3));
        Loss loss{.seen = 5, .delivered = 3, .filtered = 1, .causes = {{"ring_full", "event", "ring buffer full", 1}}};
        sink->loss(loss);
        out.flush();
    }
    return test::slurp(scratch.path("x"));
}

TEST(Sink, Table) {
    EXPECT_EQ(sunk(table_format),
              "TIME(s)     WHO    LAT(ms)\n"
              "0.000000    dd       1.234\n"
              "1.250000    a,\"b\\n   0.000\n"
              "0.000000    ?            -\n"
              "# lost 1 event: ring buffer full (seen 5, delivered 3, filtered 1)\n");
}

TEST(Sink, TableMarksAFailureThatNoColumnShows) {
    const std::string text = sunk(table_format, {.header = false, .colour = false}, true);
    EXPECT_EQ(test::split(text, '\n')[0], "0.000000    dd       1.234");
    EXPECT_EQ(test::split(text, '\n')[1], "1.250000    a,\"b\\n   0.000 !EIO");
    const std::string coloured = sunk(table_format, {.header = false, .colour = true}, true);
    EXPECT_EQ(test::split(coloured, '\n')[1], "\x1b[31m1.250000    a,\"b\\n   0.000 !EIO\x1b[0m");
}

TEST(Sink, Csv) {
    EXPECT_EQ(sunk(csv_format),
              "time_ns,who,took_ns\r\n"
              "5000000000,dd,1234567\r\n"
              "6250000999,\"a,\"\"b\n,long\",0\r\n"
              "4999999999,,\r\n"
              "#loss,\"lost 1 event: ring buffer full (seen 5, delivered 3, filtered 1)\",\r\n");
}

TEST(Sink, Json) {
    EXPECT_EQ(sunk(json_format),
              "{\"type\":\"thing\",\"time_ns\":5000000000,\"who\":\"dd\",\"took_ns\":1234567}\n"
              "{\"type\":\"thing\",\"time_ns\":6250000999,\"who\":\"a,\\\"b\\n,long\",\"took_ns\":0}\n"
              "{\"type\":\"thing\",\"time_ns\":4999999999,\"who\":null,\"took_ns\":null}\n"
              "{\"type\":\"loss\",\"seen\":5,\"delivered\":3,\"filtered\":1,\"ring_full\":1}\n");
}

TEST(Formats, HaveNamesOfTheirOwn) {
    std::set<std::string_view> names;
    for (const FormatInfo& format : all_formats) {
        EXPECT_TRUE(names.insert(format.name).second) << format.name;
        EXPECT_NE(format.make, nullptr) << format.name;
        std::set<std::string_view> columns_needed;
        for (const NeededColumn& needed : format.needs) {
            EXPECT_TRUE(columns_needed.insert(needed.name).second) << format.name << ": " << needed.name;
        }
    }
}

/// Each format belongs to a lens, and each lens has the general formats.
TEST(Formats, AreOfALens) {
    std::set<Format> offered;
    for (const auto& lens : make_lenses()) {
        const std::vector<Format> formats = formats_of(lens->info());
        for (const Format plain : plain_formats) EXPECT_EQ(std::ranges::count(formats, plain), 1) << lens->info().name;
        EXPECT_EQ(std::ranges::count(formats, lens->info().default_format), 1) << lens->info().name;
        for (const Format format : formats) {
            EXPECT_EQ(fixed_columns(lens->info(), format).size(), format->needs.size()) << format->name;
        }
        offered.insert(formats.begin(), formats.end());
    }
    EXPECT_EQ(offered.size(), all_formats.size());
}

constexpr std::array needs{NeededColumn{"took_ns", Value::Kind::number}, NeededColumn{"who", Value::Kind::text}};
constexpr std::array needed_from{
    Column{.name = "who", .header = "WHO", .kind = Value::Kind::text, .help = "x"},
    Column{.name = "other", .header = "OTHER", .help = "x"},
    Column{.name = "took_ns", .header = "LAT(ms)", .kind = Value::Kind::number, .help = "x"},
};

TEST(NeededColumns, AreFoundByNameAndTakenByName) {
    static constexpr auto found = columns_for(needs, needed_from);
    static_assert(found[0] == &needed_from[2] && found[1] == &needed_from[0]);
    const std::array values{Value::signed_number(-3), Value(std::string_view("dd"))};
    const NeededRow<needs> row{Row(values)};
    EXPECT_EQ(row.text("who"), "dd");
    EXPECT_EQ(row.signed_number("took_ns"), -3);
    EXPECT_EQ(row.number("took_ns"), 3U);
    const std::array<Value, 2> unknown{};
    const NeededRow<needs> empty{Row(unknown)};
    EXPECT_EQ(empty.text("who"), "");
    EXPECT_EQ(empty.number("took_ns"), 0U);
}

}  // namespace
}  // namespace iolens
