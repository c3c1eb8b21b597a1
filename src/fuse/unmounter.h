// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"

namespace iolens {

/// A process that unmounts a tree when its server is killed and can't. It ends with the server, however that ends.
class Unmounter {
public:
    /// Before the tree is mounted. `made`: the directory is the server's, and is removed, too. Without a process to
    /// fork, there is none: the next server finds the mount.
    Unmounter(const std::string& directory, bool made);
    ~Unmounter();
    Unmounter(const Unmounter&) = delete;
    Unmounter& operator=(const Unmounter&) = delete;

private:
    Fd alive_;  // a pipe's end: it is closed when this process ends
    pid_t child_ = -1;
};

}  // namespace iolens
