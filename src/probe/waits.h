// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "probe/bpf.h"

struct wait_bpf;

namespace iolens {

/// The programs of bpf/wait.bpf.c, loaded from construction to destruction.
class WaitProbe {
public:
    struct Options {
        int ring_fd = -1;      ///< the ring of a SyscallProbe
        int followed_fd = -1;  ///< its map of followed processes
        bool follow = false;   ///< only those; otherwise all processes
        u64 ring_bytes = 8 << 20;
        u32 max_threads = 32768;
    };

    /// Loads and attaches. Throws Failure (unavailable) if the kernel rejects a program.
    explicit WaitProbe(const Options& options);
    ~WaitProbe();
    WaitProbe(const WaitProbe&) = delete;
    WaitProbe& operator=(const WaitProbe&) = delete;

    void detach() { links_.clear(); }
    [[nodiscard]] iolens_loss ledger() const;

    /// Loads and attaches each program by itself and reports the result; leaves nothing attached.
    static std::vector<ProbeStatus> examine();

private:
    struct Close {
        void operator()(wait_bpf* object) const;
    };
    std::unique_ptr<wait_bpf, Close> object_;
    std::vector<Link> links_;
};

}  // namespace iolens
