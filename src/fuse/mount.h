// SPDX-License-Identifier: Apache-2.0
// A small tree of files that are generated when read, and interpreted as commands when written. The only module that
// uses libfuse.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/privileges.h"

namespace iolens {

/// The source of a tree's mount in /proc/mounts.
inline constexpr std::string_view tree_source = "iolens";

/// Is this the errno of a path below a mount whose server was killed? ENOTCONN; ECONNABORTED while the kernel tears the
/// connection down; ECONNREFUSED if it was killed before it answered FUSE_INIT (fs/fuse/inode.c: process_init_reply()).
inline bool is_of_killed_server(int error) {
    return error == ENOTCONN || error == ECONNABORTED || error == ECONNREFUSED;
}

/// The contents of one open file, in pieces.
class TreeReader {
public:
    TreeReader() = default;
    TreeReader(const TreeReader&) = delete;
    TreeReader& operator=(const TreeReader&) = delete;
    virtual ~TreeReader() = default;
    /// The next piece; "" at the end. Later calls return what was added after the end.
    virtual std::string more() = 0;
};

/// A client that writes to a file of the tree.
struct TreeClient {
    pid_t pid = 0;         ///< of the writer: paths are relative to its working directory
    Credentials opener{};  ///< that opened the file: a program may write another user's data to an open file
};

/// The contents of a tree. Called by several threads concurrently.
class TreeFiles {
public:
    struct About {
        bool directory = false;
        bool readable = false;
        bool writable = false;
    };
    TreeFiles() = default;
    TreeFiles(const TreeFiles&) = delete;
    TreeFiles& operator=(const TreeFiles&) = delete;
    virtual ~TreeFiles() = default;

    /// Paths begin with "/", the root of the tree.
    virtual std::optional<About> about(std::string_view path) = 0;
    /// The names in a directory.
    virtual std::vector<std::string> entries(std::string_view directory) = 0;
    virtual std::unique_ptr<TreeReader> read(std::string_view path) = 0;
    /// Handles the data of one write(2). Returns 0 or an errno.
    virtual int write(std::string_view path, std::string_view text, const TreeClient& client) = 0;
};

/// A mounted tree, from construction to destruction.
class MountedTree {
public:
    struct Options {
        std::string directory;       ///< created if it does not exist, and then also removed
        std::optional<gid_t> group;  ///< its members may read and write, too; without it only root
    };

    /// Mounts the tree, after cleaning up a stale mount of a killed server. Throws Failure. Opening a file of it blocks
    /// until start().
    MountedTree(const Options& options, TreeFiles& files);
    ~MountedTree();
    MountedTree(const MountedTree&) = delete;
    MountedTree& operator=(const MountedTree&) = delete;

    /// Answers requests from now on, in threads that have the capabilities of the calling thread.
    void start();

    /// Unmounts the tree after the requests in flight have been answered. False: after a signal to end, it did not wait
    /// for all of them (see end_overdue()); the destructor does.
    bool stop();

    /// The mount point, with symbolic links resolved.
    [[nodiscard]] const std::string& directory() const;

    /// Was it unmounted by another process?
    [[nodiscard]] bool ended() const;
    /// Becomes readable when ended() becomes true.
    [[nodiscard]] int end_descriptor() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace iolens
