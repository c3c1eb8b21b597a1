// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "sink/sink.h"

namespace iolens {

/// Sends rows to another process, which reads at its own pace, beside the output.
class StreamSink : public Sink {
public:
    void begin(std::string_view /*type*/, Columns /*columns*/, const Column* /*trailing_error*/) override {}
    void loss(const Loss& /*loss*/) override {}
    /// Between batches of rows: takes along what waits. Never waits itself.
    virtual void flush() {}
    /// Once, after the last row: waits while readers read, after SIGINT or SIGTERM for 600 ms at most. Returns what did
    /// not get through.
    virtual LossCause finish() = 0;
    /// After finish(): readers that were turned away.
    [[nodiscard]] virtual LossCause refused() const { return {}; }
};

}  // namespace iolens
