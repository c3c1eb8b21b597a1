// SPDX-License-Identifier: Apache-2.0
// Subcommands of a lens, and what the loop in src/app runs.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iolens/event/header.h"
#include "lens/options.h"

namespace iolens {

/// Result of one iteration of the loop.
enum class Progress : u8 {
    idle,
    busy,   ///< there was work: the next iteration follows soon
    ended,  ///< there will be no more work
};

/// Run by the loop in src/app: a trace, a replay or a server.
class Polled {
public:
    Polled() = default;
    Polled(const Polled&) = delete;
    Polled& operator=(const Polled&) = delete;
    virtual ~Polled() = default;

    /// The descriptors that the loop polls for input before it calls work() again. Empty: the loop does not wait,
    /// because work() does.
    [[nodiscard]] virtual std::span<const int> descriptors() const = 0;
    /// Does the work that is pending at `now_ns` (CLOCK_BOOTTIME). Also called when nothing became readable.
    virtual Progress work(u64 now_ns) = 0;
    /// The latest time for the next call of work(); ~0: none.
    [[nodiscard]] virtual u64 deadline_ns() const { return ~u64{0}; }
};

/// A server: it runs until SIGINT or SIGTERM.
class Service : public Polled {
public:
    /// Loads, attaches and opens, while signals are caught. Throws Failure.
    virtual void start() = 0;
    /// Stops the server. False: half a second after a signal, one of its threads still waits in a system call that
    /// can't be interrupted, such as a lookup on a dead NFS mount. The destructor would wait for it, _exit(2) does not.
    virtual bool stop() = 0;
};

/// A subcommand of a lens: "iolens file serve".
class Verb {
public:
    Verb() = default;
    Verb(const Verb&) = delete;
    Verb& operator=(const Verb&) = delete;
    virtual ~Verb() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual std::string_view about() const = 0;
    [[nodiscard]] virtual std::string_view examples() const = 0;
    [[nodiscard]] virtual std::string_view args() const = 0;  ///< for the help: "PATH [MAX_EVENTS]"
    virtual void flags(Flags& flags) = 0;
    /// Returns the exit status. Throws Failure.
    virtual int run(const std::vector<std::string>& args) = 0;
    /// After run(): the server that the loop in src/app is to run; nullptr if the command is done.
    [[nodiscard]] virtual std::unique_ptr<Service> take_service() { return nullptr; }
};

}  // namespace iolens
