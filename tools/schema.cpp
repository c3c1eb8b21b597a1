// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "base/failure.h"
#include "commands.h"

namespace iolens {
namespace {

std::string_view unit_name(Unit unit) {
    switch (unit) {
        case Unit::nanoseconds: return "ns";
        case Unit::bytes: return "bytes";
        case Unit::sectors: return "512 B";
        case Unit::none: break;
    }
    return {};
}

std::string_view kind_name(Role role) {
    switch (role) {
        case Role::name:
        case Role::comm:
        case Role::file:
        case Role::file_and_more:
        case Role::author_and_more:
        case Role::file_csv: return "bytes";
        case Role::disk:
        case Role::partition:
        case Role::call: return "name";
        case Role::peer:
        case Role::local: return "address";
        case Role::flags: return "names";
        case Role::facility:
        case Role::container:
        case Role::arguments: return "text";
        case Role::device: return "major:minor";
        case Role::error: return "errno name";
        case Role::json: return "list";
        case Role::pattern: return "letter";
        case Role::time: return "time";
        case Role::wall:
        case Role::clock: return "time";
        case Role::since:
        case Role::seconds:
        case Role::duration: return "duration";
        case Role::uid:
        case Role::cgroup:
        case Role::plain:
        case Role::host_pid: break;
    }
    return "plain";
}

/// Prints every event's columns, from the tables that the sinks use.
int run_schema(Format format) {
    static const std::vector<Column> columns{
        {.name = "event", .header = "EVENT", .width = -8, .help = "event type, the type of its JSON objects"},
        {.name = "field", .header = "FIELD", .width = -10, .help = "csv and JSON key, and name for --columns"},
        {.name = "heading", .header = "HEADING", .width = -9, .help = "table heading"},
        {.name = "kind", .header = "KIND", .width = -11, .help = "kind of value"},
        {.name = "unit", .header = "UNIT", .width = -5, .help = "unit of a number"},
        {.name = "meaning", .header = "MEANING", .width = -10, .help = "description"},
    };
    const std::vector<const Column*> chosen = pointers_to(columns);
    Output out = Output::stream(STDOUT_FILENO, "standard output");
    const auto sink = format->make(out, {});
    sink->begin("field", chosen, nullptr);
    for (const auto& lens : make_lenses()) {
        const auto list = [&](std::string_view event, std::span<const Column> items) {
            for (const Column& c : items) {
                const std::string_view unit = unit_name(c.unit);
                const std::array row{Value(event),
                                     Value(c.name),
                                     Value(c.header),
                                     Value(kind_name(c.role)),
                                     unit.empty() ? Value() : Value(unit),
                                     Value(c.help)};
                sink->row(row);
            }
        };
        for (const RowType& type : lens->info().row_types) list(type.name, type.columns);
        list("summary", lens->summary(false).columns);
    }
    out.flush();
    return static_cast<int>(Exit::ok);
}

/// Prints the domains and operations of --domains, from the table of system calls.
int run_domains(Format format) {
    const Summary table = domains_table();
    const std::vector<const Column*> columns = pointers_to(table.columns);
    Output out = Output::stream(STDOUT_FILENO, "standard output");
    const auto sink = format->make(out, {});
    sink->begin("operation", columns, nullptr);
    for (const auto& row : table.rows) sink->row(row);
    out.flush();
    return static_cast<int>(Exit::ok);
}

}  // namespace

Command schema_command() {
    struct Options {
        std::string format;
        bool domains = false;
    };
    const auto options = std::make_shared<Options>();
    return {.name = "schema",
            .about = "list every column with its unit and meaning",
            .examples =
                "iolens schema  list all columns as a table\niolens schema --format csv  list them as csv\niolens "
                "schema --domains  list operations by domain",
            .add_options =
                [options](OptionGroups& groups) {
                    Flags& flags = groups.group("Options");
                    add_format_option(flags, options->format, plain_formats, table_format);
                    flags.toggle("--domains", options->domains,
                                 "list the domains and operations of 'iolens fd --domains', with their system calls");
                },
            .run =
                [options](const Given& /*given*/) {
                    const Format format = format_of(options->format, plain_formats, table_format);
                    return options->domains ? run_domains(format) : run_schema(format);
                }};
}

}  // namespace iolens
