// SPDX-License-Identifier: Apache-2.0
#include "probe/target.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>

#include "base/failure.h"
#include "iolens/bio_end.h"
#include "iolens/event/header.h"

namespace iolens {
namespace {

struct KnownEnd {
    const char* function;
    iolens_bio_end end;
};

/// Covers all supported kernels; each has some of them. A bio that ends in none of these is attributed by its pages.
constexpr std::array known_ends{
    // btrfs: I/O through struct btrfs_bio
    KnownEnd{"btrfs_simple_end_io", IOLENS_BIO_END_BTRFS},
    KnownEnd{"btrfs_orig_write_end_io", IOLENS_BIO_END_BTRFS},
    KnownEnd{"btrfs_clone_write_end_io", IOLENS_BIO_END_BTRFS},
    KnownEnd{"btrfs_raid56_end_io", IOLENS_BIO_END_BTRFS},
    KnownEnd{"btrfs_end_bio", IOLENS_BIO_END_BTRFS},
    KnownEnd{"btrfs_bio_end_io", IOLENS_BIO_END_BTRFS},
    KnownEnd{"btrfs_end_dio_bio", IOLENS_BIO_END_BTRFS_DIRECT},
    KnownEnd{"end_compressed_bio_read", IOLENS_BIO_END_BTRFS_COMPRESSED},
    KnownEnd{"end_compressed_bio_write", IOLENS_BIO_END_BTRFS_COMPRESSED},
    KnownEnd{"end_workqueue_bio", IOLENS_BIO_END_BTRFS_QUEUED},
    KnownEnd{"btrfs_end_super_write", IOLENS_BIO_END_METADATA},
    // ext4 and its journal
    KnownEnd{"end_bio_bh_io_sync", IOLENS_BIO_END_BUFFER},
    KnownEnd{"journal_end_buffer_io_sync", IOLENS_BIO_END_JOURNAL},
    // xfs
    KnownEnd{"xlog_bio_end_io", IOLENS_BIO_END_JOURNAL},
    KnownEnd{"xfs_buf_bio_end_io", IOLENS_BIO_END_METADATA},
    // swap on a block device
    KnownEnd{"end_swap_bio_write", IOLENS_BIO_END_SWAP},
    KnownEnd{"end_swap_bio_read", IOLENS_BIO_END_SWAP},
    KnownEnd{"swap_bio_read_end_io", IOLENS_BIO_END_SWAP},
    // direct I/O on a block device
    KnownEnd{"blkdev_bio_end_io", IOLENS_BIO_END_RAW},
    KnownEnd{"blkdev_bio_end_io_async", IOLENS_BIO_END_RAW},
    KnownEnd{"blkdev_bio_end_io_simple", IOLENS_BIO_END_RAW},
    KnownEnd{"submit_bio_wait_endio", IOLENS_BIO_END_WAIT},
    KnownEnd{"bio_wait_end_io", IOLENS_BIO_END_WAIT},
};

}  // namespace

std::vector<std::string_view> target_symbols() {
    std::vector<std::string_view> items(target_functions.begin(), target_functions.end());
    for (const KnownEnd& known : known_ends) items.emplace_back(known.function);
    return items;
}

void fill_bio_ends(const bpf_map* map, const KernelAddresses& addresses) {
    for (const KnownEnd& known : known_ends) {
        const u64 address = addresses.of(known.function);
        const u32 end = known.end;
        if (address != 0 && ::bpf_map_update_elem(bpf_map__fd(map), &address, &end, BPF_ANY) != 0) {
            throw Failure(Exit::failed, "can't fill a BPF map: " + error_text(errno));
        }
    }
}

}  // namespace iolens
