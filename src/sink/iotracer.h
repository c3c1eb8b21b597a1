// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sink/needs.h"
#include "sink/sink.h"

namespace iolens {

/// A line of iotracer's log.
struct IotracerLine {
    u64 since_ns = 0;  ///< start of the access, relative to the start of the log
    std::string_view rw;
    u64 address = 0;
    u64 bytes = 0;
    std::string_view level;
    std::string_view comm;
    u64 pid = 0;
};

/// "<seconds>.<nine digits>;<R|W>;<address>;<bytes>;<VFS|BLK>;<comm>;<pid>" and a newline. Characters of a task's name
/// that would break the line become "?".
void append_iotracer_line(Buffer& out, const IotracerLine& line);

inline constexpr std::array iotracer_needs{
    NeededColumn{"timestamp", Value::Kind::number}, NeededColumn{"access_type", Value::Kind::text},
    NeededColumn{"address", Value::Kind::number},   NeededColumn{"size", Value::Kind::number},
    NeededColumn{"level", Value::Kind::text},       NeededColumn{"comm", Value::Kind::text},
    NeededColumn{"pid", Value::Kind::number},
};

/// iotracer's log format. Its rows have the columns of iotracer_needs.
class IotracerSink final : public Sink {
public:
    explicit IotracerSink(Output& out) : out_(out) {}

    void begin(std::string_view /*type*/, Columns /*columns*/, const Column* /*trailing_error*/) override {}
    void row(Row values) override;
    void loss(const Loss& loss) override { put_loss_line(out_, loss); }

private:
    Output& out_;
};

}  // namespace iolens
