// SPDX-License-Identifier: Apache-2.0
#include "lens/options.h"

#include "base/failure.h"

namespace iolens {

void add_view_flags(Flags& flags, ViewOptions& o) {
    flags.toggle("-t,--timestamp", o.wall, "wall-clock time of each row (HH:MM:SS.mmm) instead of seconds");
    flags.numbers("-p,--pid", o.pids, 1, 0x7fffffff, "PID,...", "only what these processes ask for (up to 16)");
    flags.number("--tid", o.tid, 1, 0x7fffffff, "TID", "only what this thread asks for");
    flags.text("--comm", o.comm, "NAME", "only what threads of this name ask for (the first 15 bytes count)");
    flags.list("--op", o.ops, "OP,...", "only these operations: read, write, flush, discard …");
    flags.real("-m,--min-ms", o.min_ms, 0, 1e9, "MS", "only what took at least this long (block: the device)");
    flags.number("--count", o.count, 1, ~u64{0}, "N", "end after N rows");
    flags.text("-o,--output", o.output, "FILE", "write rows to FILE instead of standard output");
    flags.list("--columns", o.columns, "NAME,...", "which columns, in this order ('iolens schema' lists them)");
    flags.toggle("--ns", o.ns, "show the pids of the initial pid namespace, too, in column HOSTPID");
    flags.toggle("--unfinished", o.unfinished,
                 "rows in table and json for what is not over when tracing ends, too, without a latency");
    flags.toggle("--no-header", o.no_header, "no heading");
    flags.toggle_word(
        "--summary", o.summary_by,
        "totals and percentiles at the end (default on a terminal); of fd also --summary=open: each open file's");
    flags.toggle("--no-summary", o.no_summary, "no summary");
    flags.toggle("-v,--verbose", o.verbose,
                 "more columns, of fd every system call with its arguments; on standard error how it goes");
}

void add_live_flags(Flags& flags, LiveOptions& o) {
    flags.text("-c,--cgroup", o.cgroup, "PATH", "only tasks in this cgroup v2 directory and below, when they ask");
    flags.number("--uid", o.uid, 0, 0xfffffffe, "UID", "only what this user's tasks ask for");
    flags.real("-D,--duration", o.duration_s, 0.001, 1e9, "SECONDS",
               "end after so long; of block and fd also as the last word");
    flags.real("--interval", o.interval_s, 0.1, 1e6, "SECONDS",
               "of block: no rows but a summary each time, of the requests since the last; redrawn on a terminal");
    flags.text("--record", o.record, "FILE", "keep the events in FILE for 'iolens replay'; '-' is standard output");
    flags.text("--socket", o.socket, "PATH", "rows as JSON lines to every client of this unix socket");
    flags.number("--ring-size", o.ring_mib, 1, 1024, "MIB", "room for events on their way, a power of two (default 8)");
    flags.number("--max-inflight", o.max_inflight, 64, 1 << 22, "N",
                 "most operations followed at once (default 32768)");
}

u64 ring_bytes(const LiveOptions& live) {
    const u64 mib = live.ring_mib.value_or(8);
    if ((mib & (mib - 1)) != 0) {
        throw Failure(Exit::usage, fmt::format("--ring-size {} is no power of two", mib), "take 4, 8, 16, 32 …");
    }
    return mib << 20;
}

}  // namespace iolens
