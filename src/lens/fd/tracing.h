// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/record.h"
#include "probe/block.h"
#include "probe/command.h"
#include "probe/symbols.h"
#include "probe/syscalls.h"
#include "probe/waits.h"
#include "source/ring.h"

namespace iolens {

/// The probes of a live run, which share one ring buffer, and the command that they trace.
class Tracing {
public:
    /// Loads the probes of calls, and those of waits, without attaching them; see Lens::examine().
    [[nodiscard]] static std::vector<ProbeStatus> examine(bool variants);

    /// Starts the command, which is held until start_command(), and follows it. `user_name`: the user to run it as; "":
    /// the current user. Throws Failure.
    void hold_command(const std::vector<std::string>& args, const std::string& user_name, bool preserve_env,
                      SyscallProbe::Options& options);

    /// Adds the functions of the C libraries that the processes use or the command will use.
    void add_libc(SyscallProbe::Options& options) const;

    /// Loads and attaches; with `why` also traces the block requests of the whole machine, and the waits of the
    /// followed processes. Returns the facts to emit first. Throws Failure.
    std::vector<Record> attach(const SyscallProbe::Options& options, bool why);

    /// Forgets processes that ended before the probes could see it: tracing would wait for them forever.
    void forget_ended(const std::vector<u32>& processes);
    void start_command();

    /// `follows`: tracing ends when the followed processes have ended.
    [[nodiscard]] RingSource::Probes source(bool follows);

    [[nodiscard]] SyscallProbe& calls() { return *calls_; }
    [[nodiscard]] const SyscallProbe& calls() const { return *calls_; }
    [[nodiscard]] bool has_command() const { return command_ != nullptr; }

    void begin_period();
    [[nodiscard]] std::vector<u64> names_in_flight() const;

    /// For all probes: the counters of calls, and losses of any kind.
    [[nodiscard]] iolens_loss ledger() const;
    /// For -v: what the probes of calls have counted beside losses.
    [[nodiscard]] std::vector<std::string> diagnostics() const;
    /// Waits that were lost because the state map was full.
    [[nodiscard]] u64 lost_waits() const { return waits_ ? waits_->ledger().n.state_full : 0; }

private:
    void attach_why(const SyscallProbe& calls, const SyscallProbe::Options& options);
    [[nodiscard]] std::vector<Record> symbols();
    void hide_frames(std::span<std::byte> record) const;
    [[nodiscard]] int exit_status();

    std::unique_ptr<HeldCommand> command_;
    std::string command_name_;
    std::unique_ptr<SyscallProbe> calls_;
    std::unique_ptr<BlockProbe> requests_;
    std::unique_ptr<WaitProbe> waits_;
    std::optional<HiddenFunctions> wait_functions_;
};

}  // namespace iolens
