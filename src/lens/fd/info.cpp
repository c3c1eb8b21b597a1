// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/info.h"

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
        .about = "what a process reads and writes, to and from where: files, pipes, sockets",
        .examples =
            "iolens fd -- git status                       a command, with all its children and threads\n"
            "iolens fd -o rows.csv -- make                 the rows to a file, the terminal to the command\n"
            "iolens fd -p 1234                             a running process, and its later children\n"
            "iolens fd -p 1234 --format table              with offsets, errors and the calls that open and close\n"
            "iolens fd --summary -o /dev/null -- make      opens, calls, bytes and time per file and peer\n"
            "iolens fd --summary=open -o /dev/null -- make each open file: when, how long, what was moved\n"
            "iolens fd --comm postgres --format json 10    every thread of a name, ten seconds, as JSON lines\n"
            "iolens fd -v -- ls                            every system call with its arguments\n"
            "iolens fd -i strace.log --summary             the same of a log of 'strace -f -T -tt'\n"
            "iolens fd --domains ALL -- make               operations by domain, as io-monitor has them\n"
            "iolens fd --domains FILE_OPEN_CLOSE,FILE_READ --start-on-open data.db -p 1234\n"
            "iolens fd --domains ALL --socket /run/io.sock --comm nginx\n"
            "iolens fd --why -p 1234                       what its slow calls wait for, with the block requests\n"
            "iolens fd --why --min-ms 20 --op fsync --format json -- ./load\n"
            "iolens fd --columns time_ns,call,bytes,file -- cat /etc/hosts",
        .row_types = types,
        .fixed_formats = fixed_formats,
        .default_format = csv_format,
        .takes_command = true,
    };
    return fd;
}

std::span<const LossCounter> fd_loss_counters() {
    static constexpr std::array counters{
        LossCounter{.counter = &iolens_counters::state_full,
                    .key = "state_full",
                    .words = "calls (more threads than --max-inflight)"},
        LossCounter{.counter = &iolens_counters::requests_full,
                    .key = "requests_full",
                    .words = "requests of libaio and io_uring (more in flight than --max-inflight)",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::libc_full,
                    .key = "libc_full",
                    .words = "functions of libc (in more threads than --max-inflight)",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::not_decoded,
                    .key = "not_decoded",
                    .words = "calls of 32-bit programs (not decoded)",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::not_followed,
                    .key = "not_followed",
                    .words = "processes that were not followed (more than 65536 at once)",
                    .in_sum = false},
    };
    return counters;
}

}  // namespace iolens
