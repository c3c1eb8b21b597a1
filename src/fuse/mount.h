// SPDX-License-Identifier: Apache-2.0
// A small tree of files that are made when they are read, and taken as commands when they are written. The only room
// that knows libfuse.
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

/// What /proc/mounts says that a tree is mounted from.
inline constexpr std::string_view tree_source = "iolens";

/// Is this the errno of a path below a mount whose server was killed? ENOTCONN; ECONNABORTED while the kernel takes
/// leave of it; ECONNREFUSED if it was killed before it answered FUSE_INIT (fs/fuse/inode.c: process_init_reply()).
inline bool is_of_killed_server(int error) {
    return error == ENOTCONN || error == ECONNABORTED || error == ECONNREFUSED;
}

/// One opened file's contents, piece by piece.
class TreeReader {
public:
    TreeReader() = default;
    TreeReader(const TreeReader&) = delete;
    TreeReader& operator=(const TreeReader&) = delete;
    virtual ~TreeReader() = default;
    /// The next piece; "" at the end. What comes after the end is for one who goes on reading there.
    virtual std::string more() = 0;
};

/// Who writes to a file of the tree.
struct TreeClient {
    pid_t pid = 0;         ///< that writes: paths are relative to its working directory
    Credentials opener{};  ///< that opened the file: a program may write what another user gave it to an open file
};

/// What the tree has. Called by several threads at once.
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

    /// Paths begin with "/", the tree's own root.
    virtual std::optional<About> about(std::string_view path) = 0;
    /// Names in a folder.
    virtual std::vector<std::string> entries(std::string_view directory) = 0;
    virtual std::unique_ptr<TreeReader> read(std::string_view path) = 0;
    /// What one write(2) of a process brings. Returns 0 or an errno.
    virtual int write(std::string_view path, std::string_view text, const TreeClient& client) = 0;
};

/// A tree that is mounted, from construction to destruction.
class MountedTree {
public:
    struct Options {
        std::string directory;       ///< made where it is missing, and removed again then
        std::optional<gid_t> group;  ///< whose members may read and write, too; else root alone
    };

    /// Mounts it; a stale mount of a server that was killed is cleaned up first. Throws Failure. Whoever opens a file
    /// of it waits until start().
    MountedTree(const Options& options, TreeFiles& files);
    ~MountedTree();
    MountedTree(const MountedTree&) = delete;
    MountedTree& operator=(const MountedTree&) = delete;

    /// Answers from now on, by threads with the capabilities that the calling one has.
    void start();

    /// Unmounts it, once the requests under way are answered. False: after a signal to end it did not wait for all of
    /// them (see end_overdue()); the destructor does.
    bool stop();

    /// Its folder without links.
    [[nodiscard]] const std::string& directory() const;

    /// Was it unmounted by somebody else?
    [[nodiscard]] bool ended() const;
    /// Becomes readable when ended() becomes true.
    [[nodiscard]] int end_descriptor() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace iolens
