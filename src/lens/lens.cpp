// SPDX-License-Identifier: Apache-2.0
#include "lens/lens.h"

#include <algorithm>

#include "base/failure.h"

namespace iolens {

std::unique_ptr<Lens> make_block_lens();
std::unique_ptr<Lens> make_fd_lens();
std::unique_ptr<Lens> make_file_lens();

// A new lens is a directory of its own and a line here.
std::vector<std::unique_ptr<Lens>> make_lenses() {
    std::vector<std::unique_ptr<Lens>> items;
    items.push_back(make_block_lens());
    items.push_back(make_fd_lens());
    items.push_back(make_file_lens());
    return items;
}

void Lens::select(Columns columns) {
    selected_ = columns;
    selected_roles_ = 0;
    for (const Column* column : columns) selected_roles_ |= u64{1} << static_cast<unsigned>(column->role);
}

Format Lens::choose_format(const ViewOptions& view, Format otherwise) const {
    const Format format = view.format.value_or(otherwise);
    if (std::ranges::find(info().formats, format) == info().formats.end()) {
        throw Failure(Exit::usage, fmt::format("'{}' has no rows for this format", info().name),
                      "table, csv and json are for every lens");
    }
    return format;
}

}  // namespace iolens
