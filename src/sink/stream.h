// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "sink/sink.h"

namespace iolens {

/// A sink besides the output that sends rows to another process, which reads at its own pace.
class StreamSink : public Sink {
public:
    void begin(std::string_view /*type*/, Columns /*columns*/, const Column* /*trailing_error*/) override {}
    void loss(const Loss& /*loss*/) override {}
    /// Called between batches of rows: sends what is pending. Never waits.
    virtual void flush() {}
    /// Called once, after the last row: waits while readers read, after SIGINT or SIGTERM for 600 ms at most. Returns
    /// what was not delivered.
    virtual LossCause finish() = 0;
    /// After finish(): readers that were refused.
    [[nodiscard]] virtual LossCause refused() const { return {}; }
};

}  // namespace iolens
