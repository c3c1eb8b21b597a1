// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <system_error>

namespace iolens {
namespace {

constexpr std::array<std::string_view, 4> kind_names{"counter", "gauge", "histogram", "info"};

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool name_character(char c) { return letter(c) || (c >= '0' && c <= '9'); }

/// Letters, digits and underscores, not beginning with a digit. Colons are for recording rules.
bool valid_name(std::string_view name) {
    return !name.empty() && letter(name[0]) && std::ranges::all_of(name, name_character);
}

void append_integer(Buffer& out, u64 value) {
    constexpr std::size_t max = 20;
    char* const begin = extend(out, max);
    const char* const end = std::to_chars(begin, begin + max, value).ptr;
    out.try_resize(out.size() - max + static_cast<std::size_t>(end - begin));
}

/// The shortest text that is read back as the same number.
void append_float(Buffer& out, double value) {
    if (std::isnan(value)) return append(out, "NaN");
    if (std::isinf(value)) return append(out, value < 0 ? "-Inf" : "+Inf");
    constexpr std::size_t max = 32;
    char* const begin = extend(out, max);
    const char* const end = std::to_chars(begin, begin + max, value, std::chars_format::general).ptr;
    out.try_resize(out.size() - max + static_cast<std::size_t>(end - begin));
}

/// A bucket's bound as OpenMetrics wants it, "1.0" for 1. The Prometheus format has the same text, so that the format
/// that a scraper negotiates does not change the series.
std::string bound_text(double bound) {
    Buffer out;
    append_float(out, bound);
    std::string text = fmt::to_string(out);
    if (text.find_first_of(".eI") == std::string::npos) text += ".0";
    return text;
}

void append_help(Buffer& out, std::string_view text, Exposition exposition) {
    for (const char c : text) {
        if (c == '\\' || c == '\n' || (c == '"' && exposition == Exposition::openmetrics)) append(out, '\\');
        append(out, c == '\n' ? 'n' : c);
    }
}

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
    return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

bool same(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

/// Takes what is before the next separator off the text.
std::string_view take(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view piece = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    return piece;
}

/// What an Accept header says of a media type: the quality of the most specific media range that has it.
struct Preference {
    double quality = 0;
    int specificity = -1;

    void offer(int range_specificity, double range_quality) {
        if (range_specificity < specificity) return;
        quality = range_specificity == specificity ? std::max(quality, range_quality) : range_quality;
        specificity = range_specificity;
    }
};

/// An element of an Accept header: "text/plain;version=0.0.4;q=0.3".
struct MediaRange {
    std::string_view type;
    std::string_view version;
    double quality = 1;
};

MediaRange parse_range(std::string_view text) {
    MediaRange range{.type = take(text, ';'), .version = {}, .quality = 1};
    while (!text.empty()) {
        std::string_view value = take(text, ';');
        const std::string_view name = take(value, '=');
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
        if (same(name, "version")) range.version = value;
        if (!same(name, "q")) continue;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), range.quality);
        const bool valid = error == std::errc() && end == value.data() + value.size();
        if (!valid || !(range.quality >= 0 && range.quality <= 1)) range.quality = 0;
    }
    return range;
}

}  // namespace

Exposition negotiate(std::string_view accept) {
    struct Offer {
        std::string_view type, any_subtype, version;
        Preference preference;
    };
    Offer prometheus{.type = "text/plain", .any_subtype = "text/*", .version = "0.0.4", .preference = {}};
    Offer openmetrics{
        .type = "application/openmetrics-text", .any_subtype = "application/*", .version = "1.0.0", .preference = {}};
    while (!accept.empty()) {
        const MediaRange range = parse_range(take(accept, ','));
        for (Offer* offer : {&prometheus, &openmetrics}) {
            const bool version_fits = range.version.empty() || range.version == offer->version;
            if (same(range.type, offer->type) && version_fits) {
                offer->preference.offer(range.version.empty() ? 2 : 3, range.quality);
            } else if (same(range.type, offer->any_subtype)) {
                offer->preference.offer(1, range.quality);
            } else if (range.type == "*/*") {
                offer->preference.offer(0, range.quality);
            }
        }
    }
    const Preference& text = prometheus.preference;
    const Preference& open = openmetrics.preference;
    const bool preferred =
        open.quality > text.quality || (open.quality == text.quality && open.specificity > text.specificity);
    return preferred && open.quality > 0 ? Exposition::openmetrics : Exposition::prometheus;
}

std::string_view content_type(Exposition exposition) {
    return exposition == Exposition::openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                                 : "text/plain; version=0.0.4; charset=utf-8";
}

