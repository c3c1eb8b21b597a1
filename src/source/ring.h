// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/fd.h"
#include "source/source.h"

struct ring_buffer;

namespace iolens {

/// The kernel's BPF ring buffer. The probes are passed as functions, so that this class depends on none of them.
class RingSource final : public Source {
public:
    struct Probes {
        int ring_fd = -1;                        ///< of the ring map
        std::function<void()> detach;            ///< no program runs afterwards
        std::function<iolens_loss()> ledger;     ///< the counters, summed over the CPUs
        u64 capabilities = 0;                    ///< capabilities needed while it runs, a bit each
        std::function<bool()> ended{};           ///< the traced processes have exited; none: never
        std::vector<std::vector<u64>> before{};  ///< records to deliver before the first of the ring
        std::function<void()> tidy{};            ///< called before each read, to delete state whose owner is gone
        /// Returns records of operations that will not be seen to complete. Called periodically, and once after
        /// detach(), when it also returns those still in flight.
        std::function<std::vector<std::vector<u64>>()> unfinished{};
        std::function<int()> exit_status{};                  ///< see Source; none: 0
        u16 changed = 0;                                     ///< kind of records to modify before delivery …
        std::function<void(std::span<std::byte>)> change{};  ///< … with this function
    };

    /// Throws Failure if the ring can't be mapped.
    explicit RingSource(Probes probes);
    ~RingSource() override;

    /// Readable after a wakeup by a BPF program, which wakes the reader only if the ring is filling up.
    [[nodiscard]] int descriptor() const override { return wakes_.get(); }
    std::size_t read(Receiver& receiver) override;
    [[nodiscard]] bool ended() const override { return probes_.ended && probes_.ended(); }
    void stop() override;
    [[nodiscard]] iolens_loss ledger() const override { return probes_.ledger(); }
    [[nodiscard]] int exit_status() override { return probes_.exit_status ? probes_.exit_status() : 0; }
    [[nodiscard]] u64 wall_offset_ns() const override;
    [[nodiscard]] u64 capabilities() const override { return probes_.capabilities; }

private:
    std::size_t deliver(const std::vector<std::vector<u64>>& records);
    std::span<const std::byte> changed(std::span<const std::byte> record);
    static int on_record(void* self, void* data, std::size_t size);

    Probes probes_;
    std::unique_ptr<ring_buffer, void (*)(ring_buffer*)> ring_;
    Fd wakes_;  // epoll: of the ring
    Receiver* receiver_ = nullptr;
    std::vector<u64> copy_;  // of a record that is modified
    std::size_t count_ = 0;
    bool unfinished_delivered_ = false;  // operations in flight at the end
    bool stopped_ = false;
    std::chrono::steady_clock::time_point looked_ = std::chrono::steady_clock::now();
    std::exception_ptr thrown_;  // from the callback: C++ exceptions must not pass through libbpf, which is C
};

}  // namespace iolens
