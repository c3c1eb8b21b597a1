// SPDX-License-Identifier: Apache-2.0
// A watched file's log, as iotracer had it: circular, and of a bounded size.
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/text.h"
#include "iolens/event/vfs.h"

namespace iolens {

struct LoggedAccess {
    u64 start = 0;  ///< CLOCK_BOOTTIME, ns
    u64 address = 0;
    u64 bytes = 0;
    u32 pid = 0;
    u8 level = 0;
    u8 op = 0;
    u8 comm[IOLENS_COMM_LEN]{};
};

class AccessLog {
public:
    /// Most events that a log can have room for.
    static constexpr u64 most_events = 10'000'000;

    explicit AccessLog(std::size_t room) : room_(room) {}

    /// The oldest one makes room where it is full.
    void add(const LoggedAccess& access);
    void clear();
    /// The oldest ones go where there is less room than before.
    void resize(std::size_t room);

    [[nodiscard]] std::size_t room() const { return room_; }
    [[nodiscard]] std::size_t size() const { return accesses_.size(); }
    [[nodiscard]] std::size_t bytes() const { return accesses_.size() * sizeof(LoggedAccess); }
    /// The number of the next access that is added; they are counted from 0, and cleared ones count.
    [[nodiscard]] u64 next() const { return next_; }

    /// Those with this number or a later one, in the order of their starts.
    [[nodiscard]] std::vector<LoggedAccess> since(u64 number) const;

private:
    std::size_t room_;
    std::deque<LoggedAccess> accesses_;
    u64 next_ = 0;
};

/// Appends iotracer's line of an access in a log that began at `began` (CLOCK_BOOTTIME, ns).
void append_line(Buffer& out, const LoggedAccess& access, u64 began);

/// What is written to a log tree's control file.
struct ControlCommand {
    enum class What : u8 { add, remove };
    What what = What::add;
    std::string path;
    u64 max_events = 0;  ///< of add; 0: none was given
};

/// Without `blanks` around it.
std::string_view trimmed(std::string_view text, std::string_view blanks = " \t\n\r\f\v");

/// Reads "add PATH [MAX_EVENTS]" or "remove PATH". Returns 0, or an errno: EINVAL for another command or no path, for a
/// number that is 0 or has a wrong digit (as in C, a number that begins with 0 is octal), ERANGE for one that is too
/// large.
int parse_control(std::string_view text, ControlCommand& command);

/// What a log tree calls an absolute path: its folder without links, which may be gone, and its own name as given.
std::string tree_name(const std::filesystem::path& path, std::error_code& error);

/// A path as a line of the control file shows it: control characters and backslashes as \ooo.
std::string line_path(std::string_view path);

}  // namespace iolens