void MetricsText::expect(bool valid, std::string_view what) const {
    if (!valid) throw std::logic_error(fmt::format("metric {}: {}", name_, what));
}

void MetricsText::family(std::string_view name, MetricKind kind, std::string_view unit, std::string_view help) {
    name_ = name;
    kind_ = kind;
    expect(valid_name(name), "invalid name");
    for (const std::string_view suffix : {"_total", "_info", "_bucket", "_count", "_sum", "_created"}) {
        expect(!name.ends_with(suffix), "the name has a suffix that only a sample may have");
    }
    expect(unit.empty() || (valid_name(unit) && name.ends_with(fmt::format("_{}", unit))), "does not end in its unit");
    expect(unit.empty() || kind != MetricKind::info, "info with a unit");
    expect(names_.emplace(name).second, "written twice");

    const bool openmetrics = exposition_ == Exposition::openmetrics;
    std::string_view suffix;
    std::string_view type = kind_names[static_cast<std::size_t>(kind)];
    if (!openmetrics && kind == MetricKind::counter) suffix = "_total";
    if (!openmetrics && kind == MetricKind::info) {
        suffix = "_info";
        type = "gauge";
    }
    const auto line = [&](std::string_view word) {
        for (const std::string_view piece : {std::string_view("# "), word, std::string_view(" "), name, suffix}) {
            append(out_, piece);
        }
        append(out_, ' ');
    };
    line("HELP");
    append_help(out_, help, exposition_);
    append(out_, '\n');
    line("TYPE");
    append(out_, type);
    append(out_, '\n');
    if (openmetrics && !unit.empty()) {
        line("UNIT");
        append(out_, unit);
        append(out_, '\n');
    }
}

/// Appends name, suffix and labels; `bound` is the label "le" of a bucket.
void MetricsText::append_series(std::string_view suffix, Labels labels, std::string_view bound) {
    append(out_, name_);
    append(out_, suffix);
    char separator = '{';
    const auto append_label = [&](std::string_view name, std::string_view value) {
        append(out_, separator);
        append(out_, name);
        append(out_, "=\"");
        append_label_value(out_, value);
        append(out_, '"');
        separator = ',';
    };
    for (const Label& label : labels) {
        expect(valid_name(label.name) && !label.name.starts_with("__"), "invalid label name");
        expect(kind_ != MetricKind::histogram || label.name != "le", "label 'le' of a histogram");
        append_label(label.name, label.value);
    }
    if (!bound.empty()) append_label("le", bound);
    if (separator == ',') append(out_, '}');
    append(out_, ' ');
}

void MetricsText::sample(Labels labels, u64 value) {
    expect(!names_.empty() && (kind_ == MetricKind::counter || kind_ == MetricKind::gauge), "no counter or gauge");
    append_series(kind_ == MetricKind::counter ? "_total" : "", labels);
    append_integer(out_, value);
    append(out_, '\n');
}

void MetricsText::sample(Labels labels, double value) {
    expect(!names_.empty() && (kind_ == MetricKind::counter || kind_ == MetricKind::gauge), "no counter or gauge");
    append_series(kind_ == MetricKind::counter ? "_total" : "", labels);
    append_float(out_, value);
    append(out_, '\n');
}

void MetricsText::info(Labels labels) {
    expect(!names_.empty() && kind_ == MetricKind::info, "no info");
    append_series("_info", labels);
    append(out_, "1\n");
}

void MetricsText::histogram(Labels labels, std::span<const double> upper_bounds, std::span<const u64> counts,
                            double sum) {
    expect(!names_.empty() && kind_ == MetricKind::histogram, "no histogram");
    expect(counts.size() == upper_bounds.size() + 1, "not one count per bucket");
    expect(std::ranges::adjacent_find(upper_bounds, std::greater_equal{}) == upper_bounds.end() &&
               std::ranges::all_of(upper_bounds, [](double bound) { return std::isfinite(bound); }),
           "bounds that do not ascend");
    u64 count = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        count += counts[i];
        append_series("_bucket", labels, i < upper_bounds.size() ? bound_text(upper_bounds[i]) : "+Inf");
        append_integer(out_, count);
        append(out_, '\n');
    }
    append_series("_sum", labels);
    append_float(out_, sum);
    append(out_, '\n');
    append_series("_count", labels);
    append_integer(out_, count);
    append(out_, '\n');
}

std::string MetricsText::finish() {
    if (exposition_ == Exposition::openmetrics) append(out_, "# EOF\n");
    std::string text = fmt::to_string(out_);
    out_.clear();
    names_.clear();
    return text;
}

}  // namespace iolens
