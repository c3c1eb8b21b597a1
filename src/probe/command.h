// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/user.h"

namespace iolens {

/// A command that is started, but held before its first own system call until it is released.
class HeldCommand {
public:
    /// Runs as `user` if one is given: with the environment of a login, unless `preserve_environment`, and without the
    /// descriptors above 2. Throws Failure with status 127 if there is no such program, 126 if it can't be executed.
    explicit HeldCommand(const std::vector<std::string>& words, const std::optional<User>& user = {},
                         bool preserve_environment = false);
    /// Kills a command that was never released; a running one is left alone.
    ~HeldCommand();
    HeldCommand(const HeldCommand&) = delete;
    HeldCommand& operator=(const HeldCommand&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// The executable file.
    [[nodiscard]] const std::string& program() const { return program_; }

    void let_go();

    /// Its exit status, 128 + N if a signal killed it; nothing while it runs. With `wait`, waits for its end.
    std::optional<int> status(bool wait = false);

private:
    std::string program_;
    pid_t pid_ = -1;
    Fd gate_;
    bool gone_ = false;
    int status_ = 0;
};

}  // namespace iolens
