// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"

namespace iolens {

/// A process that unmounts a tree if its server is killed and can't. It ends with the server, however the server ends.
class Unmounter {
public:
    /// Call it before mounting. `made`: the server created the directory, so it is removed, too. If fork() fails, there
    /// is no such process: the next server finds the stale mount.
    Unmounter(const std::string& directory, bool made);
    /// Ends the process. The server has unmounted the tree and removed the directory.
    ~Unmounter();
    Unmounter(const Unmounter&) = delete;
    Unmounter& operator=(const Unmounter&) = delete;

private:
    Fd alive_;  // write end of a pipe: closed when this process ends
    pid_t child_ = -1;
};

}  // namespace iolens
