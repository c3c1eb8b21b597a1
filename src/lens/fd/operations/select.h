// SPDX-License-Identifier: Apache-2.0
// io-monitor's view of the fd lens: which operations are selected, and what the kernel side traces for them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "iolens/event/operation.h"
#include "lens/lens.h"
#include "probe/syscalls.h"

namespace iolens {

struct Syscall;
struct CallSelection;

/// The operations that a call can be, as bits (1 << op).
u64 operations_of(const Syscall& call);

/// The operations that a word names, an operation or a domain, as bits; 0 if it names none.
u64 operations_named(std::string_view word);

class OperationSelection {
public:
    void view_flags(Flags& flags);
    void live_flags(Flags& flags);

    /// Reads the options and the environment variables that are their defaults. Throws Failure (usage).
    void prepare(const ViewOptions& view, bool replayed);

    /// Is this view selected?
    [[nodiscard]] bool on() const { return wanted_ != 0; }
    [[nodiscard]] bool wants(u8 op) const { return op < IOLENS_OPERATION_COUNT && (wanted_ >> op & 1) != 0; }
    [[nodiscard]] bool wants_libc() const { return libc_; }
    /// Are operations shown from the start, rather than after a trigger?
    [[nodiscard]] bool from_the_start() const { return start_on_open_.empty() && !start_on_elapsed_ns_; }
    [[nodiscard]] const std::string& facility() const { return facility_; }
    [[nodiscard]] const std::string& queue() const { return queue_; }

    /// Are there domains, from --domains or from the environment?
    [[nodiscard]] bool requested(bool replayed) const;
    /// Narrows the selection to an operation ("RENAME") or a domain, or leaves it out. False if there is none of this
    /// name.
    bool narrow(std::string_view word);
    bool leave_out(std::string_view word);

    /// Selects the system calls and requests to trace, of those that --op and --not-op select.
    void choose(SyscallProbe::Options& options, const CallSelection& calls) const;

    /// The message queue of --mq. Throws Failure.
    [[nodiscard]] std::vector<ExtraSink> extra_sinks() const;

private:
    std::vector<std::string> domains_;
    std::string facility_;
    std::string start_on_open_;
    std::optional<u64> start_on_elapsed_ns_;
    bool libc_ = false;
    bool std_fds_ = false;
    std::string queue_;
    u64 wanted_ = 0;    // bit (1 << op)
    u64 narrowed_ = 0;  // the same for --op
    u64 left_out_ = 0;  // the same for --not-op
};

}  // namespace iolens
