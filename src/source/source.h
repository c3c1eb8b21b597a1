// SPDX-License-Identifier: Apache-2.0
// Records in order, and loss counters. A source doesn't interpret the bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/output.h"
#include "iolens/event/loss.h"

namespace iolens {

class Receiver {
public:
    Receiver() = default;
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;
    virtual ~Receiver() = default;

    /// One record, 8-byte aligned, valid during the call. Returns false to stop the read.
    virtual bool record(std::span<const std::byte> bytes) = 0;
};

class Source {
public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;

    /// A descriptor to poll for more; -1 if read() always has more or has ended.
    [[nodiscard]] virtual int descriptor() const = 0;

    /// Delivers the available records without blocking. Returns their number; 0 = none now.
    virtual std::size_t read(Receiver& receiver) = 0;

    /// True if no more records will come.
    [[nodiscard]] virtual bool ended() const = 0;

    /// Stops producing events; pending records can still be read.
    virtual void stop() = 0;

    /// The current ledger; final after stop().
    [[nodiscard]] virtual iolens_loss ledger() const = 0;

    /// The files that it reads from.
    [[nodiscard]] virtual std::vector<FileIdentity> inputs() const { return {}; }

    /// The capabilities that it needs while it runs, a bit each (CAP_…).
    [[nodiscard]] virtual u64 capabilities() const { return 0; }

    /// The exit status if there was no error: for a traced command, its own status.
    [[nodiscard]] virtual int exit_status() { return 0; }

    /// Nanoseconds to add to an event's time to get wall-clock time since 1970.
    [[nodiscard]] virtual u64 wall_offset_ns() const = 0;
};

}  // namespace iolens
