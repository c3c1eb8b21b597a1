// SPDX-License-Identifier: Apache-2.0
#include "resolve/disks.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include "base/directory.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

std::string read_line(const fs::path& path) {
    std::string line;
    std::ifstream file(path);
    std::getline(file, line);
    return line;
}

u64 parse_number(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

std::optional<u32> parse_dev(const std::string& text) {
    const auto colon = text.find(':');
    if (colon == std::string::npos) return {};
    const auto major_number = static_cast<u32>(parse_number(text));
    const auto minor_number = static_cast<u32>(parse_number(text.substr(colon + 1)));
    return major_number << 20 | (minor_number & 0xfffffU);
}

/// Reads a device from its sysfs directory.
std::optional<Disk> read_disk(fs::path place) {
    std::error_code error;
    const auto dev = parse_dev(read_line(place / "dev"));
    if (!dev) return {};

    Disk disk;
    place = fs::canonical(place, error);
    disk.name = place.filename().string();
    disk.dev = *dev;
    disk.whole_dev = *dev;
    if (fs::exists(place / "partition", error)) {
        const auto whole = parse_dev(read_line(place.parent_path() / "dev"));
        if (!whole) return {};
        disk.whole_dev = *whole;
        disk.first_sector = parse_number(read_line(place / "start"));
        disk.sector_count = parse_number(read_line(place / "size"));
    }
    return disk;
}

}  // namespace

std::string Disks::place_of(u32 dev) const {
    return fmt::format("{}/sys/dev/block/{}:{}", root_, dev >> 20, dev & 0xfffff);
}

std::string_view Disks::name(u32 dev) {
    auto [at, fresh] = names_.try_emplace(dev);
    if (fresh && !here_) {
        if (dev != 0) at->second = fmt::format("{}:{}", dev >> 20, dev & 0xfffff);
    } else if (fresh) {
        std::error_code error;
        at->second = fs::read_symlink(place_of(dev), error).filename().string();
    }
    return at->second;
}

std::string_view Disks::partition_at(u32 whole_dev, u64 sector) {
    const auto [at, fresh] = partitions_.try_emplace(whole_dev);
    if (fresh && here_) {
        for_each_entry(place_of(whole_dev), [&](const fs::directory_entry& entry) {
            const std::optional<Disk> found = read_disk(entry.path());
            if (found && found->is_partition()) at->second.push_back(*found);
        });
    }
    for (const Disk& partition : at->second) {
        if (sector - partition.first_sector < partition.sector_count) return partition.name;
    }
    return {};
}

std::optional<Disk> Disks::find(const std::string& wanted) const {
    if (!here_) return {};
    std::error_code error;
    std::string name = wanted;
    if (name.starts_with("/dev/")) name = name.substr(5);
    if (name.starts_with("mapper/")) name = name.substr(7);
    if (name.empty() || name == "." || name == "..") return {};

    fs::path place;
    if (name.find('/') == std::string::npos && fs::exists(fs::path(root_) / "sys/class/block" / name, error)) {
        place = fs::path(root_) / "sys/class/block" / name;
    } else {
        for_each_entry(fs::path(root_) / "sys/class/block", [&](const fs::directory_entry& entry) {
            if (read_line(entry.path() / "dm/name") == name) place = entry.path();
        });
    }
    if (place.empty() && wanted.starts_with('/')) {
        // another name of the device node: /dev/disk/by-id/…
        struct stat info{};
        if (::stat(wanted.c_str(), &info) == 0 && S_ISBLK(info.st_mode)) {
            place = fs::path(root_) / "sys/dev/block" / fmt::format("{}:{}", major(info.st_rdev), minor(info.st_rdev));
        }
    }
    if (place.empty()) return {};
    return read_disk(place);
}

std::vector<std::string> Disks::all_names() const {
    std::vector<std::string> names;
    if (!here_) return names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(root_ + "/sys/class/block", error)) {
        names.push_back(entry.path().filename().string());
        if (std::string mapped = read_line(entry.path() / "dm/name"); !mapped.empty())
            names.push_back(std::move(mapped));
    }
    return names;
}

std::optional<Disk> Disks::find(u32 dev) const {
    if (!here_) return {};
    return read_disk(place_of(dev));
}

}  // namespace iolens
