// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/select.h"

#include <algorithm>
#include <cstdlib>

#include "base/failure.h"
#include "base/suggest.h"
#include "base/text.h"
#include "iolens/event/operation.h"
#include "lens/requests.h"
#include "probe/bpf.h"
#include "probe/pid_namespace.h"
#include "resolve/syscalls.h"
#include "resolve/tasks.h"

namespace iolens {

void CallSelection::add(const std::string& word) {
    const auto known = syscalls();
    const auto it = std::ranges::find(known, std::string_view(word), &Syscall::name);
    // "io_uring" and "aio" stand for all of their requests
    const std::size_t before = chosen.size();
    if (it != known.end()) chosen.push_back(it->id);
    for (const KnownRequest& request : known_requests()) {
        if (request.name == word || request.name.substr(0, request.name.find(':')) == word) {
            chosen.push_back(request.id);
        }
    }
    if (chosen.size() != before) return;
    std::vector<std::string_view> names{"aio", "io_uring"};
    for (const Syscall& call : known) names.push_back(call.name);
    for (const KnownRequest& request : known_requests()) names.push_back(request.name);
    // for --domains
    for (const KnownOperation& operation : known_operations) names.push_back(operation.name);
    throw Failure(Exit::usage, unknown_name("system call", word, names),
                  "use the names of 'man syscalls', such as pread64; aio and io_uring stand for all of their requests");
}

bool CallSelection::includes(u16 call) const {
    return chosen.empty() || std::ranges::find(chosen, call) != chosen.end();
}

void CallSelection::choose(SyscallProbe::Options& options) const {
    for (const Syscall& call : syscalls()) {
        if (call.number >= options.syscalls.size()) continue;  // not on this architecture
        if (operations && call.info.shape != IOLENS_SHAPE_SIGRETURN) continue;
        const bool shown = decode_all || (call.is_io() && (!seed_csv || call.info.direction != IOLENS_DIR_NONE));
        const bool closes = call.name == "close" || call.name == "close_range";
        const bool pair = call.info.shape == IOLENS_SHAPE_PAIR || call.info.shape == IOLENS_SHAPE_PAIR_FIRST;
        const bool counted = summing && (call.info.shape == IOLENS_SHAPE_NEW_FD || (by_open && (closes || pair)));
        const bool wanted = chosen.empty() ? shown || counted : includes(call.id);
        if (!wanted && call.info.shape != IOLENS_SHAPE_SIGRETURN) continue;
        iolens_call_info& info = options.syscalls.at(call.number);
        info = call.info;
        if (info.shape == IOLENS_SHAPE_OTHER && call.arguments.starts_with("fd:f")) info.shape = IOLENS_SHAPE_FD;
    }
    options.decode_all = decode_all;
    for (const KnownRequest& request : known_requests()) {
        if (operations) break;
        const bool moves = (request.what & (IOLENS_REQUEST_READS | IOLENS_REQUEST_WRITES)) != 0;
        const bool shown = moves || (!seed_csv && (request.what & IOLENS_REQUEST_NAMES) == 0);
        if (chosen.empty() ? shown : includes(request.id)) {
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
}

std::optional<u32> process_of(u64 pid) {
    const std::string state = process_status(pid, "State");
    const std::string tgid = process_status(pid, "Tgid");
    if (tgid.empty() || state.starts_with('Z') || state.starts_with('X')) return {};
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
