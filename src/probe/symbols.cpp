// SPDX-License-Identifier: Apache-2.0
#include "probe/symbols.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace iolens {

KernelSymbols::KernelSymbols(const std::string& path) {
    const std::ifstream file(path, std::ios::binary);
    std::ostringstream whole;
    whole << file.rdbuf();
    text_ = whole.str();
    // "ffffffff81000000 T name", and "\t[module]" behind it
    const std::string_view text = text_;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        at = end + 1;
        Symbol symbol;
        const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), symbol.address, 16);
        const auto digits = static_cast<std::size_t>(rest - line.data());
        if (error != std::errc() || symbol.address == 0 || line.size() < digits + 4) continue;
        const std::string_view name = line.substr(digits + 3);
        symbol.name = name.substr(0, name.find('\t'));
        all_.push_back(symbol);
    }
}

u64 KernelSymbols::address(std::string_view name) const {
    u64 found = 0;
    for (const Symbol& symbol : all_) {
        if (symbol.name != name) continue;
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
        const std::string_view name = symbol.name.substr(0, symbol.name.find('.'));
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
    const auto at = std::ranges::find(all_, address, &Symbol::address);
    return at == all_.end() ? std::string_view() : at->name;
}

}  // namespace iolens
