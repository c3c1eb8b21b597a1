// SPDX-License-Identifier: Apache-2.0
// How a command reports a fatal error: one sentence, one hint, one exit status.
#pragma once

#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

namespace iolens {

enum class Exit : int {
    ok = 0,
    failed = 1,            ///< any other error
    usage = 2,             ///< invalid command line
    unavailable = 3,       ///< privilege or a kernel feature is missing
    own_failure = 125,     ///< replaces 1 to 3 if a command is traced, because these may be its own status
    not_executable = 126,  ///< the command exists, but can't be executed
    not_found = 127,       ///< the command does not exist
};

/// Thrown anywhere, caught only in main.
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

/// The reader of our output has exited (`| head`): not an error, but the end of the run.
class ReaderGone : public std::exception {};

inline std::string error_text(int error) { return ::strerror(error); }  // NOLINT(concurrency-mt-unsafe): one thread

}  // namespace iolens
