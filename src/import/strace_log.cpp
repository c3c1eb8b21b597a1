// SPDX-License-Identifier: Apache-2.0
#include "import/strace_log.h"

#include <glob.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/failure.h"
#include "base/output.h"
#include "base/signals.h"
#include "base/text.h"
#include "import/strace_call.h"
#include "import/strace_value.h"

namespace iolens {
namespace {

constexpr std::size_t lines_at_once = 256;
constexpr std::string_view clear_line = "\r\x1b[K";

void write_stderr(std::string_view text) { static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()) == 0); }

/// Prints the first unreadable lines only: in a file that is not a log, every line is unreadable.
StraceImport::Unreadable unreadable_lines(bool several, std::function<void()> clear_progress) {
    return [count = 0, several, clear = std::move(clear_progress)](const std::string& path, u64 line,
                                                                   std::string_view text) mutable {
        constexpr std::size_t shown = 120;
        constexpr int max_lines = 20;
        if (++count > max_lines + 1) return;
        clear();
        if (count > max_lines) {
            log_line("further unreadable lines are only counted");
            return;
        }
        Buffer start;
        append_visible(start, text, shown);
        const std::string of = several ? fmt::format(" of '{}'", visible(path)) : std::string();
        log_line(fmt::format("can't read line {}{}: {}", line, of, std::string_view(start.data(), start.size())));
    };
}

/// The files that a glob stands for; the path itself if there is such a file, or no match.
std::vector<std::string> matching(const std::string& path) {
    if (path.find_first_of("*?[") == std::string::npos || ::access(path.c_str(), F_OK) == 0) return {path};
    glob_t found{};
    std::vector<std::string> paths;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before there are other threads
    if (::glob(path.c_str(), 0, nullptr, &found) == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    ::globfree(&found);
    return paths.empty() ? std::vector{path} : paths;
}

/// The pid at the end of "run.97073", the name of a file of strace -ff; 0 if there is none.
u32 pid_of_name(const std::string& path) {
    std::string_view name = path;
    for (const std::string_view suffix : {".gz", ".xz", ".zst"}) {
        if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
    }
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) return 0;
    std::string_view number = name.substr(dot + 1);
    const auto pid = take_digits(number);
    return pid && number.empty() && *pid <= (1U << 22) ? static_cast<u32>(*pid) : 0;
}

}  // namespace

StraceLog::StraceLog(const std::vector<std::string>& paths, bool arguments, bool quiet) {
    std::vector<std::string> files;
    for (const std::string& path : paths) {
        for (std::string& file : matching(path)) {
            if (std::ranges::find(files, file) == files.end()) files.push_back(std::move(file));
        }
    }
    if (files.size() > 500) {
        rlimit limit{};
        if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
            limit.rlim_cur = limit.rlim_max;
            ::setrlimit(RLIMIT_NOFILE, &limit);
        }
    }
    import_.set_unreadable(unreadable_lines(files.size() > 1, [this] { clear_progress(); }));
    import_.set_arguments(arguments);
    for (const std::string& path : files) {
        inputs_.emplace_back(LogFile(path));
        // a single FILE.1 can be a log that was rotated
        constexpr u32 max_rotated = 100;
        const u32 pid = pid_of_name(path);
        import_.add_input(path, pid > max_rotated || files.size() > 1 ? pid : 0);
    }
    progress_ = !quiet && ::isatty(STDERR_FILENO) == 1;
    shown_ns_ = clock_ns(CLOCK_BOOTTIME);
}

StraceLog::~StraceLog() { clear_progress(); }

/// What follows on standard error, such as a summary, is behind the progress.
void StraceLog::stop() {
    ended_ = true;
    clear_progress();
}

std::vector<FileIdentity> StraceLog::inputs() const {
    std::vector<FileIdentity> files;
    for (const Input& input : inputs_) {
        if (const auto file = input.file.identity()) files.push_back(*file);
    }
    return files;
}

