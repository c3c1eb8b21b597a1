/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a block request is for, and how that was told. Numbers of records: new ones go to the end. */
#ifndef IOLENS_EVENT_ORIGIN_H
#define IOLENS_EVENT_ORIGIN_H

#ifdef __cplusplus
namespace iolens {
#endif

enum iolens_origin {
	IOLENS_ORIGIN_NONE,      /* not asked for, or its bio was not seen */
	IOLENS_ORIGIN_FILE,
	IOLENS_ORIGIN_JOURNAL,   /* of a filesystem: jbd2, the log of xfs */
	IOLENS_ORIGIN_METADATA,  /* other data of a filesystem that is no file's */
	IOLENS_ORIGIN_SWAP,
	IOLENS_ORIGIN_RAW,       /* of a program that has the block device itself open */
	IOLENS_ORIGIN_DISCARD,
	IOLENS_ORIGIN_FLUSH,
	/* not known, because */
	IOLENS_ORIGIN_NO_PAGES,  /* it moves no pages: zeroes that the disk writes, zones, commands */
	IOLENS_ORIGIN_ANONYMOUS, /* its pages are no file's, and who will be told of its end isn't known here */
	IOLENS_ORIGINS
};

enum iolens_origin_how {
	IOLENS_HOW_NONE,
	IOLENS_HOW_PAGE,  /* the page cache's page has the file */
	IOLENS_HOW_DIO,   /* direct I/O by a system call: the kiocb has it */
	IOLENS_HOW_URING, /* … by io_uring */
	IOLENS_HOW_AIO,   /* … by io_submit */
	IOLENS_HOW_FS,    /* the filesystem's own bio has it */
	IOLENS_HOWS
};

#ifdef __cplusplus
}  // namespace iolens
#endif

#endif
