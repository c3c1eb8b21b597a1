// SPDX-License-Identifier: Apache-2.0
// The log of a watched file, as in iotracer: circular and bounded.
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
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

/// The sort key of the lines of a log: start, level and address.
using LogKey = std::tuple<u64, u8, u64>;

/// Accesses in order of completion. A full chunk is immutable: logs and snapshots share it.
struct LogChunk {
    std::vector<LoggedAccess> accesses;
    LogKey first{};  ///< the smallest key in it
};

/// The accesses of a log at one point in time, in order of start. Taking a snapshot copies pointers to the log's full
/// chunks; accesses are sorted piece by piece as they are read.
class LogSnapshot {
public:
    /// The next accesses; empty at the end. Valid until the next call.
    std::span<const LoggedAccess> next();

    /// Memory of all its accesses.
    [[nodiscard]] u64 bytes() const { return count_ * sizeof(LoggedAccess); }

private:
    friend class AccessLog;
    void load();

    std::vector<std::shared_ptr<const LogChunk>> chunks_;
    std::size_t count_ = 0;             // number of accesses
    std::size_t skip_ = 0;              // accesses of the first chunk that are not part of it
    std::size_t chunk_ = 0;             // next chunk to load
    std::vector<LogKey> first_from_;    // smallest key of a chunk and all later ones
    std::vector<LoggedAccess> sorted_;  // loaded, without the accesses returned before the last call
    std::size_t returned_ = 0;          // number of accesses in `sorted_` that the last call returned
};

class AccessLog {
public:
    /// Maximum capacity of a log, in events.
    static constexpr u64 max_events = 10'000'000;

    explicit AccessLog(std::size_t capacity) : capacity_(capacity) {}

    /// Drops the oldest access if the log is full.
    void add(const LoggedAccess& access);
    void clear();
    /// Drops the oldest accesses if the new capacity is too small for them.
    void resize(std::size_t capacity);

    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t bytes() const { return size_ * sizeof(LoggedAccess); }
    /// The sequence number of the next access to be added; numbers start at 0, and cleared accesses count.
    [[nodiscard]] u64 next() const { return next_; }

    /// The accesses with this sequence number or a later one.
    [[nodiscard]] LogSnapshot since(u64 number) const;

private:
    [[nodiscard]] std::size_t chunk_size() const;
    void drop_oldest(std::size_t max);

    std::size_t capacity_;
    std::deque<std::shared_ptr<const LogChunk>> full_;
    LogChunk newest_;          // after `full_`
    std::size_t skipped_ = 0;  // accesses of the oldest chunk that are no longer in the log
    std::size_t size_ = 0;
    u64 next_ = 0;
};

/// Appends iotracer's line for an access in a log that began at `began` (CLOCK_BOOTTIME, ns).
void append_line(Buffer& out, const LoggedAccess& access, u64 began);

/// A command written to the control file of a log tree.
struct ControlCommand {
    enum class What : u8 { add, remove };
    What what = What::add;
    std::string path;
    u64 max_events = 0;  ///< for add; 0: not given
};

/// Removes `blanks` at both ends.
std::string_view trimmed(std::string_view text, std::string_view blanks = " \t\n\r\f\v");

/// Parses "add PATH [MAX_EVENTS]" or "remove PATH". Returns 0 or an errno: EINVAL for an unknown command, a missing
/// path, or a number that is 0 or has an invalid digit (as in C, a leading 0 means octal); ERANGE for a number that is
/// too large.
int parse_control(std::string_view text, ControlCommand& command);

/// The name of an absolute path in a log tree: its directory with symbolic links resolved, which may no longer exist,
/// and its last component as given.
std::string tree_name(const std::filesystem::path& path, std::error_code& error);

/// A path as the control file shows it: control characters and backslashes as \ooo.
std::string line_path(std::string_view path);

}  // namespace iolens
