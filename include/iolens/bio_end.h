/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Functions of the kernel's that a bio ends at, by what they say of it. */
#ifndef IOLENS_BIO_END_H
#define IOLENS_BIO_END_H

enum iolens_bio_end {
	IOLENS_BIO_END_NONE,
	IOLENS_BIO_END_BTRFS,    /* has a struct btrfs_bio */
	IOLENS_BIO_END_BTRFS_DIRECT,     /* of btrfs's own, until 6.3: its owner is a struct btrfs_dio_private */
	IOLENS_BIO_END_BTRFS_COMPRESSED, /* likewise: a struct compressed_bio */
	IOLENS_BIO_END_BTRFS_QUEUED,     /* likewise, until 5.19: a struct btrfs_end_io_wq, which has another end */
	IOLENS_BIO_END_BUFFER,   /* its owner is a buffer head, which has a function of its own */
	IOLENS_BIO_END_JOURNAL,
	IOLENS_BIO_END_METADATA,
	IOLENS_BIO_END_SWAP,
	IOLENS_BIO_END_RAW,      /* direct I/O on a block device */
	IOLENS_BIO_END_WAIT,     /* somebody waits for it: nothing more is said */
};

#endif
