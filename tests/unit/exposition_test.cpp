// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <limits>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "run.h"

namespace iolens {
namespace {

constexpr std::array both{Exposition::prometheus, Exposition::openmetrics};

/// A family of each kind.
std::string every_kind(Exposition exposition) {
    MetricsText text(exposition);
    text.family("iolens_build", MetricKind::info, "", "Version of \"iolens\".");
    text.info({{"version", "0.1.0"}});
    text.family("iolens_block_requests", MetricKind::counter, "", "Completed requests.\nAll \\ of them.");
    text.sample({{"disk", "sda"}, {"op", "read"}}, u64{18'446'744'073'709'551'615U});
    text.sample({{"disk", "a\"b\\c\nd"}, {"op", "write"}}, u64{0});
    text.family("iolens_block_in_flight", MetricKind::gauge, "", "Requests in flight.");
    text.sample({}, u64{3});
    text.family("iolens_block_wait_seconds", MetricKind::gauge, "seconds", "Average wait.");
    text.sample({{"disk", "sda"}}, 0.1);
    text.family("iolens_block_device_time_seconds", MetricKind::histogram, "seconds", "Device time.");
    const std::array bounds{1e-05, 0.0001, 0.5, 1.0};
    const std::array<u64, 5> counts{1, 0, 2, 0, 4};
    text.histogram({{"disk", "sda"}}, bounds, counts, 12.25);
    text.histogram({}, std::span(bounds).first(1), std::span(counts).first(2), 0);
    return text.finish();
}

TEST(Exposition, PrometheusText) {
    EXPECT_EQ(every_kind(Exposition::prometheus), R"(# HELP iolens_build_info Version of "iolens".
# TYPE iolens_build_info gauge
iolens_build_info{version="0.1.0"} 1
# HELP iolens_block_requests_total Completed requests.\nAll \\ of them.
# TYPE iolens_block_requests_total counter
iolens_block_requests_total{disk="sda",op="read"} 18446744073709551615
iolens_block_requests_total{disk="a\"b\\c\nd",op="write"} 0
# HELP iolens_block_in_flight Requests in flight.
# TYPE iolens_block_in_flight gauge
iolens_block_in_flight 3
# HELP iolens_block_wait_seconds Average wait.
# TYPE iolens_block_wait_seconds gauge
iolens_block_wait_seconds{disk="sda"} 0.1
# HELP iolens_block_device_time_seconds Device time.
# TYPE iolens_block_device_time_seconds histogram
iolens_block_device_time_seconds_bucket{disk="sda",le="1e-05"} 1
iolens_block_device_time_seconds_bucket{disk="sda",le="0.0001"} 1
iolens_block_device_time_seconds_bucket{disk="sda",le="0.5"} 3
iolens_block_device_time_seconds_bucket{disk="sda",le="1.0"} 3
iolens_block_device_time_seconds_bucket{disk="sda",le="+Inf"} 7
iolens_block_device_time_seconds_sum{disk="sda"} 12.25
iolens_block_device_time_seconds_count{disk="sda"} 7
iolens_block_device_time_seconds_bucket{le="1e-05"} 1
iolens_block_device_time_seconds_bucket{le="+Inf"} 1
iolens_block_device_time_seconds_sum 0
iolens_block_device_time_seconds_count 1
)");
}

TEST(Exposition, OpenMetrics) {
    EXPECT_EQ(every_kind(Exposition::openmetrics), R"(# HELP iolens_build Version of \"iolens\".
# TYPE iolens_build info
iolens_build_info{version="0.1.0"} 1
# HELP iolens_block_requests Completed requests.\nAll \\ of them.
# TYPE iolens_block_requests counter
iolens_block_requests_total{disk="sda",op="read"} 18446744073709551615
iolens_block_requests_total{disk="a\"b\\c\nd",op="write"} 0
# HELP iolens_block_in_flight Requests in flight.
# TYPE iolens_block_in_flight gauge
iolens_block_in_flight 3
# HELP iolens_block_wait_seconds Average wait.
# TYPE iolens_block_wait_seconds gauge
# UNIT iolens_block_wait_seconds seconds
iolens_block_wait_seconds{disk="sda"} 0.1
# HELP iolens_block_device_time_seconds Device time.
# TYPE iolens_block_device_time_seconds histogram
# UNIT iolens_block_device_time_seconds seconds
iolens_block_device_time_seconds_bucket{disk="sda",le="1e-05"} 1
iolens_block_device_time_seconds_bucket{disk="sda",le="0.0001"} 1
iolens_block_device_time_seconds_bucket{disk="sda",le="0.5"} 3
iolens_block_device_time_seconds_bucket{disk="sda",le="1.0"} 3
iolens_block_device_time_seconds_bucket{disk="sda",le="+Inf"} 7
iolens_block_device_time_seconds_sum{disk="sda"} 12.25
iolens_block_device_time_seconds_count{disk="sda"} 7
iolens_block_device_time_seconds_bucket{le="1e-05"} 1
iolens_block_device_time_seconds_bucket{le="+Inf"} 1
iolens_block_device_time_seconds_sum 0
iolens_block_device_time_seconds_count 1
# EOF
)");
}

/// The text behind the name of a metric without labels.
std::string number(double value) {
    MetricsText text(Exposition::prometheus);
    text.family("x", MetricKind::gauge, "", "x");
    text.sample({}, value);
    const std::string all = text.finish();
    const std::size_t at = all.find("\nx ") + 3;
    return all.substr(at, all.find('\n', at) - at);
}

TEST(Exposition, NumbersAreReadBackTheSame) {
    using limits = std::numeric_limits<double>;
    for (const double value : {0.0, -0.0, 0.1, 1.0 / 3, 1e-300, 123456789.125, 1e22, limits::min(), limits::max(),
                               limits::denorm_min(), -limits::max()}) {
        EXPECT_EQ(std::strtod(number(value).c_str(), nullptr), value) << number(value);
    }
    EXPECT_EQ(number(limits::infinity()), "+Inf");
    EXPECT_EQ(number(-limits::infinity()), "-Inf");
    EXPECT_EQ(number(limits::quiet_NaN()), "NaN");
    EXPECT_EQ(number(0.1), "0.1");
}

/// OpenMetrics 1.0.0, "Considerations: Canonical Numbers".
TEST(Exposition, BoundsAreCanonicalNumbers) {
    MetricsText text(Exposition::openmetrics);
    text.family("x", MetricKind::histogram, "", "x");
    const std::array bounds{-1.0, 0.0, 1e-10, 1e-05, 0.0001, 0.001, 0.009, 0.99, 1.0, 10.0, 100000.0, 1e6, 1e10};
    text.histogram({}, bounds, std::array<u64, 14>{}, 0);
    const std::string all = text.finish();
    std::size_t at = 0;
    for (const std::string bound : {"-1.0", "0.0", "1e-10", "1e-05", "0.0001", "0.001", "0.009", "0.99", "1.0", "10.0",
                                    "100000.0", "1e+06", "1e+10", "+Inf"}) {
        at = all.find("le=\"" + bound + "\"} 0\n", at);
        EXPECT_NE(at, std::string::npos) << bound << " in " << all;
    }
}

/// The value of a label as a scraper reads it.
std::string scraped_label(Exposition exposition, std::string_view value) {
    MetricsText text(exposition);
    text.family("x", MetricKind::gauge, "", "x");
    text.sample({{"l", value}}, u64{7});
    const std::string all = text.finish();
    const std::string line = all.substr(all.find("\nx{") + 1);
    EXPECT_TRUE(line.starts_with("x{l=\""));
    std::string read;
    for (std::size_t i = 5; i < line.size(); ++i) {
        if (line[i] == '"') {
            EXPECT_TRUE(line.substr(i).starts_with("\"} 7\n")) << line;
            return read;
        }
        EXPECT_NE(line[i], '\n');
        if (line[i] != '\\') {
            read += line[i];
            continue;
        }
        ++i;
        EXPECT_TRUE(line[i] == 'n' || line[i] == '\\' || line[i] == '"') << line;
        read += line[i] == 'n' ? '\n' : line[i];
    }
    ADD_FAILURE() << "no end of the label in " << line;
    return read;
}

TEST(Exposition, EveryByteInALabel) {
    std::set<std::string> different;
    for (const Exposition exposition : both) {
        different.clear();
        for (int byte = 0; byte < 256; ++byte) {
            const std::string value = "a" + std::string(1, static_cast<char>(byte)) + "z";
            const bool itself = (byte >= 0x20 && byte < 0x7f) || byte == '\n' || byte == '\t';
            const std::string want = itself ? value : fmt::format("a\xef\xbf\xbd{:02x}z", byte);
            EXPECT_EQ(scraped_label(exposition, value), want) << byte;
            different.insert(want);
        }
        EXPECT_EQ(different.size(), 256U);
    }
}

TEST(Exposition, LabelsAreValidUtf8) {
    const auto label = [](std::string_view value) { return scraped_label(Exposition::prometheus, value); };
    constexpr const char* mark = "\xef\xbf\xbd";
    const auto replaced = [&](const std::string& digits) {
        std::string text;
        for (std::size_t i = 0; i < digits.size(); i += 2) text += mark + digits.substr(i, 2);
        return text;
    };
    EXPECT_EQ(label("n\xc3\xbc\xe2\x82\xac \xf0\x9f\x98\x80"), "n\xc3\xbc\xe2\x82\xac \xf0\x9f\x98\x80");
    EXPECT_EQ(label("\xc3"), replaced("c3"));                    // cut off
    EXPECT_EQ(label("\xc0\xaf"), replaced("c0af"));              // overlong /
    EXPECT_EQ(label("\xe0\x80\xaf"), replaced("e080af"));        // likewise
    EXPECT_EQ(label("\xed\xa0\x80"), replaced("eda080"));        // a surrogate
    EXPECT_EQ(label("\xf4\x90\x80\x80"), replaced("f4908080"));  // above U+10FFFF
    EXPECT_EQ(label("\xe2\x80\xae"), replaced("e280ae"));        // right-to-left override
    EXPECT_EQ(label("\xc2\x9b"), replaced("c29b"));              // a C1 control character
    EXPECT_EQ(label("\xff"), replaced("ff"));
    // a file that is named like the replacement of another name
    EXPECT_EQ(label("\xef\xbf\xbd"
                    "ff"),
              replaced("efbfbd") + "ff");
}

TEST(Exposition, ProgramErrorsThrow) {
    const std::array<double, 1> bounds{1};
    const std::array<u64, 2> counts{};
    const std::vector<std::function<void(MetricsText&)>> wrong{
        [](MetricsText& t) { t.sample({}, u64{1}); },
        [](MetricsText& t) { t.family("1x", MetricKind::gauge, "", ""); },
        [](MetricsText& t) { t.family("x_total", MetricKind::counter, "", ""); },
        [](MetricsText& t) { t.family("x", MetricKind::gauge, "seconds", ""); },
        [](MetricsText& t) { t.family("x_bytes", MetricKind::info, "bytes", ""); },
        [](MetricsText& t) {
            t.family("x", MetricKind::gauge, "", "");
            t.family("x", MetricKind::gauge, "", "");
        },
        [](MetricsText& t) {
            t.family("x", MetricKind::gauge, "", "");
            t.sample({{"a-b", ""}}, u64{1});
        },
        [](MetricsText& t) {
            t.family("x", MetricKind::gauge, "", "");
            t.info({});
        },
        [](MetricsText& t) {
            t.family("x", MetricKind::info, "", "");
            t.sample({}, 1.0);
        },
        [&](MetricsText& t) {
            t.family("x", MetricKind::histogram, "", "");
            t.histogram({{"le", "1"}}, bounds, counts, 0);
        },
        [&](MetricsText& t) {
            t.family("x", MetricKind::histogram, "", "");
            t.histogram({}, bounds, std::span(counts).first(1), 0);
        },
        [&](MetricsText& t) {
            t.family("x", MetricKind::histogram, "", "");
            t.histogram({}, std::array<double, 2>{1, 1}, std::array<u64, 3>{}, 0);
        },
    };
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        MetricsText text(Exposition::openmetrics);
        EXPECT_THROW(wrong[i](text), std::logic_error) << i;
    }
}

TEST(Exposition, FinishStartsAnew) {
    MetricsText text(Exposition::openmetrics);
    for (int i = 0; i < 2; ++i) {
        text.family("x", MetricKind::gauge, "", "x");
        text.sample({}, u64{1});
        EXPECT_EQ(text.finish(), "# HELP x x\n# TYPE x gauge\nx 1\n# EOF\n");
    }
}

TEST(Exposition, Negotiation) {
    using enum Exposition;
    const std::vector<std::pair<const char*, Exposition>> cases{
        {"", prometheus},
        {"*/*", prometheus},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", prometheus},
        {"image/png", prometheus},
        // Prometheus 2.4x
        {"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
         "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         openmetrics},
        // Prometheus 3, with and without a preference for the text format
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
         "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         openmetrics},
        {"text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2", prometheus},
        // VictoriaMetrics
        {"text/plain;version=0.0.4;q=1,*/*;q=0.1", prometheus},
        {"application/openmetrics-text", openmetrics},
        {"application/openmetrics-text, */*", openmetrics},
        {"*/*, application/openmetrics-text", openmetrics},
        {"application/openmetrics-text, text/plain", prometheus},
        {"Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.9 , text/plain ; q=0.8", openmetrics},
        {"application/openmetrics-text;version=0.0.1", prometheus},
        {"application/openmetrics-text;version=2.0.0", prometheus},
        {"application/openmetrics-text;q=0", prometheus},
        {"application/openmetrics-text;q=0,text/plain;q=0", prometheus},
        {"application/openmetrics-text;q=nan", prometheus},
        {"application/openmetrics-text;q=2", prometheus},
        {"application/openmetrics-text;q=-1", prometheus},
        {"application/openmetrics-text;q=", prometheus},
        {"application/openmetrics-text;q=0.5,*/*;q=0.9", prometheus},
        {"application/*", openmetrics},
        {"application/*;q=0.9,application/openmetrics-text;q=0.1,text/*;q=0.5", prometheus},
        {",,;;,=;q=,", prometheus},
    };
    for (const auto& [accept, want] : cases) EXPECT_EQ(negotiate(accept), want) << accept;
}

TEST(Exposition, PromtoolAcceptsTheText) {
    if (!test::have("promtool")) GTEST_SKIP() << "no promtool";
    const test::Scratch scratch;
    test::spit(scratch.path("metrics"), every_kind(Exposition::prometheus));
    const test::Result good = test::shell("promtool check metrics <" + scratch.path("metrics"));
    EXPECT_EQ(good.status, 0) << good.out << good.err;
    EXPECT_EQ(good.out + good.err, "");
    // it does look at the text
    test::spit(scratch.path("metrics"), "x{l=\"\xff\"} 1\n");
    EXPECT_NE(test::shell("promtool check metrics <" + scratch.path("metrics")).status, 0);
}

}  // namespace
}  // namespace iolens
