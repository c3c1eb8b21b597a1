// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/tracing.h"

#include <fmt/format.h>

#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "base/failure.h"
#include "base/privileges.h"
#include "base/signals.h"
#include "base/text.h"
#include "base/user.h"
#include "iolens/event/symbol.h"
#include "iolens/event/wait.h"
#include "lens/fd/select.h"
#include "probe/kernel_btf.h"
#include "probe/libc.h"
#include "resolve/wait_reasons.h"

namespace iolens {

std::vector<ProbeStatus> Tracing::examine(bool variants) {
    std::vector<ProbeStatus> items = SyscallProbe::examine(variants);
    for (ProbeStatus& status : WaitProbe::examine()) items.push_back(std::move(status));
    return items;
}

void Tracing::hold_command(const std::vector<std::string>& args, const std::string& user_name, bool preserve_env,
                           SyscallProbe::Options& options) {
    std::optional<User> user;
    if (!user_name.empty()) user = find_user(user_name);
    if (!user_name.empty() && !user) {
        throw Failure(Exit::usage, fmt::format("unknown user '{}'", visible(user_name)),
                      "use a name or number in /etc/passwd");
    }
    const char* sudo_user = std::getenv("SUDO_USER");  // NOLINT(concurrency-mt-unsafe): one thread
    if (!user && sudo_user != nullptr && ::isatty(STDERR_FILENO) == 1) {
        log_line(fmt::format("the command runs as root; use --user {} to run it as you", visible(sudo_user)));
    }
    command_ = std::make_unique<HeldCommand>(args, user, preserve_env);
    options.follow.push_back(static_cast<u32>(command_->pid()));
    command_name_ = args.front();
}

void Tracing::add_libc(SyscallProbe::Options& options) const {
    std::vector<std::string> paths;
    const auto add = [&](const Libc& libc, const std::string& owner) {
        if (libc.path.empty()) {
            log_line(fmt::format("--libc: {} {}; only its system calls are shown", owner, libc.why));
        } else if (std::ranges::find(paths, libc.path) == paths.end()) {
            paths.push_back(libc.path);
        }
    };
    if (command_) {
        add(libc_of_program(command_->program()), fmt::format("'{}'", visible(command_name_)));
    } else if (options.follow.empty()) {
        add(libc_of_program("/bin/sh"), "/bin/sh");
    } else {
        for (const u32 pid : options.follow) add(libc_of_process(pid), fmt::format("process {}", pid));
    }
    std::vector<FileIdentity> known;  // containers may have the same file under several paths
    for (const std::string& path : paths) {
        const auto functions = find_functions(path, options.libc_operations);
        if (functions.empty()) {
            if (!end_asked()) log_line(fmt::format("--libc: '{}' has none of the traced functions", visible(path)));
            continue;
        }
        const auto file = identity_of(functions.front().file->get());
        if (!file || std::ranges::find(known, *file) != known.end()) continue;
        known.push_back(*file);
        options.libc.insert(options.libc.end(), functions.begin(), functions.end());
    }
}

std::vector<Record> Tracing::attach(const SyscallProbe::Options& options, bool why) {
    const auto types = kernel_btf();  // shared by all probes
    if (!why) {
        calls_ = std::make_unique<SyscallProbe>(options);
        return {};
    }
    SyscallProbe::Options last = options;
    last.before_attach = [&](const SyscallProbe& calls) { attach_why(calls, options); };
    calls_ = std::make_unique<SyscallProbe>(last);
    return symbols();
}

/// Requests and waits are traced before the first call is: a call that began earlier has no row.
void Tracing::attach_why(const SyscallProbe& calls, const SyscallProbe::Options& options) {
    BlockProbe::Options of_requests;
    of_requests.ring_bytes = options.ring_bytes;
    of_requests.ring_fd = calls.ring_fd();
    requests_ = std::make_unique<BlockProbe>(of_requests);
    waits_ = std::make_unique<WaitProbe>(WaitProbe::Options{.ring_fd = calls.ring_fd(),
                                                            .followed_fd = calls.followed_fd(),
                                                            .follow = !options.follow.empty(),
                                                            .ring_bytes = options.ring_bytes,
                                                            .max_threads = options.max_threads});
}

/// Facts about the kernel functions that show what a thread waits for.
std::vector<Record> Tracing::symbols() {
    std::vector<Record> facts;
    const KernelSymbols symbols;
    wait_functions_.emplace(symbols.functions(is_wait_function));
    for (const KernelSymbols::Function& function : wait_functions_->functions()) {
        iolens_symbol_fact fact{};
        fact.h = {.ts = 0, .kind = IOLENS_KIND_SYMBOL, .size = sizeof fact, .cpu = IOLENS_NO_CPU};
        fact.start = function.start;
        fact.end = function.end;
        function.name.copy(reinterpret_cast<char*>(static_cast<u8*>(fact.name)), sizeof fact.name - 1);
        facts.push_back(make_record(fact));
    }
    if (facts.empty())
        log_line("can't tell what calls wait for: /proc/kallsyms hides addresses (CAP_SYSLOG, kernel.kptr_restrict)");
    return facts;
}

void Tracing::forget_ended(const std::vector<u32>& processes) {
    for (const u32 pid : processes) {
        if (!process_of(pid)) calls_->forget(pid);
    }
}

void Tracing::start_command() {
    if (command_) command_->let_go();
}

/// Removes kernel addresses from a record: recordings may leave this machine.
void Tracing::hide_frames(std::span<std::byte> record) const {
    iolens_wait_event wait{};
    if (record.size() != sizeof wait || !wait_functions_) return;
    std::memcpy(&wait, record.data(), sizeof wait);
    for (u64& frame : wait.frames) frame = wait_functions_->hide(frame);
    std::memcpy(record.data(), &wait, sizeof wait);
}

iolens_loss Tracing::ledger() const {
    iolens_loss sum = calls_->ledger();
    const auto add = [&](const auto& probe) {
        if (!probe) return;
        const iolens_loss other = probe->ledger();
        sum.n.ring_full += other.n.ring_full;
        sum.n.seen += other.n.ring_full;
        sum.n.fact_lost += other.n.fact_lost;
        sum.missed += other.missed;
    };
    add(requests_);
    add(waits_);
    return sum;
}

/// Exit status of the traced command.
int Tracing::exit_status() {
    if (!command_) return 0;
    // once no followed process is left, the command has ended, or is about to; one that keeps running is not waited for
    return command_->status(calls_->alive() <= 0).value_or(0);
}

void Tracing::begin_period() {
    calls_->begin_period();
    if (requests_) requests_->begin_period();
}

std::vector<u64> Tracing::names_in_flight() const {
    std::vector<u64> names = calls_->names_in_flight();
    if (requests_) std::ranges::copy(requests_->names_in_flight(), std::back_inserter(names));
    return names;
}

RingSource::Probes Tracing::source(bool follows) {
    RingSource::Probes source{
        .ring_fd = calls_->ring_fd(),
        .detach =
            [this] {
                calls_->detach();
                if (requests_) requests_->detach();
                if (waits_) waits_->detach();
            },
        .ledger = [this] { return ledger(); },
        // for reading /proc of processes that start later
        .capabilities = capability_bit(CAP_DAC_READ_SEARCH) | capability_bit(CAP_SYS_PTRACE),
        .exit_status = [this] { return exit_status(); },
        .changed = IOLENS_KIND_WAIT,
    };
    if (follows) {
        source.ended = [this] {
            calls_->forget_gone();
            return calls_->alive() <= 0;
        };
    }
    if (waits_) source.change = [this](std::span<std::byte> record) { hide_frames(record); };
    return source;
}

std::vector<std::string> Tracing::diagnostics() const {
    const iolens_loss of_calls = calls_->ledger();
    const iolens_counters& n = of_calls.n;
    return {fmt::format("names sent again {}, probe runs skipped {}, calls not decoded {}, returns without a start {}",
                        n.fact_lost, of_calls.missed, n.not_decoded, n.orphan),
            fmt::format("filtered as iolens's own output: {}", n.own)};
}

}  // namespace iolens
