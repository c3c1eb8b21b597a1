// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/totals.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <span>
#include <tuple>
#include <vector>

#include "base/text.h"
#include "resolve/syscalls.h"

namespace iolens {
namespace {

// Maximum number of rows: a summary of every file on a machine would grow without bound.
constexpr std::size_t max_files = 2000;
// Calls other than reads and writes have a row per file if they took this long.
constexpr u64 min_line_ns = 1'000'000;
constexpr std::size_t max_opens = 20'000;

Column number(const char* key, const char* header, int width, const char* help, Unit unit = Unit::none) {
    return Column{.name = key, .header = header, .unit = unit, .width = width, .help = help};
}
Column time_column(const char* key, const char* header, const char* help, Role role = Role::duration) {
    return Column{.name = key, .header = header, .unit = Unit::nanoseconds, .role = role, .width = 9, .help = help};
}
Column file_column(const char* help) {
    return Column{.name = "file", .header = "FILE", .role = Role::name, .width = -20, .help = help};
}

/// Adds the columns for reads and writes, and their values.
void add_moved_columns(std::vector<Column>& columns) {
    columns.insert(columns.end(), {number("reads", "READS", 8, "number of calls that read or receive"),
                                   number("read_bytes", "BYTES", 12, "bytes read", Unit::bytes),
                                   time_column("read_time_ns", "TIME(ms)", "sum of their durations"),
                                   number("writes", "WRITES", 8, "number of calls that write or send"),
                                   number("write_bytes", "BYTES", 12, "bytes written", Unit::bytes),
                                   time_column("write_time_ns", "TIME(ms)", "sum of their durations")});
}
void add_moved(std::vector<Value>& row, const std::array<MovedTotals, 2>& moved) {
    for (const MovedTotals& side : moved) {
        row.insert(row.end(), {Value(side.calls), Value(side.bytes), Value(side.time_ns)});
    }
}

constexpr std::size_t moved_columns = 6;

/// Does the call open a file by its path?
bool opens_file(u16 id) {
    const std::string_view call = syscall_name(id);
    return call.starts_with("open") || call == "creat" || call.starts_with("io_uring:open");
}

std::size_t side_of(const iolens_call_event& e) { return e.direction == IOLENS_DIR_READ ? 0 : 1; }

}  // namespace

iolens_call_event with_ipv4(const iolens_call_event& e) {
    constexpr std::array<u8, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    iolens_call_event same = e;
    if (e.family != AF_INET6 || !std::ranges::equal(mapped, std::span(e.peer).first<12>())) return same;
    same.family = AF_INET;
    std::copy_n(&e.peer[12], 4, &same.peer[0]);
    return same;
}

void MovedTotals::add(const iolens_call_event& e) {
    ++calls;
    bytes += call_bytes(e).number();
    time_ns += call_time_ns(e);
}

void FileTotals::Times::add(const iolens_call_event& e) {
    ++calls;
    errors += e.result < 0 ? 1U : 0U;
    time_ns += call_time_ns(e);
    if ((e.flags & IOLENS_CALL_NO_DURATION) == 0) times.add(call_time_ns(e));
}

void FileTotals::Times::add(const Times& other) {
    calls += other.calls;
    errors += other.errors;
    time_ns += other.time_ns;
    times.add(other.times);
}

void FileTotals::add(const iolens_call_event& e, std::string_view file) {
    Totals& totals = totals_of(file);
    if (e.direction == IOLENS_DIR_NONE) {
        totals.times_of(e.call).add(e);
        totals.opens += e.result >= 0 && opens_file(e.call) ? 1U : 0U;
        return;
    }
    totals.moving.add(e);
    totals.moved.at(side_of(e)).add(e);
}

FileTotals::Times& FileTotals::Totals::times_of(u16 call) {
    const auto it = std::ranges::find(calls, call, &std::pair<u16, Times>::first);
    return it != calls.end() ? it->second : calls.emplace_back(call, Times()).second;
}

FileTotals::Totals& FileTotals::totals_of(std::string_view file) {
    if (const auto it = totals_.find(file); it != totals_.end()) return *it->second;
    auto& slot = totals_[std::string(totals_.size() < max_files ? file : "(all others)")];
    if (!slot) slot = std::make_unique<Totals>();
    return *slot;
}

Summary FileTotals::summary() const {
    Summary s;
    s.columns = {number("opens", "OPENS", 6, "number of opens, if calls that open are traced")};
    add_moved_columns(s.columns);
    s.columns.insert(
        s.columns.end(),
        {Column{.name = "call",
                .header = "CALL",
                .width = -12,
                .help = "the call that the following columns are about; empty: reads and writes"},
         number("calls", "CALLS", 8, "number of calls"), time_column("time_ns", "TIME(ms)", "sum of their durations"),
         time_column("p50_ns", "p50", "median duration"), time_column("p99_ns", "p99", "99th percentile of durations"),
         time_column("max_ns", "max", "longest call"), number("errors", "ERRORS", 6, "number of failed calls"),
         file_column("file, pipe or peer, sorted by time; (others): calls that took less than 1 ms on each file")});
    struct Line {
        std::string_view file;
        const Totals* totals;
        std::string_view call;
        const Times* times;
    };
    std::vector<Line> lines;
    const Times none;
    std::map<std::string_view, Times> short_calls;
    for (const auto& [file, totals] : totals_) {
        if (totals->moving.calls != 0) {
            lines.push_back({file, totals.get(), "", &totals->moving});
        } else if (totals->opens != 0) {
            lines.push_back({file, totals.get(), "", &none});
        }
        for (const auto& [id, times] : totals->calls) {
            const std::string_view name = syscall_name(id);
            const std::string_view call = name.empty() ? "?" : name;  // of a log: this version doesn't know it
            if (times.time_ns >= min_line_ns) {
                lines.push_back({file, totals.get(), call, &times});
            } else {
                short_calls[call].add(times);
            }
        }
    }
    for (const auto& [call, times] : short_calls) lines.push_back({"(others)", nullptr, call, &times});
    std::ranges::sort(lines, [](const Line& a, const Line& b) {
        if (a.times->time_ns != b.times->time_ns) return a.times->time_ns > b.times->time_ns;
        return std::tie(a.file, a.call) < std::tie(b.file, b.call);
    });
    for (const auto& [file, totals, call, times] : lines) {
        std::vector<Value> row;
        const bool moves = call.empty();
        row.push_back(moves ? Value(totals->opens) : Value());
        if (moves) {
            add_moved(row, totals->moved);
        } else {
            row.resize(1 + moved_columns);
        }
        row.insert(row.end(), {moves ? Value() : Value(call), Value(times->calls), Value(times->time_ns)});
        add_percentiles(row, times->times, {50, 99});
        row.insert(row.end(), {Value(times->errors), Value(file)});
        s.rows.push_back(std::move(row));
    }
    return s;
}

OpenTotals::Open& OpenTotals::find(const iolens_call_event& e, std::string_view name) {
    Open*& slot = open_[e.open_id];
    if (slot == nullptr) {
        all_.push_back({});
        slot = &all_.back();
        slot->name = name;
        slot->tid = e.tid;
        slot->host_tid = host_tid(e);
    }
    return *slot;
}

void OpenTotals::add(const iolens_call_event& e, std::string_view name) {
    if (e.open_id == 0 || (all_.size() >= max_opens && !open_.contains(e.open_id))) {
        not_listed_ += e.open_id != 0 && e.direction != IOLENS_DIR_NONE ? 1U : 0U;
        return;
    }
    if (e.direction != IOLENS_DIR_NONE) {
        Open& found = find(e, name);
        found.errors += e.result < 0 ? 1U : 0U;
        found.moved.at(side_of(e)).add(e);
        return;
    }
    const Syscall* call = find_syscall(e.call);
    const bool closes = syscall_name(e.call) == "close" || syscall_name(e.call) == "io_uring:close";
    if (e.result < 0) return;
    if (closes) {
        Open& found = find(e, name);
        // a child closes its copy: the file stays open
        if (found.host_tid != host_tid(e) && found.opened_ns != 0) return;
        if (--found.fds == 0 || found.opened_ns == 0) {
            found.closed_ns = e.h.ts;
            open_.erase(e.open_id);
        }
        return;
    }
    if (call != nullptr && call->name.starts_with("dup")) {
        ++find(e, name).fds;
    } else if (makes_fds(e.call)) {
        // the id belonged to a file that no longer exists
        if (open_.erase(e.open_id) != 0 && all_.size() >= max_opens) return;
        find(e, name).opened_ns = e.start;
    }
}

Summary OpenTotals::summary() const {
    Summary s;
    s.columns = {
        time_column("opened_ns", "OPENED(s)", "time of the open; empty: before tracing", Role::time),
        time_column("open_ns", "OPEN(ms)", "time from open to close; empty: close not seen"),
        number("tid", "TID", -7, "thread that opened it, or used it first"),
    };
    add_moved_columns(s.columns);
    s.columns.push_back(number("errors", "ERRORS", 6, "number of failed calls"));
    s.columns.push_back(file_column("file, pipe or peer, sorted by time of open"));
    for (const Open& item : all_) {
        if (item.opened_ns == 0 && item.moved[0].calls + item.moved[1].calls == 0) continue;  // only its close was seen
        const bool whole = item.opened_ns != 0 && item.closed_ns != 0;
        std::vector<Value> row{item.opened_ns != 0 ? Value(item.opened_ns) : Value(),
                               whole ? Value(item.closed_ns - item.opened_ns) : Value(), Value(u64{item.tid})};
        add_moved(row, item.moved);
        row.insert(row.end(), {Value(item.errors), Value(std::string_view(item.name))});
        s.rows.push_back(std::move(row));
    }
    if (not_listed_ != 0) {
        std::vector<Value> last(s.columns.size());
        s.texts.push_back(fmt::format("({} on further files)", counted(not_listed_, "call")));
        last.back() = Value(std::string_view(s.texts.back()));
        s.rows.push_back(std::move(last));
    }
    return s;
}

}  // namespace iolens
