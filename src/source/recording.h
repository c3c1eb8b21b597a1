// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/recording_format.h"
#include "source/source.h"

namespace iolens {

/// A recording file. It is untrusted: any damage ends the reading with a Failure after what came before it.
class RecordingSource final : public Source {
public:
    /// Reads the header; "-" is the standard input. Throws Failure when it isn't a recording that this version can
    /// read.
    explicit RecordingSource(const std::string& path);

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string lens() const;
    [[nodiscard]] std::string kernel() const;

    [[nodiscard]] int descriptor() const override { return -1; }
    /// One frame. Throws Failure at the first damage.
    std::size_t read(Receiver& receiver) override;
    [[nodiscard]] bool ended() const override { return ended_; }
    void stop() override { ended_ = true; }
    /// What the recording's last record says; zeros where it says nothing.
    [[nodiscard]] iolens_loss ledger() const override { return loss_; }
    [[nodiscard]] std::vector<FileIdentity> inputs() const override;
    [[nodiscard]] u64 wall_offset_ns() const override { return header_.wall_offset_ns; }

private:
    /// False at end of file, or, with `ended_` set, if a signal ended the wait.
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