bool StraceLog::Input::next() {
    // a file that is not a log may have no newlines at all
    constexpr std::size_t longest = 1 << 20;
    joined.clear();
    bool partial = false;
    while (true) {
        if (at != end) {
            const char* const begin = buffer.data() + at;
            const auto* newline = static_cast<const char*>(std::memchr(begin, '\n', end - at));
            const std::size_t length = newline != nullptr ? static_cast<std::size_t>(newline - begin) : end - at;
            at += length + (newline != nullptr ? 1 : 0);
            if (newline != nullptr && !partial) {
                line = {begin, length};
                return true;
            }
            joined.append(begin, std::min(length, longest - joined.size()));
            partial = true;
            if (newline != nullptr) {
                line = joined;
                return true;
            }
        }
        constexpr std::size_t block = 128 << 10;
        buffer.resize(block);
        at = 0;
        end = file.read(buffer);
        if (end != 0) continue;
        over = true;
        line = joined;
        return partial && !end_asked();
    }
}

/// Reads an input's next line, and when it is from.
bool StraceLog::fill(Input& input) {
    if (input.waiting) return true;
    if (input.over || !input.next()) return false;
    input.waiting = true;
    if (inputs_.size() == 1) return true;
    // what is not a call belongs to the line before
    const bool call = !input.line.empty() && input.line[0] != ' ';
    const auto prefix = call ? input.prefixes.take(input.line) : std::nullopt;
    if (prefix && prefix->clock != LogClock::none) {
        input.prefixes.commit(*prefix);
        input.time_ns = prefix->time_ns;
    }
    return true;
}

StraceLog::Input* StraceLog::oldest() {
    Input* first = nullptr;
    for (Input& input : inputs_) {
        if (!fill(input)) continue;
        if (first == nullptr || input.time_ns < first->time_ns) first = &input;
    }
    return first;
}

void StraceLog::show_progress() {
    constexpr u64 interval = 500'000'000;
    const u64 now = clock_ns(CLOCK_BOOTTIME);
    if (now - shown_ns_ < interval) return;
    shown_ns_ = now;
    double sum = 0;
    bool known = true;
    for (const Input& input : inputs_) {
        const std::optional<double> done = input.file.done();
        known = known && done;
        sum += done.value_or(0);
    }
    const std::string part =
        known ? fmt::format("{:.0f}% of the log, ", 100 * sum / static_cast<double>(inputs_.size())) : std::string();
    write_stderr(fmt::format("{}iolens: read {}{}", clear_line, part, counted(import_.calls(), "call")));
    progress_line_ = true;
}

void StraceLog::clear_progress() {
    if (std::exchange(progress_line_, false)) write_stderr(clear_line);
}

void StraceLog::finish(Receiver& receiver) {
    ended_ = true;
    import_.end(receiver);
    clear_progress();
    if (import_.calls() != 0 || import_.unreadable() == 0 || end_asked()) return;
    throw Failure(Exit::failed,
                  fmt::format("no line of '{}' could be read as strace's", visible(inputs_[0].file.path())),
                  "make the log with 'strace -f -tt -T -yy -o FILE', without -c");
}

std::size_t StraceLog::read(Receiver& receiver) {
    std::size_t lines = 0;
    for (; !ended_ && lines < lines_at_once; ++lines) {
        if (inputs_.size() == 1 && lines != 0 && inputs_[0].at == inputs_[0].end) break;  // the next may take long
        Input* input = oldest();
        if (input == nullptr) {
            finish(receiver);
            break;
        }
        input->waiting = false;
        import_.line(input->line, receiver, static_cast<std::size_t>(input - inputs_.data()));
    }
    if (progress_ && !ended_) show_progress();
    return lines;
}

iolens_loss StraceLog::ledger() const {
    iolens_loss loss{};
    loss.n.seen = import_.delivered() + import_.filtered();
    loss.n.delivered = import_.delivered();
    loss.n.filtered = import_.filtered();
    return loss;
}

}  // namespace iolens
