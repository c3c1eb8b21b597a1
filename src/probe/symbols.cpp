// SPDX-License-Identifier: Apache-2.0
#include "probe/symbols.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <unordered_set>

namespace iolens {

KernelSymbols::KernelSymbols(const std::string& path, std::span<const std::string_view> wanted) {
    const std::unordered_set<std::string_view> chosen(wanted.begin(), wanted.end());
    if (chosen.empty()) {  // pages that aren't written to cost nothing
        all_.reserve(std::size_t{1} << 18);
        names_.reserve(std::size_t{1} << 23);
    }
    std::ifstream file(path, std::ios::binary);
    // "ffffffff81000000 T name", followed by "\t[module]" for modules
    for (std::string line; std::getline(file, line);) {
        Symbol symbol;
        const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), symbol.address, 16);
        const auto digits = static_cast<std::size_t>(rest - line.data());
        if (error != std::errc() || symbol.address == 0 || line.size() < digits + 4) continue;
        std::string_view name = std::string_view(line).substr(digits + 3);
        name = name.substr(0, name.find('\t'));
        if (!chosen.empty() && !chosen.contains(name)) continue;
        symbol.at = static_cast<u32>(names_.size());
        symbol.length = static_cast<u32>(name.size());
        names_ += name;
        all_.push_back(symbol);
    }
}

std::string_view KernelSymbols::name_of(const Symbol& symbol) const {
    return std::string_view(names_).substr(symbol.at, symbol.length);
}

u64 KernelSymbols::address(std::string_view name) const {
    u64 found = 0;
    for (const Symbol& symbol : all_) {
        if (name_of(symbol) != name) continue;
        if (found != 0 && found != symbol.address) return 0;
        found = symbol.address;
    }
    return found;
}

std::vector<KernelSymbols::Function> KernelSymbols::functions(
    const std::function<bool(std::string_view)>& wanted) const {
    std::vector<Function> found;
    std::vector<u64> addresses;
    addresses.reserve(all_.size());
    for (const Symbol& symbol : all_) {
        addresses.push_back(symbol.address);
        const std::string_view whole = name_of(symbol);
        const std::string_view name = whole.substr(0, whole.find('.'));
        if (wanted(name)) found.push_back({symbol.address, 0, name});
    }
    std::ranges::sort(addresses);
    for (Function& function : found) {
        const auto next = std::ranges::upper_bound(addresses, function.start);
        function.end = next == addresses.end() ? function.start + 1 : *next;
    }
    return found;
}

std::string_view KernelSymbols::name(u64 address) const {
    const auto it = std::ranges::find(all_, address, &Symbol::address);
    return it == all_.end() ? std::string_view() : name_of(*it);
}

namespace {

/// Larger than any function.
constexpr u64 hidden_step = u64{1} << 32;

u64 hidden_start(std::size_t index) { return (index + 1) * hidden_step; }

}  // namespace

HiddenFunctions::HiddenFunctions(std::vector<KernelSymbols::Function> functions) : functions_(std::move(functions)) {
    std::ranges::sort(functions_, {}, [](const auto& item) { return std::tie(item.start, item.end, item.name); });
}

std::vector<KernelSymbols::Function> HiddenFunctions::functions() const {
    std::vector<KernelSymbols::Function> items = functions_;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const u64 size = std::min(items[i].end - items[i].start, hidden_step - 1);
        items[i].start = hidden_start(i);
        items[i].end = items[i].start + size;
    }
    return items;
}

u64 HiddenFunctions::hide(u64 address) const {
    if (address == 0) return 0;
    // a return address follows the call: it may already be the next function's first byte
    const auto next = std::ranges::lower_bound(functions_, address, {}, &KernelSymbols::Function::start);
    if (next == functions_.begin()) return 1;
    const KernelSymbols::Function& function = *std::prev(next);
    const u64 offset = address - function.start;
    if (address > function.end || offset >= hidden_step) return 1;
    return hidden_start(static_cast<std::size_t>(std::prev(next) - functions_.begin())) + offset;
}

bool kernel_addresses_hidden(const std::string& path) {
    std::ifstream file(path);
    // before 6.15 the first ones are per-CPU offsets, which start at 0
    for (std::string line; std::getline(file, line);) {
        if (line.find_first_not_of('0') < line.find(' ')) return false;
    }
    return true;
}

}  // namespace iolens
