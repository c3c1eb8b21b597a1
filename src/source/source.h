// SPDX-License-Identifier: Apache-2.0
// Bytes in order, and what was lost on the way. A source doesn't know what the bytes mean.
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

    /// One record, 8-byte aligned, valid during the call. False: no more, please.
    virtual bool record(std::span<const std::byte> bytes) = 0;
};

class Source {
public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;

    /// A descriptor to poll for more; -1 where read() always has more or has ended.
    [[nodiscard]] virtual int descriptor() const = 0;

    /// Hands over what is there, without waiting. Returns the number of records; 0 = none now.
    virtual std::size_t read(Receiver& receiver) = 0;

    /// Nothing will come any more.
    [[nodiscard]] virtual bool ended() const = 0;

    /// No new events: what is on its way can still be read.
    virtual void stop() = 0;

    /// The ledger as far as the kernel has it; final after stop().
    [[nodiscard]] virtual iolens_loss ledger() const = 0;

    /// The files that it reads.
    [[nodiscard]] virtual std::vector<FileIdentity> inputs() const { return {}; }

    /// The capabilities that it needs as long as it runs, a bit each (CAP_…).
    [[nodiscard]] virtual u64 capabilities() const { return 0; }

    /// What the run ends with when all went well: of a traced command its own status.
    [[nodiscard]] virtual int exit_status() { return 0; }

    /// Nanoseconds to add to an event's time to get wall-clock time since 1970.
    [[nodiscard]] virtual u64 wall_offset_ns() const = 0;
};

}  // namespace iolens
