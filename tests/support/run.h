// SPDX-License-Identifier: Apache-2.0
// Commands and scratch directories for tests.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "iolens/event/header.h"

namespace iolens::test {

struct Result {
    int status = -1;  ///< exit status; 128 + signal; -1 = timeout
    std::string out;
    std::string err;
};

/// The iolens under test: $IOLENS, or the one of this build.
std::string iolens_path();

/// The program of tests/support/libc_program.c, in the same directory as this one.
std::string helper(const std::string& name = "iolens-libc-program");

/// Runs a command until it ends (killed after `limit`), and returns its output.
Result run(const std::vector<std::string>& command, std::chrono::seconds limit = std::chrono::seconds(60));

/// Likewise through /bin/sh, with iolens in PATH.
Result shell(const std::string& line, std::chrono::seconds limit = std::chrono::seconds(60));

/// Number of losses that iolens reported to run(), shell() or a Tracer so far.
u64 losses_reported();

/// During its lifetime, `look` is called repeatedly while a command runs.
class WhileWaiting {
public:
    explicit WhileWaiting(std::function<void()> look);
    ~WhileWaiting();
    WhileWaiting(const WhileWaiting&) = delete;
    WhileWaiting& operator=(const WhileWaiting&) = delete;
};

/// True if the command is in PATH.
bool have(const std::string& command);

/// Polls until a condition is true. Returns false if it does not become true within a minute, which is enough for an
/// emulated machine.
[[nodiscard]] bool wait_until(const std::function<bool()>& condition);

/// A scratch directory in `base`, else in $IOLENS_SCRATCH or /var/tmp; removed by the destructor.
class Scratch {
public:
    explicit Scratch(const std::string& base = {});
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    [[nodiscard]] std::string path(const std::string& name = {}) const {
        return name.empty() ? path_ : path_ + "/" + name;
    }

private:
    std::string path_;
};

std::string slurp(const std::string& path);
void spit(const std::string& path, const std::string& text);
std::vector<std::string> split(const std::string& text, char at);

/// Parses CSV with a header line: one map per row.
std::vector<std::map<std::string, std::string>> parse_csv(const std::string& text);

/// A command in the background; the destructor kills it if it is still running.
class Background {
public:
    explicit Background(const std::vector<std::string>& command);
    ~Background();
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;

    /// Waits until standard output has this many lines, or either output contains this text. Returns false if this does
    /// not happen within a minute, or before the command ends.
    [[nodiscard]] bool wait_for_rows(std::size_t rows) const;
    [[nodiscard]] bool wait_for_line(const std::string& text) const;

    /// Sends a signal (0: none), waits for the command to end and returns its output.
    Result stop(int signal = 2);
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] std::string out() const { return slurp(scratch_.path("out")); }
    [[nodiscard]] std::string err() const { return slurp(scratch_.path("err")); }

private:
    [[nodiscard]] bool wait_for_output(const std::function<bool()>& condition) const;

    Scratch scratch_;
    pid_t pid_ = -1;
};

/// `iolens` in the background; the constructor returns once it is attached.
class Tracer : public Background {
public:
    explicit Tracer(const std::vector<std::string>& arguments);
};

}  // namespace iolens::test
