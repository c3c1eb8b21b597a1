// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/columns.h"

#include "base/failure.h"
#include "base/text.h"
#include "iolens/event/call.h"
#include "lens/columns.h"
#include "lens/fd/info.h"
#include "resolve/resolver.h"
#include "resolve/syscalls.h"
#include "sink/formats.h"

namespace iolens {

std::vector<const Column*> choose_call_columns(const ViewOptions& view, const CallView& calls) {
    std::vector<std::string> names = view.columns;
    if (calls.seed_csv) {
        if (view.ns) {
            throw Failure(Exit::usage, "iomonitor's csv has no column for --ns",
                          "add --format table or json, or choose columns with --columns");
        }
        return pointers_to(call_csv_columns);
    }
    if (names.empty() && calls.format == table_format) {
        names = {view.wall ? "unix_ns" : "time_ns", "duration_ns", "comm", "tid", "call", "fd"};
        if (calls.decode_all) names.insert(names.end(), {"requested", "dev", "ino"});
        names.insert(names.end(), {"offset", "bytes", "error", "file"});
        if (calls.decode_all) names.emplace_back("arguments");
    } else if (names.empty()) {
        for (const Column& column : call_columns) {
            if (column.role != Role::json || calls.why) names.emplace_back(column.name);
        }
    }
    place_host_pid(names, view);
    return choose_columns(call_columns, names);
}

void append_prefix_line(Buffer& out, const iolens_call_event& e, Resolver& resolver, RowArena& text) {
    const LoggedTexts logged = resolver.logged_texts(e);
    const std::string_view arguments = logged.name.empty() ? resolver.arguments_of(e, text).text() : logged.arguments;
    const auto number = [&out](u64 n) {
        const fmt::format_int digits(n);
        append(out, std::string_view(digits.data(), digits.size()));
    };
    append(out, ' ');
    number(e.tid);
    append(out, ',');
    const Value result = call_result(e);
    if (!logged.name.empty()) {
        append(out, logged.result);
    } else if (result.is_null()) {
        append(out, '?');
    } else if (result.is_negative()) {
        append(out, "-1");
    } else {
        append(out, in_base(result.number(), result.base()));
    }
    append(out, ',');
    append(out, logged.name.empty() ? syscall_name(e.call) : logged.name);
    append(out, ',');
    append(out, arguments);
}

std::vector<const Column*> choose_operation_columns(const ViewOptions& view, Format format) {
    std::vector<std::string> names = view.columns;
    const Columns fixed = fixed_columns(fd_info(), format);
    if (!fixed.empty() && !names.empty()) {
        throw Failure(Exit::usage, "io-monitor's formats have fixed columns", "add --format csv, table or json");
    }
    if (!fixed.empty() && view.ns) {
        throw Failure(Exit::usage, "io-monitor's formats have no column for --ns", "add --format csv, table or json");
    }
    if (!fixed.empty()) return {fixed.begin(), fixed.end()};
    if (names.empty() && format == table_format) {
        names = {view.wall ? "unix_ns" : "time_ns",
                 "duration_ns",
                 "comm",
                 "pid",
                 "domain",
                 "op",
                 "fd",
                 "bytes",
                 "error",
                 "arg1",
                 "arg2"};
        if (view.verbose) names.insert(names.end(), {"layer", "call", "file"});
        if (view.verbose || view.unfinished) names.emplace_back("end");
    } else if (names.empty()) {
        names = names_of(operation_columns);
    }
    place_host_pid(names, view);
    return choose_columns(operation_columns, names);
}

}  // namespace iolens
