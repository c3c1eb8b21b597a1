// SPDX-License-Identifier: Apache-2.0
#include "resolve/mounts.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/directory.h"

namespace iolens {

namespace fs = std::filesystem;

std::string Mounts::source(u32 dev) const {
    // "36 35 98:0 /root /mnt rw,noatime shared:1 - ext3 /dev/root rw": man 5 proc
    const std::string wanted = fmt::format("{}:{}", dev >> 20, dev & 0xfffff);
    std::ifstream file(fs::path(root_) / "proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string word;
        std::string number;
        words >> word >> word >> number;
        if (number != wanted) continue;
        const std::size_t dash = line.find(" - ");
        if (dash == std::string::npos) continue;
        // Split at every blank, because the source can be empty.
        std::istringstream rest(line.substr(dash + 3));
        std::string source;
        std::getline(rest, word, ' ');
        std::getline(rest, source, ' ');
        return source;
    }
    return {};
}

std::size_t Mounts::btrfs_disks(const std::string& disk) const {
    std::size_t count = 0;
    for_each_entry(fs::path(root_) / "sys/fs/btrfs", [&](const fs::directory_entry& each) {
        std::error_code error;
        const fs::path disks = each.path() / "devices";
        if (count != 0 || !fs::exists(disks / disk, error)) return;
        for_each_entry(disks, [&](const fs::directory_entry&) { ++count; });
    });
    return count;
}

}  // namespace iolens
