// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/user.h"

namespace iolens {

/// A command that is started, but held before its first system call of its own until it is let go.
class HeldCommand {
public:
    /// Runs as `user` where one is given: with the environment of a login, unless `preserve_environment`, and without
    /// the descriptors above 2. Throws Failure: status 127 where there is no such program, 126 where it can't be run.
    explicit HeldCommand(const std::vector<std::string>& words, const std::optional<User>& user = {},
                         bool preserve_environment = false);
    /// One that was never let go is ended; one that runs is left alone.
    ~HeldCommand();
    HeldCommand(const HeldCommand&) = delete;
    HeldCommand& operator=(const HeldCommand&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// The file that it runs.
    [[nodiscard]] const std::string& program() const { return program_; }

    void let_go();

    /// Its exit status, 128 + N when a signal ended it; nothing while it runs. With `wait`, waits for its end.
    std::optional<int> status(bool wait = false);

private:
    std::string program_;
    pid_t pid_ = -1;
    Fd gate_;
    bool gone_ = false;
    int status_ = 0;
};

}  // namespace iolens
