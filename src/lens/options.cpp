// SPDX-License-Identifier: Apache-2.0
#include "lens/options.h"

#include "base/failure.h"
#include "base/units.h"

namespace iolens {
namespace {

constexpr u64 ms = 1'000'000;
constexpr u64 s = 1'000 * ms;

}  // namespace

void add_view_flags(Flags& flags, ViewOptions& o, const OptionHelp& help) {
    flags.toggle("-t,--timestamp", o.wall, "show wall-clock times (HH:MM:SS.mmm) instead of seconds");
    flags.numbers("-p,--pid", o.pids, 1, 0x7fffffff, "PID,...", help.pid);
    flags.number("--tid", o.tid, 1, 0x7fffffff, "TID", help.tid);
    flags.text("--comm", o.comm, "NAME", help.comm);
    flags.list("--op", o.ops, "OP,...", help.ops);
    flags.time("-m,--min-ms", o.min_ns, ms, 0, 1'000'000 * s, "MS", help.min_time);
    flags.number("--count", o.count, 1, ~u64{0}, "N", "stop after N rows");
    flags.text("-o,--output", o.output, "FILE", "write rows to FILE instead of standard output");
    flags.list("--columns", o.columns, "NAME,...", "show these columns, in this order ('iolens schema' lists them)");
    flags.toggle("--ns", o.ns, "also show pids of the initial pid namespace, in column HOSTPID");
    flags.toggle("--unfinished", o.unfinished, help.unfinished);
    flags.toggle("--no-header", o.no_header, "print no column headings");
    flags.toggle_word("--summary", o.summary_by, help.summary_word, help.summary);
    flags.toggle("--no-summary", o.no_summary, "print no summary");
    flags.toggle("-v,--verbose", o.verbose, help.verbose);
}

void add_live_flags(Flags& flags, LiveOptions& o, const OptionHelp& help) {
    flags.text("-c,--cgroup", o.cgroup, "PATH", help.cgroup);
    flags.number("--uid", o.uid, 0, 0xfffffffe, "UID", help.uid);
    flags.time("-D,--duration", o.duration_ns, bare_duration, min_duration, max_duration, "SECONDS",
               "stop after SECONDS (or with a unit: 500ms, 5min)");
    if (help.interval != nullptr) {
        flags.time("--interval", o.interval_ns, s, s / 10, 1'000'000 * s, "SECONDS", help.interval);
    }
    flags.text("--record", o.record, "FILE", "record events in FILE for 'iolens replay' ('-': standard output)");
    flags.text("--socket", o.socket, "PATH", "send rows as JSON lines to every client of this Unix socket");
    add_ring_flag(flags, o.ring_bytes);
    flags.number("--max-inflight", o.max_inflight, 64, 1 << 22, "N", help.max_inflight);
}

void add_ring_flag(Flags& flags, std::optional<u64>& bytes) {
    constexpr u64 mib = u64{1} << 20;
    flags.size("--ring-size", bytes, mib, mib, 1024 * mib, "SIZE",
               "ring buffer size, a power of two (default 8MiB); without a unit, MiB");
}

u64 ring_bytes(const LiveOptions& live) {
    const u64 bytes = live.ring_bytes.value_or(default_ring_bytes);
    if ((bytes & (bytes - 1)) != 0) {
        throw Failure(Exit::usage, fmt::format("--ring-size {} is not a power of two", size_text(bytes)),
                      "use 4MiB, 8MiB, 16MiB, 32MiB …");
    }
    return bytes;
}

}  // namespace iolens
