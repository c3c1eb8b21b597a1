// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/info.h"

#include "import/strace_import.h"
#include "iolens/event/call.h"
#include "iolens/event/operation.h"
#include "lens/fd/columns.h"

namespace iolens {

const LensInfo& fd_info() {
    static constexpr std::array types{RowType{.name = "fd", .columns = call_columns},
                                      RowType{.name = "operation", .columns = operation_columns}};
    static constexpr std::array fixed_formats{FixedFormat(format_named("metrics"), metrics_columns),
                                              FixedFormat(format_named("metrics-table"), metrics_columns)};
    static constexpr LensInfo fd{
        .name = "fd",
        .about = "trace what processes read and write, and where: files, pipes, sockets",
        .examples =
            "iolens fd -- git status  trace a command with all its children and threads\n"
            "iolens fd -o rows.csv -- make  write the rows to a file, leave the terminal to the command\n"
            "iolens fd -p 1234  trace a running process and its later children\n"
            "iolens fd -p 1234 --format table  also show offsets, errors, and calls that open and close\n"
            "iolens fd --summary -o /dev/null -- make  print only opens, calls, bytes and time per file and peer\n"
            "iolens fd --summary=open -o /dev/null -- make  print them per open file: when, how long, what was moved\n"
            "iolens fd --comm postgres --format json 10  trace every thread of a name for 10 seconds, as JSON lines\n"
            "iolens fd -v -- ls  show every system call with its arguments\n"
            "iolens fd -i strace.log --summary  summarize a log of 'strace -f -tt -T -yy'\n"
            "iolens fd --domains ALL -- make  show operations by domain, as io-monitor does\n"
            "iolens fd --domains FILE_OPEN_CLOSE,FILE_READ --start-on-open data.db -p 1234\n"
            "iolens fd --domains ALL --socket /run/io.sock --comm nginx\n"
            "iolens fd --why -p 1234  explain slow calls: waits and block requests\n"
            "iolens fd --why --min-ms 20 --op fsync --format json -- ./load\n"
            "iolens fd --columns time_ns,call,bytes,file -- cat /etc/hosts",
        .row_types = types,
        .fixed_formats = fixed_formats,
        .default_format = csv_format,
        .takes_command = true,
        .option_help = {.pid = "only calls of these processes",
                        .pid_live = "trace these processes and the children that they start",
                        .tid = "only calls of this thread",
                        .comm = "only calls of threads of this name (the first 15 bytes count)",
                        .ops = "only these system calls, such as read or openat, and requests, such as io_uring:read; "
                               "with --domains: only these operations",
                        .min_time = "only calls that took MS milliseconds or more (or with a unit: 500us, 2s)",
                        .unfinished = "also show calls that have not returned when tracing ends, without a latency "
                                      "(table and json)",
                        .summary = "print totals and percentiles per file and peer at the end (default on a "
                                   "terminal); =open: per open file",
                        .summary_word = "[=open]",
                        .verbose = "every system call with its arguments, and progress on stderr",
                        .cgroup = "only calls made in this cgroup v2 directory or below",
                        .uid = "only calls of this user's processes",
                        .max_inflight = "track calls of at most N threads at a time (default 32768)"},
    };
    return fd;
}

std::span<const LossCounter> fd_loss_counters() {
    static constexpr std::array counters{
        LossCounter{.counter = &iolens_counters::state_full,
                    .key = "state_full",
                    .item = "call",
                    .cause = "more threads than --max-inflight"},
        LossCounter{.counter = &iolens_counters::requests_full,
                    .key = "requests_full",
                    .item = "libaio or io_uring request",
                    .cause = "more in flight than --max-inflight",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::ambiguous,
                    .key = "ambiguous",
                    .item = "io_uring completion",
                    .cause = "several requests in flight with one user_data",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::unmatched,
                    .key = "unmatched",
                    .item = "failed io_uring completion",
                    .cause = "its request was not found",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::libc_full,
                    .key = "libc_full",
                    .item = "libc call",
                    .cause = "more threads than --max-inflight",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::not_decoded,
                    .key = "not_decoded",
                    .item = "call",
                    .cause = "of 32-bit programs, not decoded",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::not_followed,
                    .key = "not_followed",
                    .item = "process",
                    .cause = "not followed, more than 65536 at once",
                    .in_sum = false},
    };
    return counters;
}

void note_log_losses(Loss& loss, const StraceImport& log) {
    loss.seen += log.unreadable() + log.headless() + log.unfinished();
    loss.note("unreadable_lines", "line", "unreadable", log.unreadable());
    loss.note("headless", "call", "beginning not in the log", log.headless());
    loss.note("unfinished", "call", "end not in the log", log.unfinished());
}

}  // namespace iolens
