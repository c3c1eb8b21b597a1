// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/select.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/failure.h"
#include "base/suggest.h"
#include "base/text.h"
#include "iolens/event/operation.h"
#include "lens/fd/operations/select.h"
#include "lens/requests.h"
#include "probe/bpf.h"
#include "probe/pid_namespace.h"
#include "resolve/syscalls.h"
#include "resolve/tasks.h"

namespace iolens {
namespace {

/// Calls that may wait for a filesystem, a disk or a peer.
bool is_of_files(const Syscall& call) {
    switch (call.operation) {
        case IOLENS_OPERATION_NONE: return call.is_io();
        case IOLENS_OPERATION_FORK:
        case IOLENS_OPERATION_EXEC:
        case IOLENS_OPERATION_STOP:
        case IOLENS_OPERATION_KILL: return false;
        default: return true;
    }
}

/// Adds the calls and requests that a word names. Throws Failure (usage) if there are none.
void add(std::vector<u16>& ids, const std::string& word) {
    const auto known = syscalls();
    const auto it = std::ranges::find(known, std::string_view(word), &Syscall::name);
    // "io_uring" and "aio" stand for all of their requests
    const std::size_t before = ids.size();
    if (word == fault_name) ids.push_back(IOLENS_CALL_FAULT);
    if (it != known.end()) ids.push_back(it->id);
    const u64 operations = operations_named(word);
    for (const KnownRequest& request : known_requests()) {
        const bool of_operation =
            request.operation < IOLENS_OPERATION_COUNT && (operations >> request.operation & 1) != 0;
        if (request.name == word || request.name.substr(0, request.name.find(':')) == word || of_operation) {
            ids.push_back(request.id);
        }
    }
    for (const Syscall& call : known) {
        if ((operations_of(call) & operations) != 0) ids.push_back(call.id);
    }
    if (ids.size() != before) return;
    if (operations != 0) {
        throw Failure(Exit::usage, fmt::format("'{}' needs --domains", word), "it has no system calls of its own");
    }
    std::vector<std::string_view> names{"aio", "io_uring", "ALL", "NETWORKING"};
    for (const Syscall& call : known) names.push_back(call.name);
    for (const KnownRequest& request : known_requests()) names.push_back(request.name);
    for (const KnownOperation& operation : known_operations) names.push_back(operation.name);
    for (const KnownDomain& domain : known_domains) names.push_back(domain.name);
    throw Failure(Exit::usage, unknown_name("system call", word, names),
                  "use the names of 'man syscalls', such as pread64; aio and io_uring stand for all of their requests");
}

bool has(const std::vector<u16>& ids, u16 id) { return std::ranges::find(ids, id) != ids.end(); }

bool opens_or_closes(const Syscall& call) {
    const u8 shape = call.info.shape;
    return shape == IOLENS_SHAPE_NEW_FD || shape == IOLENS_SHAPE_PAIR || shape == IOLENS_SHAPE_PAIR_FIRST ||
           call.name == "close" || call.name == "close_range";
}

/// Calls that change what is mapped at an address.
bool maps(const Syscall& call) {
    return call.info.shape == IOLENS_SHAPE_MAP || call.name == "munmap" || call.name.starts_with("execve");
}

}  // namespace

void CallSelection::view_flags(Flags& flags) {
    flags.toggle("--failed", failed, "only calls that failed");
    flags.list("--not-op", not_ops, "OP,...", "leave out these system calls, requests, operations or domains");
}

void CallSelection::select(const std::vector<std::string>& ops, OperationSelection& view, bool by_domain) {
    for (const std::string& word : ops) {
        if (!by_domain || !view.narrow(word)) add(chosen, word);
    }
    for (const std::string& word : not_ops) {
        if (!by_domain || !view.leave_out(word)) add(excluded, word);
    }
}

bool CallSelection::includes(u16 call) const { return (chosen.empty() || has(chosen, call)) && !has(excluded, call); }

/// Does the view have rows of the call, if nothing is selected?
bool CallSelection::shows(const Syscall& call) const {
    return decode_all || (call.is_io() && (!seed_csv || call.info.direction != IOLENS_DIR_NONE));
}

bool CallSelection::needs(const Syscall& call) const {
    if (by_open && opens_or_closes(call)) return true;
    const bool ranges = std::ranges::any_of(syscalls(), [this](const Syscall& other) {
        return other.info.shape == IOLENS_SHAPE_RANGE && includes(other.id) && (!chosen.empty() || shows(other));
    });
    return ranges && maps(call);
}

void CallSelection::choose(SyscallProbe::Options& options) const {
    for (const Syscall& call : syscalls()) {
        if (call.number >= options.syscalls.size()) continue;  // not on this architecture
        if (operations && !call.continues()) continue;
        const bool counted = summing && (call.info.shape == IOLENS_SHAPE_NEW_FD || (files && is_of_files(call)));
        const bool wanted = includes(call.id) && (!chosen.empty() || shows(call) || counted);
        if (!wanted && !needs(call) && !call.continues()) continue;
        iolens_call_info& info = options.syscalls.at(call.number);
        info = traced_as(call);
    }
    options.decode_all = decode_all;
    options.map_facts = !operations && std::ranges::any_of(syscalls(), [this](const Syscall& call) {
        return call.info.shape == IOLENS_SHAPE_MAP && needs(call);
    });
    for (const KnownRequest& request : known_requests()) {
        if (operations) break;
        const bool moves = (request.what & (IOLENS_REQUEST_READS | IOLENS_REQUEST_WRITES)) != 0;
        const bool shown = moves || (!seed_csv && (request.what & IOLENS_REQUEST_NAMES) == 0);
        if (includes(request.id) && (!chosen.empty() || shown)) {
            choose_request(options, request);
        }
    }
    // libaio requests are traced through the calls that submit them and fetch their results
    if (std::ranges::any_of(options.aio_ops, [](u8 what) { return what != 0; })) {
        for (const Syscall& call : syscalls()) {
            const bool fetches = call.info.shape == IOLENS_SHAPE_IO_SUBMIT || call.info.shape == IOLENS_SHAPE_IO_GET ||
                                 call.info.shape == IOLENS_SHAPE_IO_DESTROY;
            if (!fetches || call.number >= options.syscalls.size()) continue;
            options.syscalls.at(call.number) = call.info;
            if (operations) options.syscalls.at(call.number).actions |= IOLENS_CALL_QUIET;
        }
    }
    choose_compat_calls(options);
}

namespace {

bool has_ended(u64 tid) {
    const std::string state = process_status(tid, "State");
    return state.empty() || state.starts_with('Z') || state.starts_with('X');
}

/// Does a process have a thread that has not ended? Its main thread may end first, and then looks like a zombie.
bool has_threads(const std::string& tgid) {
    std::error_code error;
    std::filesystem::directory_iterator it("/proc/" + tgid + "/task", error);
    for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
        if (!has_ended(std::strtoull(it->path().filename().c_str(), nullptr, 10))) return true;
    }
    return false;
}

}  // namespace

std::optional<u32> process_of(u64 pid) {
    const std::string tgid = process_status(pid, "Tgid");
    if (tgid.empty() || (has_ended(pid) && !has_threads(tgid))) return {};
    return static_cast<u32>(std::strtoul(tgid.c_str(), nullptr, 10));
}

void follow_processes(SyscallProbe::Options& options, const std::vector<u64>& pids) {
    for (const u64 pid : pids) {
        const std::optional<u32> process = process_of(pid);
        if (!process) {
            if (may_trace()) require_own_proc();
            throw Failure(Exit::usage, fmt::format("no such process: {}", pid), "'ps -e' lists running processes");
        }
        if (std::ranges::find(options.follow, *process) == options.follow.end()) options.follow.push_back(*process);
    }
}

}  // namespace iolens
