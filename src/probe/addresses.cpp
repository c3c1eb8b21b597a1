// SPDX-License-Identifier: Apache-2.0
#include "probe/addresses.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <memory>

#include "probe/bpf.h"
#include "probe/kernel_btf.h"
#include "probe/symbols.h"
// made by bpftool from bpf/symbols.bpf.c
#include "iolens/symbol_query.h"
#include "symbols.skel.h"

namespace iolens {
namespace {

using Addresses = std::map<std::string, u64, std::less<>>;

/// Returns false if the kernel has no sorted list of symbols, or rejects the program.
bool query(std::span<const std::string_view> names, Addresses& addresses) {
    if (names.size() > IOLENS_SYMBOL_QUERIES || !KernelNames().has("kallsyms_lookup_names")) return false;
    const std::unique_ptr<symbols_bpf, decltype(&symbols_bpf__destroy)> object(
        opened(symbols_bpf__open_opts(open_options())), symbols_bpf__destroy);
    if (symbols_bpf__load(object.get()) != 0) return false;
    const std::span symbols(object->bss->symbols);
    for (std::size_t i = 0; i < names.size(); ++i) names[i].copy(symbols[i].name, IOLENS_QUERY_NAME_LEN - 1);
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    if (::bpf_prog_test_run_opts(bpf_program__fd(object->progs.iolens_find_symbols), &run) != 0) return false;
    for (std::size_t i = 0; i < names.size(); ++i) addresses.emplace(names[i], symbols[i].address);
    return true;
}

}  // namespace

KernelAddresses::KernelAddresses(std::span<const std::string_view> names) {
    if (query(names, addresses_)) return;
    const KernelSymbols symbols("/proc/kallsyms", names);
    for (const std::string_view name : names) addresses_.emplace(name, symbols.address(name));
}

u64 KernelAddresses::of(std::string_view name) const {
    const auto it = addresses_.find(name);
    return it == addresses_.end() ? 0 : it->second;
}

bool KernelAddresses::hidden() const {
    return std::ranges::all_of(addresses_, [](const auto& item) { return item.second == 0; });
}

}  // namespace iolens
