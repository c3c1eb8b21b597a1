// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/operations/record.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/clock.h"
#include "base/text.h"
#include "probe/pid_namespace.h"
#include "resolve/socket_address.h"
#include "resolve/syscalls.h"
#include "resolve/tasks.h"

namespace iolens {
namespace {

/// "" for an address family without addresses.
std::string address_text(u16 family, const u8* bytes, u16 port) {
    const SocketAddress address(family, bytes);
    if (address.text().empty()) return {};
    Buffer out;
    address.append_with_port(out, port);
    return fmt::to_string(out);
}

/// The value of the first argument of this kind; nothing if the call has none.
std::optional<s64> argument_of_kind(const Syscall& call, std::span<const u64> values, char kind) {
    std::size_t place = 0;
    for (std::string_view rest = call.arguments; !rest.empty() && place < values.size(); ++place) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        if (rest[end - 1] == kind) return static_cast<s32>(values[place]);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
}

}  // namespace

std::vector<Record> Operations::starts(const std::vector<u32>& processes) const {
    std::vector<Record> items;
    if (!selection_.from_the_start()) return items;
    const auto record = [&](u32 pid, u8 op, u32 parent, std::string_view text) {
        iolens_operation_event e{};
        text = text.substr(0, IOLENS_OPERATION_TEXT - 1);
        e.h = {.ts = clock_ns(CLOCK_BOOTTIME), .kind = IOLENS_KIND_OPERATION, .size = 0, .cpu = 0};
        e.start = e.h.ts;
        e.tgid = pid;
        e.tid = pid;
        e.ppid = parent;
        if (own_pidns().level != 0) e.host_tid = ~u32{0};  // unknown
        e.fd = op == IOLENS_OPERATION_START ? 0 : -1;
        e.call = IOLENS_NO_CALL;
        e.op = op;
        e.length1 = static_cast<u16>(text.size());
        items.push_back(make_record(e, {text}));
    };
    for (const u32 pid : processes) {
        const std::string place = "/proc/" + std::to_string(pid);
        std::ifstream file(place + "/cmdline", std::ios::binary);
        const std::string command{std::istreambuf_iterator<char>(file), {}};
        const auto parent = static_cast<u32>(std::strtoul(process_status(pid, "PPid").c_str(), nullptr, 10));
        if (selection_.wants(IOLENS_OPERATION_START)) record(pid, IOLENS_OPERATION_START, parent, command);
        std::error_code error;
        const auto directory = std::filesystem::read_symlink(place + "/cwd", error);
        if (selection_.wants(IOLENS_OPERATION_CHDIR) && !error)
            record(pid, IOLENS_OPERATION_CHDIR, 0, directory.string());
    }
    return items;
}

const iolens_operation_event* Operations::made(const iolens_operation_event& e, std::string_view first,
                                               std::string_view second) {
    first = first.substr(0, IOLENS_OPERATION_TEXT - 1);
    second = second.substr(0, IOLENS_OPERATION_TEXT - 1);
    iolens_operation_event whole = e;
    whole.length1 = static_cast<u16>(first.size());
    whole.length2 = static_cast<u16>(second.size());
    whole.h.kind = IOLENS_KIND_OPERATION;
    made_ = make_record(whole, {first, second});
    return reinterpret_cast<const iolens_operation_event*>(made_.data());
}

const iolens_operation_event* Operations::of_call(const iolens_call_event& e, const iolens_arguments* arguments,
                                                  Files& files) {
    if (arguments != nullptr && (arguments->call != e.call || arguments->h.ts < e.start)) arguments = nullptr;
    ArgumentTexts texts;
    if (arguments != nullptr) argument_texts(*arguments, texts);
    if (e.result < 0) failed_.put(host_tid(e), {e.h.ts, static_cast<s32>(e.result)});
    const Syscall* call = find_syscall(e.call);
    const KnownRequest* request = find_request(e.call);
    u8 op = call != nullptr ? call->operation : request != nullptr ? request->operation : u8{IOLENS_OPERATION_NONE};
    if (e.direction == IOLENS_DIR_READ) op = IOLENS_OPERATION_READ;
    if (e.direction == IOLENS_DIR_WRITE) op = IOLENS_OPERATION_WRITE;
    if (op == IOLENS_OPERATION_UNLINK && call != nullptr && call->name == "unlinkat" && (e.asked & AT_REMOVEDIR) != 0) {
        op = IOLENS_OPERATION_RMDIR;
    }
    constexpr u64 clone_thread = 0x10000;
    if (op == IOLENS_OPERATION_FORK && (e.asked & clone_thread) != 0) return nullptr;  // a thread
    if (!selection_.wants(op)) return nullptr;

    iolens_operation_event operation{};
    operation.h = e.h;
    operation.start = e.start;
    operation.name_id = e.file == IOLENS_FILE_NONE ? 0 : e.name_id;
    operation.tgid = e.tgid;
    operation.tid = e.tid;
    operation.host_tid = e.host_tid;
    operation.error = e.result < 0 ? static_cast<s32>(e.result) : 0;
    if (call_is_unended(e)) {
        operation.h.ts = e.start;
        const bool pending = (e.flags & IOLENS_CALL_PENDING) != 0;
        if (pending || e.h.cpu != IOLENS_NO_CPU) operation.error = pending ? IOLENS_ERROR_PENDING : IOLENS_ERROR_NO_END;
    }
    operation.fd = e.fd < 0 ? -1 : e.fd;
    operation.call = e.call;
    operation.op = op;
    operation.layer = IOLENS_LAYER_KERNEL;
    const u64 result = e.result < 0 ? 0 : static_cast<u64>(e.result);
    std::array<std::string, 2> args;
    std::size_t count = 0;
    for (const std::string_view text : texts) {
        if (text.data() != nullptr && count < args.size()) args.at(count++) = text;
    }
    const std::span<const u64> values =
        arguments != nullptr ? std::span<const u64>(arguments->values) : std::span<const u64>();
    // an empty path after a dirfd means the fd itself: AT_EMPTY_PATH
    if (call != nullptr && !values.empty() && call->arguments.starts_with("dirfd:D") && texts[1].data() != nullptr &&
        texts[1].empty()) {
        operation.fd = static_cast<s32>(values[0]);
    }
    switch (op) {
        case IOLENS_OPERATION_READ:
        case IOLENS_OPERATION_WRITE: operation.bytes = call_bytes(e).number(); break;
        case IOLENS_OPERATION_GETXATTR:
        case IOLENS_OPERATION_LISTXATTR: operation.bytes = result; break;
        case IOLENS_OPERATION_SETXATTR:
            if (call != nullptr && operation.error == 0) {
                operation.bytes = static_cast<u64>(argument_of_kind(*call, values, 'u').value_or(0));
            }
            break;
        case IOLENS_OPERATION_KILL:
            if (call == nullptr) break;
            if (const auto pid = argument_of_kind(*call, values, 'd')) args[0] = std::to_string(*pid);
            if (const auto signal = argument_of_kind(*call, values, 'S')) args[1] = std::to_string(*signal);
            break;
        case IOLENS_OPERATION_DUP:
            if (!values.empty()) args[0] = std::to_string(static_cast<s32>(values[0]));
            break;
        case IOLENS_OPERATION_FORK:
            if (operation.error == 0) args[0] = std::to_string(result);
            break;
        case IOLENS_OPERATION_CONNECT:
        case IOLENS_OPERATION_ACCEPT:
            if ((e.flags & IOLENS_CALL_HAS_PEER) != 0) args[0] = address_text(e.family, e.peer, e.port);
            break;
        case IOLENS_OPERATION_BIND:
            if ((e.flags & IOLENS_CALL_HAS_LOCAL) != 0) args[0] = address_text(e.family, e.local, e.local_port);
            break;
        case IOLENS_OPERATION_OPEN:
            // an io_uring request's path is not emitted, but the name of the opened file is
            if (const Files::Name* name = files.find(operation.name_id); args[0].empty() && name != nullptr) {
                args[0] = name->text;
            }
            if (args[0] == "." || args[0] == "..") return nullptr;  // io-monitor omits them
            break;
        default: break;
    }
    return made(operation, args[0], args[1]);
}

const iolens_operation_event* Operations::of_record(const iolens_header& head, Files& files) {
    if (head.kind != IOLENS_KIND_OPERATION || head.size < sizeof(iolens_operation_event)) return nullptr;
    iolens_operation_event operation = reinterpret_cast<const iolens_operation_event&>(head);
    if (operation.op >= IOLENS_OPERATION_COUNT ||
        std::size_t{operation.length1} + operation.length2 > head.size - sizeof operation) {
        return nullptr;
    }
    const char* texts = operation_text(reinterpret_cast<const iolens_operation_event&>(head));
    std::string first(texts, operation.length1);
    std::string second(texts + operation.length1, operation.length2);
    switch (operation.op) {
        case IOLENS_OPERATION_START:
            while (!first.empty() && first.back() == '\0') first.pop_back();
            std::ranges::replace(first, '\0', ' ');
            second = std::to_string(operation.ppid);
            processes_.put(process_key(operation), {first, operation.ppid});
            break;
        case IOLENS_OPERATION_STOP:
            if (const Process* process = processes_.find(process_key(operation))) {
                first = process->command;
                second = std::to_string(process->parent);
                processes_.erase(process_key(operation));
            }
            break;
        case IOLENS_OPERATION_CHDIR:
            if (const Files::Name* name = files.find(operation.name_id); first.empty() && name != nullptr)
                first = name->text;
            break;
        case IOLENS_OPERATION_HTTP_REQ_SEND:
        case IOLENS_OPERATION_HTTP_REQ_RECV:
        case IOLENS_OPERATION_HTTP_RESP_SEND:
        case IOLENS_OPERATION_HTTP_RESP_RECV: {
            const std::size_t end = std::min(first.find('\n'), first.size());
            second = first.substr(std::min(end + 1, first.size()));
            first.resize(end);
            while (first.ends_with('\r')) first.pop_back();
            while (second.ends_with('\r')) second.pop_back();
            if (first.find("HTTP") == std::string::npos) return nullptr;
            break;
        }
        default: break;
    }
    if (operation.layer == IOLENS_LAYER_LIBC && operation.error == IOLENS_ERROR_UNKNOWN) {
        // take the error of its system call
        const Failed* failed = failed_.find(host_tid(operation));
        if (failed != nullptr && failed->end >= operation.start && failed->end <= operation.h.ts)
            operation.error = failed->error;
    }
    if (!selection_.wants(operation.op)) return nullptr;
    if (operation.op == IOLENS_OPERATION_OPEN && (first == "." || first == "..")) return nullptr;
    return made(operation, first, second);
}

void Operations::add(const iolens_operation_event& e) {
    Totals& totals = totals_[e.op];
    ++totals.calls;
    if (is_unended(e)) return;
    totals.errors += e.error != 0 ? 1U : 0U;
    totals.bytes += e.bytes;
    totals.time_ns += e.h.ts - e.start;
    totals.times.add(e.h.ts - e.start);
}

Summary Operations::summary() const {
    Summary s;
    const auto time = [](const char* key, const char* header, const char* help) {
        return Column{
            .name = key, .header = header, .unit = Unit::nanoseconds, .role = Role::duration, .width = 9, .help = help};
    };
    s.columns = {
        {.name = "domain", .header = "DOMAIN", .width = -16, .help = "domain of the operation"},
        {.name = "op", .header = "OP", .width = -14, .help = "operation"},
        {.name = "calls", .header = "CALLS", .width = 8, .help = "number of operations"},
        {.name = "errors", .header = "ERRORS", .width = 6, .help = "number of failed operations"},
        {.name = "bytes", .header = "BYTES", .unit = Unit::bytes, .width = 12, .help = "bytes transferred"},
        time("time_ns", "TIME(ms)", "sum of durations"),
        time("p50_ns", "p50", "median duration"),
        time("p99_ns", "p99", "99th percentile of durations"),
        time("max_ns", "max", "longest duration"),
    };
    for (const auto& [op, totals] : totals_) {
        s.rows.push_back({Value(known_domains.at(known_operations.at(op).domain).name),
                          Value(known_operations.at(op).name), Value(totals.calls), Value(totals.errors),
                          Value(totals.bytes), Value(totals.time_ns)});
        add_percentiles(s.rows.back(), totals.times, {50, 99});
    }
    return s;
}

}  // namespace iolens
