/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watched files: key and value of the BPF map, and the result of resolving a file in the kernel. */
#ifndef IOLENS_WATCH_H
#define IOLENS_WATCH_H

#include "iolens/event/file.h"
#include "iolens/symbol_query.h"

enum iolens_watch_flag {
	IOLENS_WATCH_DIRECTORY = 1 << 0, /* all files in this directory are watched */
	IOLENS_WATCH_TREE = 1 << 1,   /* and in its subdirectories */
	IOLENS_WATCH_FILE = 1 << 2,   /* this file is watched */
	IOLENS_WATCH_CALLS = 1 << 3,  /* accesses are traced as system calls, not at the filesystem's functions */
	IOLENS_WATCH_NAMES = 1 << 4,  /* names in this directory are followed: see struct iolens_watch_name */
};

struct iolens_watch {
	u64 first_sector; /* of the filesystem's partition on its disk, 512-byte sectors */
	u32 disk;         /* whole disk that holds the filesystem, kernel dev_t; 0 = any */
	u32 flags;        /* enum iolens_watch_flag; 0: excluded, even if its directory is watched */
	struct iolens_file_id first; /* the file that had the followed name first; ino 0: found by no followed name */
};

/* A followed name: a file that gets this name in this directory is watched, too. */
struct iolens_watch_name {
	struct iolens_file_id directory;
	u64 hash; /* of the name; 0: the file is deleted, or the root of a filesystem */
};

/*
 * Tables of bytes that rule out most unwatched files: a byte is 1 if something with its hash is, or was, watched. Bytes are never
 * cleared, and each fact has its own: the kernel and user space set them without a lock.
 */
enum iolens_watch_table {
	IOLENS_WATCH_TABLE_INODES,      /* watched files and directories, by iolens_watch_place() */
	IOLENS_WATCH_TABLE_DIRECTORIES, /* IOLENS_WATCH_DIRECTORY */
	IOLENS_WATCH_TABLE_TREES,       /* IOLENS_WATCH_TREE */
	IOLENS_WATCH_TABLE_PARENTS,     /* IOLENS_WATCH_NAMES */
	IOLENS_WATCH_TABLE_NAMES,       /* followed names, by IOLENS_WATCH_NAME_PLACE() */
	IOLENS_WATCH_TABLES
};
#define IOLENS_WATCH_BUCKETS 65536 /* of each table; a power of two */
/* The upper bits of a name's hash are a hash of its length, its first and its last 8 bytes. */
#define IOLENS_WATCH_NAME_PLACE(hash) ((u32)((hash) >> 48))

static inline __attribute__((always_inline)) u32 iolens_watch_place(u64 ino, u32 dev)
{
	/* consecutive inode numbers have a byte each; another disk's have others */
	return ((u32)ino + (dev * 0x9E3779B1U >> 12)) & (IOLENS_WATCH_BUCKETS - 1);
}

struct iolens_watch_bytes {
	u8 in[IOLENS_WATCH_TABLES][IOLENS_WATCH_BUCKETS];
};

/* Number of parent directories searched for a watched tree. */
#define IOLENS_WATCH_DEPTH 48

/* Functions of a filesystem (struct file_operations). */
enum iolens_function {
	IOLENS_READ_ITER,
	IOLENS_WRITE_ITER,
	IOLENS_SPLICE_READ,
	IOLENS_FSYNC,
	IOLENS_FUNCTIONS
};

/* An open file as the kernel sees it: the result of iolens_resolve in bpf/vfs.bpf.c. */
struct iolens_resolved {
	struct iolens_file_id id;
	u64 name_id;     /* see iolens_file_fact */
	struct iolens_watch_name name; /* the directory entry by which the fd was opened */
	u64 functions[IOLENS_FUNCTIONS];                  /* addresses in the filesystem; 0 = not implemented */
	char names[IOLENS_FUNCTIONS][IOLENS_QUERY_NAME_LEN]; /* and their names; "" = unknown (before 5.13) */
	u32 disk;        /* block device or partition of the filesystem, kernel dev_t; 0 = none */
	u32 mode;        /* inode.i_mode */
	u32 magic;       /* super_block.s_magic */
	u32 found;       /* 1: the fd is open */
};

#endif
