// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/recording_format.h"
#include "source/source.h"

namespace iolens {

/// A recording file. It is untrusted: reading stops with a Failure at the first damage, after the events before it.
class RecordingSource final : public Source {
public:
    /// Reads the header; "-" is the standard input. Throws Failure if it isn't a recording that this version can read.
    explicit RecordingSource(const std::string& path);

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string lens() const;
    [[nodiscard]] std::string kernel() const;

    [[nodiscard]] int descriptor() const override { return -1; }
    /// Reads one frame. Throws Failure at the first damage.
    std::size_t read(Receiver& receiver) override;
    [[nodiscard]] bool ended() const override { return ended_; }
    void stop() override { ended_ = true; }
    /// The ledger from the recording's last record; zeros if it has none.
    [[nodiscard]] iolens_loss ledger() const override { return loss_; }
    [[nodiscard]] std::vector<FileIdentity> inputs() const override;
    [[nodiscard]] u64 wall_offset_ns() const override { return header_.wall_offset_ns; }

private:
    /// Returns false at end of file, or, with `ended_` set, if a signal ended the wait.
    bool fill(void* to, std::size_t size);
    [[noreturn]] void damaged(const char* how) const;

    std::string path_;
    Fd fd_;
    RecordingHeader header_;
    std::vector<u64> frame_;  // u64: records are 8-byte aligned
    u64 offset_ = 0;
    static iolens_loss ledger_in(std::span<const std::byte> record);

    iolens_loss loss_{};
    bool ended_ = false;
};

}  // namespace iolens
