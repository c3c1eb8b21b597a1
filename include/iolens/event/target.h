/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a block request is for, and how that was told. Numbers of records: new ones go to the end. */
#ifndef IOLENS_EVENT_TARGET_H
#define IOLENS_EVENT_TARGET_H

enum iolens_target_kind {
	IOLENS_TARGET_NONE,      /* not asked for, or its bio was not seen */
	IOLENS_TARGET_FILE,
	IOLENS_TARGET_JOURNAL,   /* of a filesystem: jbd2, the log of xfs */
	IOLENS_TARGET_METADATA,  /* other data of a filesystem that is no file's */
	IOLENS_TARGET_SWAP,
	IOLENS_TARGET_RAW,       /* of a program that has the block device itself open */
	IOLENS_TARGET_DISCARD,
	IOLENS_TARGET_FLUSH,
	/* not known, because */
	IOLENS_TARGET_NO_PAGES,  /* it moves no pages: zeroes that the disk writes, zones, commands */
	IOLENS_TARGET_ANONYMOUS, /* its pages are no file's, and who will be told of its end isn't known here */
	IOLENS_TARGET_KINDS
};

enum iolens_target_source {
	IOLENS_TARGET_SOURCE_NONE,
	IOLENS_TARGET_SOURCE_PAGE,  /* the page cache's page has the file */
	IOLENS_TARGET_SOURCE_DIO,   /* direct I/O by a system call: the kiocb has it */
	IOLENS_TARGET_SOURCE_URING, /* … by io_uring */
	IOLENS_TARGET_SOURCE_AIO,   /* … by io_submit */
	IOLENS_TARGET_SOURCE_FS,    /* the filesystem's own bio has it */
	IOLENS_TARGET_SOURCES
};

#endif
