// SPDX-License-Identifier: Apache-2.0
#include "sink/sink.h"

namespace iolens {

std::vector<const Column*> pointers_to(std::span<const Column> columns) {
    std::vector<const Column*> items;
    items.reserve(columns.size());
    for (const Column& column : columns) items.push_back(&column);
    return items;
}

void put_loss_line(Output& out, const Loss& loss) {
    if (out.is_terminal()) return;
    append(out.buffer(), "# ");
    append_loss_line(out.buffer(), loss);
    out.buffer().push_back('\n');
    out.row_done();
}

void append_loss_line(Buffer& out, const Loss& loss) {
    std::string_view separator = "lost ";
    for (const LossCause& cause : loss.causes) {
        fmt::format_to(std::back_inserter(out), "{}{}: {}", separator, counted(cause.count, cause.item), cause.cause);
        separator = "; ";
    }
    if (loss.no_end != 0) {
        fmt::format_to(std::back_inserter(out), "{}{} without a latency: completion not seen",
                       loss.causes.empty() ? "" : "; ", counted(loss.no_end, "row"));
    }
    fmt::format_to(std::back_inserter(out), " (seen {}, delivered {}, filtered {}", loss.seen, loss.delivered,
                   loss.filtered);
    if (loss.in_flight != 0) fmt::format_to(std::back_inserter(out), ", in flight {}", loss.in_flight);
    append(out, ")");
}

std::string ledger_line(const Loss& loss) {
    return fmt::format("seen {}, delivered {}, filtered {}, lost {}, in flight {}", loss.seen, loss.delivered,
                       loss.filtered, loss.lost(), loss.in_flight);
}

}  // namespace iolens
