// SPDX-License-Identifier: Apache-2.0
#include "sink/iotracer.h"

#include "sink/numbers.h"

namespace iolens {

void append_iotracer_line(Buffer& out, const IotracerLine& line) {
    append_scaled(out, line.since_ns / 1'000'000'000, line.since_ns % 1'000'000'000, 9);
    append(out, ';');
    append(out, line.rw);
    append(out, ';');
    append_number(out, line.address);
    append(out, ';');
    append_number(out, line.bytes);
    append(out, ';');
    append(out, line.level);
    append(out, ';');
    for (const char c : line.comm) {
        const auto byte = static_cast<unsigned char>(c);
        append(out, byte < 0x20 || byte == 0x7f || c == ';' ? '?' : c);
    }
    append(out, ';');
    append_number(out, line.pid);
    append(out, '\n');
}

void IotracerSink::row(Row values) {
    const NeededRow<iotracer_needs> row(values);
    append_iotracer_line(out_.buffer(), {.since_ns = row.number("timestamp"),
                                         .rw = row.text("access_type"),
                                         .address = row.number("address"),
                                         .bytes = row.number("size"),
                                         .level = row.text("level"),
                                         .comm = row.text("comm"),
                                         .pid = row.number("pid")});
    out_.row_done();
}

}  // namespace iolens
