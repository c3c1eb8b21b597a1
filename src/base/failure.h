// SPDX-License-Identifier: Apache-2.0
// How a command ends when it can't go on: one sentence, one hint, one exit status.
#pragma once

#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

namespace iolens {

enum class Exit : int {
    ok = 0,
    failed = 1,            ///< anything not below
    usage = 2,             ///< the command line asks for what can't be
    unavailable = 3,       ///< privilege or a kernel feature is missing
    own_failure = 125,     ///< instead of these, where a command is traced: 1 to 3 may be the command's own
    not_executable = 126,  ///< the command to run is there, but can't be run
    not_found = 127,       ///< there is no such command
};

/// Thrown anywhere, caught once, in main.
class Failure : public std::exception {
public:
    Failure(Exit status, std::string sentence, std::string hint = {})
        : status_(status), sentence_(std::move(sentence)), hint_(std::move(hint)) {}

    [[nodiscard]] Exit status() const { return status_; }
    [[nodiscard]] const std::string& hint() const { return hint_; }
    [[nodiscard]] const char* what() const noexcept override { return sentence_.c_str(); }

private:
    Exit status_;
    std::string sentence_;
    std::string hint_;
};

/// The reader of our output has gone (`| head`): not an error, but the end.
class ReaderGone : public std::exception {};

inline std::string error_text(int error) { return ::strerror(error); }  // NOLINT(concurrency-mt-unsafe): one thread

}  // namespace iolens
