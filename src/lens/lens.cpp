// SPDX-License-Identifier: Apache-2.0
#include "lens/lens.h"

#include <algorithm>

namespace iolens {

std::unique_ptr<Lens> make_block_lens();
std::unique_ptr<Lens> make_fd_lens();
std::unique_ptr<Lens> make_file_lens();

// A new lens needs a directory of its own and a line here.
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

std::vector<Format> formats_of(const LensInfo& lens) {
    std::vector<Format> items;
    for (const FormatInfo& format : all_formats) {
        if (format.is_plain() || !fixed_columns(lens, &format).empty()) items.push_back(&format);
    }
    return items;
}

Columns fixed_columns(const LensInfo& lens, Format format) {
    const auto it = std::ranges::find(lens.fixed_formats, format, &FixedFormat::format);
    return it != lens.fixed_formats.end() ? it->columns : Columns();
}

}  // namespace iolens
