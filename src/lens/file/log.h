// SPDX-License-Identifier: Apache-2.0
// A watched file's log, as iotracer had it: circular, and of a bounded size.
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
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

/// What the lines of a log are sorted by: start and level.
using LogKey = std::pair<u64, u8>;

/// Accesses in the order of their ends. A full one is not changed any more: logs and snapshots share it.
struct LogChunk {
    std::vector<LoggedAccess> accesses;
    LogKey first{};  ///< the smallest key of them
};

/// A log's accesses of one moment, in the order of their starts. To take one copies pointers to the log's full chunks;
/// what it is read for is sorted bit by bit.
class LogSnapshot {
public:
    /// The next accesses; empty at the end. Valid until the next call.
    std::span<const LoggedAccess> next();

    /// Of all its accesses.
    [[nodiscard]] u64 bytes() const { return count_ * sizeof(LoggedAccess); }

private:
    friend class AccessLog;
    void load();

    std::vector<std::shared_ptr<const LogChunk>> chunks_;
    std::size_t count_ = 0;             // accesses in it
    std::size_t skip_ = 0;              // accesses of the first chunk that don't belong to it
    std::size_t chunk_ = 0;             // the next one to be loaded
    std::vector<LogKey> first_from_;    // the smallest key of a chunk and all chunks behind it
    std::vector<LoggedAccess> sorted_;  // loaded, without what was returned before the last call
    std::size_t returned_ = 0;          // the first accesses of `sorted_`, by the last call
};

class AccessLog {
public:
    /// Most events that a log can have room for.
    static constexpr u64 max_events = 10'000'000;

    explicit AccessLog(std::size_t capacity) : capacity_(capacity) {}

    /// The oldest one makes room where it is full.
    void add(const LoggedAccess& access);
    void clear();
    /// The oldest ones go where there is less room than before.
    void resize(std::size_t capacity);

    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t bytes() const { return size_ * sizeof(LoggedAccess); }
    /// The number of the next access that is added; they are counted from 0, and cleared ones count.
    [[nodiscard]] u64 next() const { return next_; }

    /// Those with this number or a later one.
    [[nodiscard]] LogSnapshot since(u64 number) const;

private:
    [[nodiscard]] std::size_t chunk_size() const;
    void drop_oldest(std::size_t max);

    std::size_t capacity_;
    std::deque<std::shared_ptr<const LogChunk>> full_;
    LogChunk newest_;          // behind `full_`
    std::size_t skipped_ = 0;  // accesses of the oldest chunk that are no longer in the log
    std::size_t size_ = 0;
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
