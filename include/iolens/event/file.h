/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Path of an open file: sent once, before the first operation on it, and again when the file is renamed. Operations
 * carry `name_id`, which identifies the directory entry, so that each name of a file with several hard links is sent.
 */
#ifndef IOLENS_EVENT_FILE_H
#define IOLENS_EVENT_FILE_H

#include "iolens/event/header.h"

#define IOLENS_PATH_LEN 4096

/* Identity of a file: the same for all of its names, different for a later file that reuses its inode number. */
struct iolens_file_id {
	u64 ino;        /* inode.i_ino */
	u32 dev;        /* super_block.s_dev, the kernel's dev_t */
	u32 generation; /* inode.i_generation */
};

enum iolens_file_kind {
	IOLENS_FILE_NONE, /* no file: a closed or bad fd */
	IOLENS_FILE_REGULAR,
	IOLENS_FILE_DIRECTORY,
	IOLENS_FILE_CHARACTER,
	IOLENS_FILE_DISK,   /* a block device */
	IOLENS_FILE_FIFO,   /* a named pipe */
	IOLENS_FILE_PIPE,   /* pipe(2) */
	IOLENS_FILE_SOCKET,
	IOLENS_FILE_ANON,   /* anon_inode: eventfd, epoll, io_uring … */
	IOLENS_FILE_OTHER,
	IOLENS_FILE_KINDS
};

enum iolens_file_flag {
	IOLENS_FILE_DELETED = 1 << 0, /* its directory entry was removed */
	IOLENS_FILE_CUT = 1 << 1,     /* too long or too deep: the beginning of the path is missing */
	IOLENS_FILE_PSEUDO = 1 << 2,  /* a name without a path: "[eventfd]", "memfd:x", a unix socket's address */
	IOLENS_FILE_LITERAL = 1 << 3, /* from an imported log: the name verbatim; with PSEUDO: not a path */
};

struct iolens_file_fact {
	struct iolens_header h;
	u64 name_id;
	u16 kind;   /* enum iolens_file_kind */
	u16 flags;  /* enum iolens_file_flag */
	u16 length; /* bytes of `path` */
	u16 reserved;
	/* followed, with LITERAL, by the name and, if the log determines another, the absolute path; otherwise by
	 * path components from the file up to the root, NUL-terminated, zero-padded to 8 bytes */
};

#ifdef __cplusplus
#include <type_traits>

static_assert(std::has_unique_object_representations_v<iolens_file_id>);
static_assert(std::has_unique_object_representations_v<iolens_file_fact>);
static_assert(sizeof(iolens_file_fact) == 32);  // the path follows, so no field can be appended

// In the global namespace, where argument-dependent lookup finds it.
inline bool operator==(const iolens_file_id& a, const iolens_file_id& b) {
    return a.ino == b.ino && a.dev == b.dev && a.generation == b.generation;
}

namespace iolens {
struct FileIdHash {
    std::size_t operator()(const iolens_file_id& id) const {
        return static_cast<std::size_t>((id.ino * 0x9E3779B97F4A7C15ULL) ^ (u64{id.generation} << 32 | id.dev));
    }
};
}  // namespace iolens
#endif

#endif
