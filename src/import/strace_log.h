// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "import/fd_tables.h"
#include "import/strace_line.h"
#include "iolens/event/call.h"
#include "source/source.h"

namespace iolens {

/// Converts lines of a log to the records that the kernel side would have sent.
class StraceImport {
public:
    using Unreadable = std::function<void(u64 line, std::string_view text)>;

    explicit StraceImport(Unreadable unreadable) : unreadable_(std::move(unreadable)) {}

    /// Takes one line without its newline.
    void line(std::string_view text, Receiver& receiver);
    /// Call at the end of the log.
    void end(Receiver& receiver);

    [[nodiscard]] LogClock clock() const { return clock_; }
    [[nodiscard]] u64 delivered() const { return delivered_; }  ///< a call on two fds counts twice
    [[nodiscard]] u64 filtered() const { return filtered_; }    ///< calls that moved no bytes: the process was killed
    [[nodiscard]] u64 unreadable() const { return unreadable_lines_; }
    [[nodiscard]] u64 unfinished() const { return lines_.unfinished(); }

private:
    void call(LoggedCall call, Receiver& receiver);
    void send(const LoggedCall& call, Receiver& receiver);
    void send_side(const LoggedCall& call, iolens_call_event event, const LoggedFile& file, Receiver& receiver);
    void deliver(const iolens_call_event& event, Receiver& receiver);
    u64 add_name(const LoggedFile& file, Receiver& receiver);

    Unreadable unreadable_;
    StraceLines lines_;
    FdTables tables_;
    std::unordered_map<std::string, u64> names_;  // emitted names, by their text after a character for their kind
    u64 names_added_ = 0;
    std::unordered_map<u32, LoggedCall> restarted_;
    LogClock clock_ = LogClock::none;
    u64 line_ = 0;
    u64 delivered_ = 0;
    u64 filtered_ = 0;
    u64 unreadable_lines_ = 0;
};

/// A strace log as a source.
class StraceLog final : public Source {
public:
    /// Throws Failure (usage) if the file can't be read. Prints lines that it can't parse on standard error.
    explicit StraceLog(const std::string& path);

    [[nodiscard]] int descriptor() const override { return -1; }
    std::size_t read(Receiver& receiver) override;
    [[nodiscard]] bool ended() const override { return ended_; }
    void stop() override { ended_ = true; }
    [[nodiscard]] iolens_loss ledger() const override;
    [[nodiscard]] u64 wall_offset_ns() const override { return 0; }
    [[nodiscard]] std::vector<FileIdentity> inputs() const override;

    [[nodiscard]] const StraceImport& import() const { return import_; }

private:
    bool next_line();
    bool fill();

    std::string path_;
    Fd file_;
    std::vector<char> buffer_;
    std::size_t at_ = 0;   // in `buffer_`: start of the unprocessed bytes
    std::size_t end_ = 0;  // end of the unprocessed bytes
    StraceImport import_;
    std::string line_;
    bool ended_ = false;
};

}  // namespace iolens
