// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/operations/select.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>

#include "base/failure.h"
#include "base/output.h"
#include "base/suggest.h"
#include "base/text.h"
#include "iolens/event/operation.h"
#include "lens/fd/columns.h"
#include "lens/fd/info.h"
#include "lens/fd/select.h"
#include "lens/requests.h"
#include "resolve/syscalls.h"
#include "sink/queue.h"

namespace iolens {
namespace {

static_assert(IOLENS_OPERATION_COUNT <= 64);

constexpr u64 bit(u8 op) { return u64{1} << op; }

constexpr u64 of_domain(iolens_domain domain) {
    u64 items = 0;
    for (u8 op = 0; op < IOLENS_OPERATION_COUNT; ++op) {
        if (known_operations[op].domain == domain) items |= bit(op);
    }
    return items;
}

// HTTP shows contents, which are private: it has to be selected by name.
constexpr u64 all_domains = (bit(IOLENS_OPERATION_COUNT) - 1) & ~of_domain(IOLENS_DOMAIN_HTTP);
// A domain that is in io-monitor's papers but not in its records.
constexpr u64 networking = bit(IOLENS_OPERATION_CONNECT) | bit(IOLENS_OPERATION_ACCEPT) | bit(IOLENS_OPERATION_LISTEN) |
                           bit(IOLENS_OPERATION_BIND);

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
    return value != nullptr ? value : "";
}

/// The operations of a domain; 0 if there is no domain of this name.
u64 operations_of(std::string_view name) {
    if (name == "ALL") return all_domains;
    if (name == "NETWORKING") return networking;
    const auto it = std::ranges::find(known_domains, name, &KnownDomain::name);
    return it == known_domains.end() ? 0 : of_domain(static_cast<iolens_domain>(it - known_domains.begin()));
}

std::string unknown_domain(std::string_view name) {
    std::vector<std::string_view> names{"ALL", "NETWORKING"};
    for (const KnownDomain& domain : known_domains) names.push_back(domain.name);
    return unknown_name("domain", name, names);
}

/// Does a call move bytes between file descriptors that may be sockets?
bool may_carry_http(const Syscall& call) {
    switch (call.info.shape) {
        case IOLENS_SHAPE_MOVE:
        case IOLENS_SHAPE_SEND:
        case IOLENS_SHAPE_RECEIVE:
        case IOLENS_SHAPE_VECTOR:
        case IOLENS_SHAPE_MESSAGE: return call.info.direction != IOLENS_DIR_NONE;
        default: return false;
    }
}

bool is_two_sided(const Syscall& call) {
    return call.info.shape == IOLENS_SHAPE_SENDFILE || call.info.shape == IOLENS_SHAPE_COPY ||
           call.info.shape == IOLENS_SHAPE_TEE;
}

/// A state table for finding `words` byte by byte: row n (256 entries) applies after n matched bytes, and gives the
/// number of matched bytes after each possible next byte.
std::vector<u8> search_table(const std::string& words) {
    const std::size_t rows = words.size() + 1;
    std::vector<u8> table(rows * 256);
    std::size_t shorter = 0;  // longest prefix of `words` that is a suffix of the bytes read, less the first one
    for (std::size_t row = 0; row < words.size(); ++row) {
        const auto byte = static_cast<u8>(words[row]);
        for (std::size_t c = 0; c < 256 && row > 0; ++c) table[row * 256 + c] = table[shorter * 256 + c];
        table[row * 256 + byte] = static_cast<u8>(row + 1);
        if (row > 0) shorter = table[shorter * 256 + byte];
    }
    return table;
}

}  // namespace

u64 operations_of(const Syscall& call) {
    if (call.operation == IOLENS_OPERATION_NONE || call.operation == IOLENS_OPERATION_STOP) return 0;
    u64 items = bit(call.operation);
    if (call.name == "unlinkat") items |= bit(IOLENS_OPERATION_RMDIR);
    if (is_two_sided(call)) items |= bit(IOLENS_OPERATION_WRITE);
    return items;
}

