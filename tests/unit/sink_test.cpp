// SPDX-License-Identifier: Apache-2.0
#include "sink/sink.h"

#include <gtest/gtest.h>

#include <array>

#include "run.h"

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

/// What a sink makes of some rows.
std::string sunk(Format format, SinkOptions options = {}, bool with_error = false) {
    const test::Scratch scratch;
    {
        Output out = Output::file(scratch.path("x"));
        const auto sink = make_sink(format, out, options);
        std::vector<const Column*> chosen;
        for (const Column& c : columns) chosen.push_back(&c);
        sink->begin("thing", chosen, with_error ? &error : nullptr);
        const std::array<std::array<Value, 4>, 3> rows{{
            {Value(u64{5'000'000'000}), Value(std::string_view("dd")), Value(u64{1'234'567}), Value()},
            {Value(u64{6'250'000'999}), Value(std::string_view("a,\"b\n,long")), Value(u64{0}), Value(u64{5})},
            {Value(u64{4'999'999'999}), Value(), Value(), Value()},
        }};
        for (const auto& row : rows) sink->row(Row(row).first(with_error ? 4 : 3));
        Loss loss{.seen = 5, .delivered = 3, .filtered = 1, .causes = {{"ring_full", "events", 1}}};
        sink->loss(loss);
        out.flush();
    }
    return test::slurp(scratch.path("x"));
}

TEST(Sink, Table) {
    EXPECT_EQ(sunk(Format::table),
              "TIME(s)     WHO    LAT(ms)\n"
              "0.000000    dd       1.234\n"
              "1.250000    a,\"b\\n   0.000\n"
              "0.000000    ?            -\n"
              "# lost: 1 events (seen 5, delivered 3, filtered 1)\n");
}

TEST(Sink, TableMarksAFailureThatNoColumnShows) {
    const std::string text = sunk(Format::table, {.header = false, .colour = false}, true);
    EXPECT_EQ(test::split(text, '\n')[0], "0.000000    dd       1.234");
    EXPECT_EQ(test::split(text, '\n')[1], "1.250000    a,\"b\\n   0.000 !EIO");
    const std::string coloured = sunk(Format::table, {.header = false, .colour = true}, true);
    EXPECT_EQ(test::split(coloured, '\n')[1], "\x1b[31m1.250000    a,\"b\\n   0.000 !EIO\x1b[0m");
}

TEST(Sink, Csv) {
    EXPECT_EQ(sunk(Format::csv),
              "time_ns,who,took_ns\r\n"
              "5000000000,dd,1234567\r\n"
              "6250000999,\"a,\"\"b\n,long\",0\r\n"
              "4999999999,,\r\n"
              "#loss,\"lost: 1 events (seen 5, delivered 3, filtered 1)\",\r\n");
}

TEST(Sink, Json) {
    EXPECT_EQ(sunk(Format::json),
              "{\"type\":\"thing\",\"time_ns\":5000000000,\"who\":\"dd\",\"took_ns\":1234567}\n"
              "{\"type\":\"thing\",\"time_ns\":6250000999,\"who\":\"a,\\\"b\\n,long\",\"took_ns\":0}\n"
              "{\"type\":\"thing\",\"time_ns\":4999999999,\"who\":null,\"took_ns\":null}\n"
              "{\"type\":\"loss\",\"seen\":5,\"delivered\":3,\"filtered\":1,\"ring_full\":1}\n");
}

}  // namespace
}  // namespace iolens
