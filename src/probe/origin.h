// SPDX-License-Identifier: Apache-2.0
// What bpf/lib/origin.bpf.h has to know of the running kernel.
#pragma once

#include "probe/symbols.h"

struct bpf_map;

namespace iolens {

/// Sets the addresses in the read-only data of an object that isn't loaded yet.
template <typename ReadOnlyData>
void set_origin_addresses(ReadOnlyData& data, const KernelSymbols& symbols) {
    data.end_of_chain = symbols.address("bio_chain_endio");
    data.end_of_crypt = symbols.address("crypt_endio");
    data.end_of_iomap_dio = symbols.address("iomap_dio_bio_end_io");
    data.pool_of_simple_dio = symbols.address("iomap_dio_simple_pool");
    data.complete_uring = symbols.address("io_complete_rw");
    data.complete_aio = symbols.address("aio_complete_rw");
}

/// Fills the map `bio_ends` of a loaded object. Throws Failure.
void tell_bio_ends(const bpf_map* map, const KernelSymbols& symbols);

}  // namespace iolens
