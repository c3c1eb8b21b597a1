/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Target of a block request, and how it was determined. These numbers are recorded: append new ones at the end. */
#ifndef IOLENS_EVENT_TARGET_H
#define IOLENS_EVENT_TARGET_H

enum iolens_target_kind {
	IOLENS_TARGET_NONE,      /* not requested, or bio not seen */
	IOLENS_TARGET_FILE,
	IOLENS_TARGET_JOURNAL,   /* of a filesystem: jbd2, the log of xfs */
	IOLENS_TARGET_METADATA,  /* other filesystem data that belongs to no file */
	IOLENS_TARGET_SWAP,
	IOLENS_TARGET_RAW,       /* of a program that opened the block device itself */
	IOLENS_TARGET_DISCARD,
	IOLENS_TARGET_FLUSH,
	/* unknown, because */
	IOLENS_TARGET_NO_PAGES,  /* it transfers no pages: write zeroes, zone commands, passthrough */
	IOLENS_TARGET_ANONYMOUS, /* its pages belong to no file, and its bi_end_io is not known */
	IOLENS_TARGET_KINDS
};

enum iolens_target_source {
	IOLENS_TARGET_SOURCE_NONE,
	IOLENS_TARGET_SOURCE_PAGE,  /* from the page cache page */
	IOLENS_TARGET_SOURCE_DIO,   /* direct I/O by a system call: from the kiocb */
	IOLENS_TARGET_SOURCE_URING, /* … by io_uring */
	IOLENS_TARGET_SOURCE_AIO,   /* … by io_submit */
	IOLENS_TARGET_SOURCE_FS,    /* from the filesystem's own bio */
	IOLENS_TARGET_SOURCES
};

#endif
