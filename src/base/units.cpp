// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace iolens {
namespace {

struct UnitName {
    std::string_view name;
    std::uint64_t size;
};
constexpr std::array<UnitName, 6> time_units{{{"ns", 1},
                                              {"us", 1'000},
                                              {"ms", 1'000'000},
                                              {"s", 1'000'000'000},
                                              {"min", 60'000'000'000},
                                              {"h", 3'600'000'000'000}}};
constexpr std::array<UnitName, 7> size_units{
    {{"B", 1}, {"K", 1 << 10}, {"KiB", 1 << 10}, {"M", 1 << 20}, {"MiB", 1 << 20}, {"G", 1 << 30}, {"GiB", 1 << 30}}};

/// Removes the leading digits from `text` and returns them.
std::string_view take_digits(std::string_view& text) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::string_view digits = text.substr(0, end);
    text.remove_prefix(end);
    return digits;
}

/// n = n * by + more; false if that needs more than 64 bits.
bool grow(std::uint64_t& n, std::uint64_t by, std::uint64_t more) {
    return !__builtin_mul_overflow(n, by, &n) && !__builtin_add_overflow(n, more, &n);
}

bool number_of(std::string_view digits, std::uint64_t& n) {
    return std::ranges::all_of(digits, [&n](char c) { return grow(n, 10, static_cast<std::uint64_t>(c - '0')); });
}

std::optional<std::uint64_t> unit_of(std::string_view name, std::span<const UnitName> units, std::uint64_t bare) {
    if (name.empty()) return bare;
    const auto it = std::ranges::find(units, name, &UnitName::name);
    return it != units.end() ? std::optional(it->size) : std::nullopt;
}

std::string text_in(std::uint64_t n, std::span<const UnitName> units) {
    if (n == 0) return "0";
    const UnitName* largest = &units.front();
    for (const UnitName& unit : units) {
        if (n % unit.size == 0 && unit.size >= largest->size) largest = &unit;
    }
    return fmt::format("{}{}", n / largest->size, largest->name);
}

}  // namespace

std::optional<std::uint64_t> parse_time(std::string_view text, std::uint64_t bare_ns) {
    const std::string_view whole = take_digits(text);
    std::string_view fraction;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        fraction = take_digits(text);
    }
    if (whole.empty() && fraction.empty()) return {};
    const auto unit = unit_of(text, time_units, bare_ns);
    std::uint64_t ns = 0;
    if (!unit || !number_of(whole, ns) || !grow(ns, *unit, 0)) return {};
    std::uint64_t place = *unit;
    for (const char c : fraction) {
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (place % 10 != 0 && digit != 0) return {};
        place /= 10;
        if (__builtin_add_overflow(ns, place * digit, &ns)) return {};
    }
    return ns;
}

std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t bare) {
    const std::string_view digits = take_digits(text);
    const auto unit = unit_of(text, size_units, bare);
    std::uint64_t bytes = 0;
    if (digits.empty() || !unit || !number_of(digits, bytes) || !grow(bytes, *unit, 0)) return {};
    return bytes;
}

std::string time_text(std::uint64_t ns) { return text_in(ns, time_units); }
std::string size_text(std::uint64_t bytes) { return text_in(bytes, size_units); }

}  // namespace iolens
