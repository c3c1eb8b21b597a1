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

/// `iolens` in the background, from the moment that it is attached.
class Tracer {
public:
    explicit Tracer(const std::vector<std::string>& arguments);
    ~Tracer();
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;

    /// Ends it with a signal and returns what it said.
    Result stop(int signal = 2);
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    Scratch scratch_;
    pid_t pid_ = -1;
};

}  // namespace iolens::test
