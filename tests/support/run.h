// SPDX-License-Identifier: Apache-2.0
// Commands and scratch places for tests.
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
    int status = -1;  ///< exit status; 128 + signal; -1 = did not end in time
    std::string out;
    std::string err;
};

/// The iolens to test: $IOLENS, or the one of this build.
std::string iolens_path();

/// The program of tests/support/libc_program.c, beside this one.
std::string helper(const std::string& name = "iolens-libc-program");

/// Runs a command to its end (killed after `limit`), with its output in memory.
Result run(const std::vector<std::string>& command, std::chrono::seconds limit = std::chrono::seconds(60));

/// The same through /bin/sh; "iolens" is found.
Result shell(const std::string& line, std::chrono::seconds limit = std::chrono::seconds(60));

/// How often iolens reported a loss to run(), shell() or a Tracer so far.
u64 losses_reported();

/// While it lives, a function that is called again and again while a command runs.
class WhileWaiting {
public:
    explicit WhileWaiting(std::function<void()> look);
    ~WhileWaiting();
    WhileWaiting(const WhileWaiting&) = delete;
    WhileWaiting& operator=(const WhileWaiting&) = delete;
};

/// Is there such a command in PATH?
bool have(const std::string& command);

/// Waits in small steps until a condition is true. False: it did not become true within a minute, which is enough for
/// an emulated machine.
[[nodiscard]] bool wait_until(const std::function<bool()>& condition);

/// A folder of the test's own, in `base`, else in $IOLENS_SCRATCH or /var/tmp; removed at the end.
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

/// A csv table with a heading: one map a row.
std::vector<std::map<std::string, std::string>> parse_csv(const std::string& text);

/// A command in the background, killed at the end if it still runs then.
class Background {
public:
    explicit Background(const std::vector<std::string>& command);
    ~Background();
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;

    /// Waits until standard output has this many lines, or either output contains this text. False: it did not happen
    /// within a minute, or before the command ended.
    [[nodiscard]] bool wait_for_rows(std::size_t rows) const;
    [[nodiscard]] bool wait_for_line(const std::string& text) const;

    /// Sends a signal (0: none), waits for the end and returns what the command wrote.
    Result stop(int signal = 2);
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] std::string out() const { return slurp(scratch_.path("out")); }
    [[nodiscard]] std::string err() const { return slurp(scratch_.path("err")); }

private:
    [[nodiscard]] bool wait_for_output(const std::function<bool()>& condition) const;

    Scratch scratch_;
    pid_t pid_ = -1;
};

/// `iolens` in the background, from the moment that it is attached.
class Tracer : public Background {
public:
    explicit Tracer(const std::vector<std::string>& arguments);
};

}  // namespace iolens::test
