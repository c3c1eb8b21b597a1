/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Classes of bi_end_io functions, by what they reveal about the bio. */
#ifndef IOLENS_BIO_END_H
#define IOLENS_BIO_END_H

enum iolens_bio_end {
	IOLENS_BIO_END_NONE,
	IOLENS_BIO_END_BTRFS,    /* has a struct btrfs_bio */
	IOLENS_BIO_END_BTRFS_DIRECT,     /* btrfs itself, until 6.3: bi_private is a struct btrfs_dio_private */
	IOLENS_BIO_END_BTRFS_COMPRESSED, /* likewise: struct compressed_bio */
	IOLENS_BIO_END_BTRFS_QUEUED,     /* likewise, until 5.19: struct btrfs_end_io_wq, which has another end_io */
	IOLENS_BIO_END_BUFFER,   /* bi_private is a buffer head, which has its own b_end_io */
	IOLENS_BIO_END_JOURNAL,
	IOLENS_BIO_END_METADATA,
	IOLENS_BIO_END_SWAP,
	IOLENS_BIO_END_RAW,      /* direct I/O on a block device */
	IOLENS_BIO_END_WAIT,     /* the submitter waits for completion: reveals nothing else */
};

#endif
