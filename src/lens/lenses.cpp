// SPDX-License-Identifier: Apache-2.0
// The list of lenses: a new one is its own file and a line here.
#include <algorithm>

#include "base/failure.h"
#include "base/text.h"
#include "lens/lens.h"

namespace iolens {

std::unique_ptr<Lens> make_block_lens();
std::unique_ptr<Lens> make_fd_lens();
std::unique_ptr<Lens> make_file_lens();

std::vector<std::unique_ptr<Lens>> make_lenses() {
    std::vector<std::unique_ptr<Lens>> all;
    all.push_back(make_block_lens());
    all.push_back(make_fd_lens());
    all.push_back(make_file_lens());
    return all;
}

std::vector<const Column*> choose_columns(std::span<const Column> all, const std::vector<std::string>& names) {
    std::vector<const Column*> chosen;
    for (const std::string& name : names) {
        const auto at = std::ranges::find(all, std::string_view(name), &Column::name);
        if (at == all.end()) {
            std::string known;
            for (const Column& column : all) known += (known.empty() ? "" : " ") + std::string(column.name);
            throw Failure(Exit::usage, fmt::format("there is no column '{}'", visible(name)),
                          "the columns are: " + known);
        }
        chosen.push_back(&*at);
    }
    return chosen;
}

}  // namespace iolens