u64 operations_named(std::string_view word) {
    if (word == "_IO_NEW_FOPEN") word = "OPEN";  // glibc's internal name for fopen
    const auto it = std::ranges::find(known_operations, word, &KnownOperation::name);
    if (it != known_operations.end()) return bit(static_cast<u8>(it - known_operations.begin()));
    return operations_of(word);
}

void OperationSelection::view_flags(Flags& flags) {
    flags.list(
        "--domains", domains_, "NAME,...",
        "show operations of these domains, as io-monitor does; ALL: all but HTTP ('iolens schema --domains' lists "
        "them)");
    flags.text("--facility", facility_, "ID", "with --domains: facility ID in each row (default u)");
}

void OperationSelection::live_flags(Flags& flags) {
    constexpr u64 ms = 1'000'000;
    flags.text("--start-on-open", start_on_open_, "TEXT",
               "with --domains: trace a process once it opens a file with TEXT in its path");
    flags.time("--start-on-elapsed", start_on_elapsed_ns_, ms, 0, 1'000'000'000 * ms, "MS",
               "with --domains: trace a process once an operation takes longer than MS milliseconds (or with a unit: "
               "500us, 2s)");
    flags.toggle("--libc", libc_, "with --domains: also trace functions of libc: fopen, fread, readdir …");
    flags.toggle("--std-fds", std_fds_, "with --domains: also show operations on fds 0, 1 and 2");
    flags.text("--mq", queue_, "PATH", "with --domains: send rows to io-monitor's message queue of this file");
}

void OperationSelection::prepare(const ViewOptions& view, bool replayed) {
    const bool asked = !domains_.empty();
    if (!asked && !replayed) {
        const std::string names = environment("MONITOR_DOMAINS");
        for (std::size_t at = 0; at < names.size();) {
            const std::size_t end = std::min(names.find(',', at), names.size());
            if (end != at) domains_.push_back(names.substr(at, end - at));
            at = end + 1;
        }
    }
    for (const std::string& name : domains_) {
        const u64 operations = operations_of(name);
        if (operations == 0 && asked) {
            throw Failure(Exit::usage, unknown_domain(name), "'iolens schema --domains' lists them");
        }
        if (operations == 0) log_line("MONITOR_DOMAINS: " + unknown_domain(name));
        wanted_ |= operations;
    }
    if (narrowed_ != 0) wanted_ &= narrowed_;
    wanted_ &= ~left_out_;
    if (domains_.empty()) {
        const bool only_here = narrowed_ != 0 || !start_on_open_.empty() || start_on_elapsed_ns_ || libc_ || std_fds_ ||
                               !queue_.empty() || !facility_.empty() || !fixed_columns(fd_info(), view.format).empty();
        if (!only_here) return;
        throw Failure(Exit::usage, "these options need --domains", "add --domains ALL, or the domains that you want");
    }
    if (wanted_ == 0) {
        throw Failure(Exit::usage, "--domains and --op have no operation in common",
                      "'iolens schema --domains' lists them");
    }
    if (facility_.empty()) facility_ = environment("FACILITY_ID");
    if (facility_.empty()) facility_.assign(1, 'u');
    if (replayed) return;
    if (start_on_open_.empty()) start_on_open_ = environment("START_ON_OPEN");
    if (!start_on_elapsed_ns_) {
        // as in io-monitor: a value that is not a number, or is too small, is ignored
        const double given = std::strtod(environment("START_ON_ELAPSED").c_str(), nullptr);
        if (given > 0.1 && given < 1e9) start_on_elapsed_ns_ = static_cast<u64>(given * 1e6);
    }
    if (queue_.empty()) queue_ = environment("MESSAGE_QUEUE_PATH");
    constexpr std::size_t max = 250;
    if (start_on_open_.size() > max) {
        throw Failure(Exit::usage, "the text of --start-on-open is too long", fmt::format("use at most {} bytes", max));
    }
    if (!start_on_open_.empty() && !wants(IOLENS_OPERATION_OPEN)) {
        throw Failure(Exit::usage, "--start-on-open needs the operation OPEN", "add FILE_OPEN_CLOSE to --domains");
    }
}

