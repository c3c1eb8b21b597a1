// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <system_error>

namespace iolens {

/// Calls `visit` with each entry of a directory, and stops silently if it can't be read any further: processes and
/// disks vanish while their directories are listed, and a range-for over std::filesystem::directory_iterator then
/// throws, even if its constructor was given an error_code.
template <typename Visit>
void for_each_entry(const std::filesystem::path& directory, Visit visit) {
    std::error_code error;
    std::filesystem::directory_iterator at(directory, error);
    for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) visit(*at);
}

}  // namespace iolens
