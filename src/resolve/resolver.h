// SPDX-License-Identifier: Apache-2.0
// Resolves ids to names, for every lens: the only place that interprets a column's role.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/decode.h"
#include "iolens/event/block.h"
#include "iolens/event/call.h"
#include "resolve/arguments.h"
#include "resolve/containers.h"
#include "resolve/disks.h"
#include "resolve/files.h"
#include "resolve/log_clock.h"
#include "resolve/mappings.h"
#include "resolve/periods.h"
#include "resolve/row.h"
#include "resolve/tasks.h"
#include "resolve/wait_reasons.h"

namespace iolens {

/// A row before its ids are resolved.
struct RawRow {
    const iolens_header* event = nullptr;  ///< a complete event of the current size, of the kind that the columns read
    Value pattern{};                       ///< Role::pattern and Role::json: set by the lens, if a column uses them
    Value json{};
};

/// Stores facts, and resolves the ids of rows to names. Each lens has one, which lives as long as the lens.
class Resolver {
public:
    enum class Learned : u8 {
        yes,
        no,       ///< the record is not a fact
        damaged,  ///< its lengths are wrong
    };

    /// Stores a fact: a file's path, a task, a disk, a watched file, a kernel symbol, a call's arguments. The record
    /// must be 8-byte aligned, as in Receiver::record().
    Learned learn(const iolens_header& record);

    /// A cell of a row. Its text is in `arena`, in the event, or in a cache until the next learn().
    Value value(const Column& column, const RawRow& row, RowArena& arena) {
        return is_resolved(column.role) ? resolve(column, row, arena) : column.get(*row.event);
    }

    /// The rows come from a recording: don't resolve disks and cgroups on this machine.
    void set_recorded();
    /// Nanoseconds to add to CLOCK_BOOTTIME to get the time since 1970.
    void set_wall_offset(u64 ns) { wall_offset_ns_ = ns; }
    /// The rows come from a log with times in this format; they are printed unchanged.
    void set_log_clock(LogClock clock) { log_clock_ = clock; }
    /// Role::since counts from here (CLOCK_BOOTTIME, ns).
    void set_log_start(u64 ns) { log_start_ns_ = ns; }
    /// Sets the text of Role::facility.
    void set_facility(std::string facility) { facility_ = std::move(facility); }

    /// The file of a call, as its column shows it; null if unknown.
    Value file_of(const iolens_call_event& call, RowArena& arena) { return file_of(call, false, arena); }
    /// The file of an access; null if unknown.
    Value file_of(const iolens_file_id& file, u64 name_id);
    /// The target of a block request: a path, MAJ:MIN:INODE, [journal]; null if unknown.
    Value target_of(const iolens_block_target& target, RowArena& arena);
    /// The texts of a call from a log; "" if they are unknown.
    [[nodiscard]] LoggedTexts logged_texts(const iolens_call_event& call) const;
    /// A call's arguments in C syntax; null if unknown.
    Value arguments_of(const iolens_call_event& call, RowArena& arena);

    [[nodiscard]] Files& files() { return files_; }
    [[nodiscard]] Disks& disks() { return disks_; }
    [[nodiscard]] const Tasks& tasks() const { return tasks_; }
    [[nodiscard]] Mappings& mappings() { return mappings_; }
    [[nodiscard]] Arguments& arguments() { return arguments_; }
    [[nodiscard]] const WaitReasons& wait_reasons() const { return wait_reasons_; }
    /// The cgroup's directory; "" if it is gone, or the rows are recorded.
    [[nodiscard]] std::string_view cgroup_path(u64 cgroup_id);
    /// Likewise below the root of cgroup v2: "/system.slice/cron.service".
    [[nodiscard]] std::string_view cgroup_name(u64 cgroup_id) { return containers_.name_of(cgroup_id); }

    /// The partition that a request was submitted to; "" if the whole disk, or unknown. Valid until arena.clear().
    std::string_view partition_of(const iolens_block_event& event, RowArena& arena);

    /// Call before each read of a live source. Once a period, drops names that were not used for a whole period, except
    /// those in flight: `begin_period` makes the kernel side send names again when they are next used.
    void age(const std::function<void()>& begin_period, const std::function<std::vector<u64>()>& names_in_flight);

    /// Counts of evicted entries, for -v.
    [[nodiscard]] std::vector<std::string> diagnostics() const;

private:
    [[nodiscard]] const iolens_arguments* given_to(const iolens_call_event& call) const;
    Value resolve(const Column& column, const RawRow& row, RowArena& arena);
    const Tasks::Task* task_of(const iolens_header& event);
    Value of_thread(Role role, const iolens_header& event);
    Value file_of(const RawRow& row, bool csv, RowArena& arena);
    Value file_of(const iolens_call_event& call, bool csv, RowArena& arena);
    Value socket_of(const iolens_call_event& call, bool csv, RowArena& arena);
    Value peer_of(const iolens_call_event& call, RowArena& arena);
    Value time_of(Role role, const Value& time, RowArena& arena);

    Files files_;
    Tasks tasks_;
    Disks disks_;
    Containers containers_;
    Mappings mappings_;
    Arguments arguments_;
    WaitReasons wait_reasons_;
    Periods periods_;
    std::string facility_;
    u64 wall_offset_ns_ = 0;
    u64 log_start_ns_ = 0;
    Decoder decoder_;
    LogClock log_clock_ = LogClock::boot;
    bool recorded_ = false;
    u32 last_thread_ = 0;                     // consecutive columns, and usually rows, are of one thread
    const Tasks::Task* last_task_ = nullptr;  // its task; valid until the next fact
};

}  // namespace iolens