bool OperationSelection::requested(bool replayed) const {
    return !domains_.empty() || (!replayed && !environment("MONITOR_DOMAINS").empty());
}

bool OperationSelection::narrow(std::string_view word) {
    const u64 operations = operations_named(word);
    narrowed_ |= operations;
    return operations != 0;
}

bool OperationSelection::leave_out(std::string_view word) {
    const u64 operations = operations_named(word);
    left_out_ |= operations;
    return operations != 0;
}

void OperationSelection::choose(SyscallProbe::Options& options, const CallSelection& calls) const {
    const bool http = (wanted_ & of_domain(IOLENS_DOMAIN_HTTP)) != 0;
    for (const Syscall& call : syscalls()) {
        if (call.number >= options.syscalls.size()) continue;  // not on this architecture
        if (!calls.includes(call.id)) continue;
        const bool wanted = (operations_of(call) & wanted_) != 0;
        const bool carries = http && may_carry_http(call);
        // fopen and opendir fail with the error of their system call
        const bool explains = libc_ && call.operation == IOLENS_OPERATION_OPEN;
        if (!wanted && !carries && !explains) continue;
        iolens_call_info& info = options.syscalls.at(call.number);
        info = traced_as(call);
        if (!wanted) info.actions |= IOLENS_CALL_QUIET;
        if (carries) info.actions |= IOLENS_CALL_HTTP;
        if (!wanted) continue;
        const u8 op = call.operation;
        const bool emitted = info.texts != 0 || op == IOLENS_OPERATION_KILL || op == IOLENS_OPERATION_DUP ||
                             op == IOLENS_OPERATION_SETXATTR;
        if (emitted) info.actions |= IOLENS_CALL_EMIT;
        if (op == IOLENS_OPERATION_OPEN && info.texts != 0) info.actions |= IOLENS_CALL_OPENS;
    }
    for (const KnownRequest& request : known_requests()) {
        if (!wants(request.operation)) continue;
        if (!calls.includes(request.id)) continue;
        choose_request(options, request);
    }
    options.operations = true;
    options.leave_std = !std_fds_;
    options.emit_start = wants(IOLENS_OPERATION_START) && calls.chosen.empty();
    options.emit_stop = wants(IOLENS_OPERATION_STOP) && calls.chosen.empty();
    options.emit_cwd = wants(IOLENS_OPERATION_CHDIR) && calls.chosen.empty();
    if (!start_on_open_.empty()) options.start_words = search_table(start_on_open_);
    if (start_on_elapsed_ns_) options.start_on_elapsed_ns = *start_on_elapsed_ns_;
    if (libc_) options.libc_operations = wanted_;
}

std::vector<ExtraSink> OperationSelection::extra_sinks() const {
    std::vector<ExtraSink> items;
    if (queue_.empty()) return items;
    static const auto names = [](auto& known, std::size_t count) {
        std::vector<std::string_view> list;
        list.reserve(count);
        for (std::size_t i = 0; i < count; ++i) list.push_back(known.at(i).name);
        return list;
    };
    static const std::vector<std::string_view> domains = names(known_domains, known_domains.size());
    static const std::vector<std::string_view> operations =
        names(known_operations, std::size_t{IOLENS_OPERATION_LAST_OF_RECORDS} + 1);
    items.push_back({std::make_unique<QueueSink>(queue_, domains, operations),
                     std::vector<const Column*>(metrics_columns.begin(), metrics_columns.end())});
    return items;
}

}  // namespace iolens
