/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which files are watched: the key and the value of the kernel side's map, and what is asked of it about a file. */
#ifndef IOLENS_WATCH_H
#define IOLENS_WATCH_H

#include "iolens/event/file.h"
#include "iolens/symbol_query.h"

enum iolens_watch_flag {
	IOLENS_WATCH_DIRECTORY = 1 << 0, /* each file in this directory is watched */
	IOLENS_WATCH_TREE = 1 << 1,   /* and in those below it */
	IOLENS_WATCH_FILE = 1 << 2,   /* this file is */
	IOLENS_WATCH_CALLS = 1 << 3,  /* accesses are seen as system calls, and not at the filesystem's functions */
};

struct iolens_watch {
	u64 first_sector; /* of the filesystem's partition on its disk, 512-byte sectors */
	u32 disk;         /* the whole disk that the filesystem is on, the kernel's dev_t; 0 = any */
	u32 flags;        /* enum iolens_watch_flag; 0: left out, also where its folder is watched */
};

/* A power of two: whether an inode may be watched is told by the last bits of its number, without a look at the map. */
#define IOLENS_WATCHED_BUCKETS 16384
/* So many folders up a file's own is looked for in a watched tree. */
#define IOLENS_WATCH_DEPTH 48

/* A filesystem's functions (struct file_operations). */
enum iolens_function {
	IOLENS_READ_ITER,
	IOLENS_WRITE_ITER,
	IOLENS_SPLICE_READ,
	IOLENS_FSYNC,
	IOLENS_FUNCTIONS
};

/* What an open file is: the answer to bpf/vfs.bpf.c's iolens_resolve. */
struct iolens_resolved {
	struct iolens_file_id id;
	u64 name_id;     /* see iolens_file_fact */
	u64 functions[IOLENS_FUNCTIONS];                  /* the filesystem's, their addresses; 0 = it has none */
	char names[IOLENS_FUNCTIONS][IOLENS_QUERY_NAME_LEN]; /* and their names; "" = unknown (before 5.13) */
	u32 disk;        /* the filesystem's block device or partition, the kernel's dev_t; 0 = none */
	u32 mode;        /* inode.i_mode */
	u32 magic;       /* super_block.s_magic */
	u32 found;       /* 1: the fd is open */
};

#endif
