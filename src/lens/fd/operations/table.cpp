// SPDX-License-Identifier: Apache-2.0
// 'iolens schema --domains'.
#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "iolens/event/operation.h"
#include "lens/fd/operations/select.h"
#include "lens/lens.h"
#include "resolve/syscalls.h"

namespace iolens {

Summary domains_table() {
    struct LibcName {
        std::string_view name;
        u8 operation;
    };
    constexpr std::array functions{
#define IOLENS_NAME(name, operation, place, result) LibcName{#name, IOLENS_OPERATION_##operation},
        IOLENS_LIBC_FUNCTIONS(IOLENS_NAME)
#undef IOLENS_NAME
    };
    Summary s;
    s.columns = {
        {.name = "domain", .header = "DOMAIN", .width = -16, .help = "name for --domains"},
        {.name = "op", .header = "OP", .width = -19, .help = "name for --op"},
        {.name = "number", .header = "NO", .width = 3, .help = "number in io-monitor's records"},
        {.name = "libc", .header = "LIBC", .width = -20, .help = "libc functions (with --libc)"},
        {.name = "calls", .header = "CALLS", .width = -20, .help = "system calls and requests"},
    };
    // operations that are not system calls
    const auto other_source = [](u8 op) -> std::string_view {
        switch (op) {
            case IOLENS_OPERATION_START: return "(process start: fork, exec)";
            case IOLENS_OPERATION_STOP: return "(process exit: exit_group, signal)";
            case IOLENS_OPERATION_HTTP_REQ_SEND:
            case IOLENS_OPERATION_HTTP_REQ_RECV:
            case IOLENS_OPERATION_HTTP_RESP_SEND:
            case IOLENS_OPERATION_HTTP_RESP_RECV: return "(first bytes of socket traffic)";
            case IOLENS_OPERATION_HTTP_RESP_FINI_SEND:
            case IOLENS_OPERATION_HTTP_RESP_FINI_RECV: return "(never: io-monitor defines only the names)";
            default: return {};
        }
    };
    std::vector<std::array<std::string, 2>> texts;
    for (u8 op = 0; op < IOLENS_OPERATION_COUNT; ++op) {
        std::string calls(other_source(op));
        const auto add = [](std::string& to, std::string_view name) { (to += to.empty() ? "" : " ") += name; };
        for (const Syscall& call : syscalls()) {
            if ((operations_of(call) >> op & 1) != 0) add(calls, call.name);
        }
        for (const KnownRequest& request : known_requests()) {
            if (request.operation == op) add(calls, request.name);
        }
        std::string libc;
        for (const LibcName& function : functions) {
            if (function.operation == op) add(libc, function.name);
        }
        texts.push_back({std::move(libc), std::move(calls)});
    }
    std::vector<u8> order(IOLENS_OPERATION_COUNT);
    for (u8 op = 0; op < IOLENS_OPERATION_COUNT; ++op) order[op] = op;
    std::ranges::sort(order, {}, [](u8 op) { return std::pair(known_operations.at(op).domain, op); });
    for (auto& both : texts) {
        for (std::string& text : both) s.texts.push_back(std::move(text));
    }
    const auto text_value = [](const std::string& text) {
        return text.empty() ? Value() : Value(std::string_view(text));
    };
    for (const u8 op : order) {
        s.rows.push_back(
            {Value(known_domains.at(known_operations.at(op).domain).name), Value(known_operations.at(op).name),
             op <= IOLENS_OPERATION_LAST_OF_RECORDS ? Value(u64{op}) : Value(),
             text_value(s.texts.at(std::size_t{op} * 2)), text_value(s.texts.at(std::size_t{op} * 2 + 1))});
    }
    const auto note = [&](std::string_view domain, std::string_view op, std::string_view what) {
        s.rows.push_back({Value(domain), op.empty() ? Value() : Value(op), Value(), Value(), Value(what)});
    };
    note("FILE_OPEN_CLOSE", "_IO_NEW_FOPEN", "(alias of OPEN: glibc's internal name of fopen)");
    note("NETWORKING", "", "(alias for CONNECT, ACCEPT, LISTEN and BIND; their rows show SOCKETS)");
    note("ALL", "", "(every domain but HTTP, whose contents are private; use ALL,HTTP for everything)");
    return s;
}

}  // namespace iolens
