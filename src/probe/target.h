// SPDX-License-Identifier: Apache-2.0
// Addresses and types of the running kernel that bpf/lib/target.bpf.h needs.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "probe/addresses.h"

struct bpf_map;

namespace iolens {

/// The kernel symbols to look up.
std::vector<std::string_view> target_symbols();

/// The symbols that set_target_addresses() needs, in its order.
inline constexpr std::array<std::string_view, 6> target_functions{"bio_chain_endio",      "crypt_endio",
                                                                  "iomap_dio_bio_end_io", "iomap_dio_simple_pool",
                                                                  "io_complete_rw",       "aio_complete_rw"};

/// Sets the addresses in the read-only data of an object that isn't loaded yet.
template <typename ReadOnlyData>
void set_target_addresses(ReadOnlyData& data, const KernelAddresses& addresses) {
    const std::array places{&data.end_of_chain,       &data.end_of_crypt,   &data.end_of_iomap_dio,
                            &data.pool_of_simple_dio, &data.complete_uring, &data.complete_aio};
    static_assert(places.size() == target_functions.size());
    for (std::size_t i = 0; i < places.size(); ++i) *places[i] = addresses.of(target_functions[i]);
}

/// Fills the map `bio_ends` of a loaded object. Throws Failure.
void fill_bio_ends(const bpf_map* map, const KernelAddresses& addresses);

}  // namespace iolens
