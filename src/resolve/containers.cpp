// SPDX-License-Identifier: Apache-2.0
#include "resolve/containers.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

namespace iolens {
namespace {

constexpr std::size_t id_digits = 64;

bool hexadecimal(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

/// The mount point of cgroup v2; "" if it isn't mounted.
std::string cgroup_mount() {
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
        const std::size_t dash = line.find(" - cgroup2 ");
        if (dash == std::string::npos) continue;
        std::istringstream words(line);
        std::string word;
        for (int i = 0; i < 5; ++i) words >> word;
        return word;
    }
    return {};
}

}  // namespace

std::string_view container_in(std::string_view path) {
    for (std::size_t end = path.size(); end >= id_digits;) {
        std::size_t begin = end;
        while (begin > 0 && hexadecimal(path[begin - 1])) --begin;
        if (end - begin == id_digits) return path.substr(begin, id_digits);
        end = begin == end ? end - 1 : begin;
    }
    return {};
}

std::string_view unit_in(std::string_view path) {
    for (std::size_t end = path.size(); end != std::string_view::npos && end != 0;) {
        const std::size_t slash = path.substr(0, end).rfind('/');
        const std::string_view part = path.substr(slash + 1, end - slash - 1);
        for (const std::string_view suffix : {".service", ".scope", ".slice"}) {
            if (part.ends_with(suffix)) return part;
        }
        end = slash;
    }
    return {};
}

std::string pod_in(std::string_view path) {
    if (path.find("kubepods") == std::string_view::npos) return {};
    constexpr std::size_t length = 36;
    for (std::size_t at = path.find("pod"); at != std::string_view::npos; at = path.find("pod", at + 1)) {
        std::string uid(path.substr(at + 3, length));
        std::ranges::replace(uid, '_', '-');
        const bool is_uid = uid.size() == length && std::ranges::count(uid, '-') == 4 &&
                            uid.find_first_not_of("0123456789abcdef-") == std::string::npos;
        if (is_uid) return uid;
    }
    return {};
}

std::string Containers::read_path(u64 cgroup_id) {
    if (!looked_) {
        looked_ = true;
        mount_path_ = cgroup_mount();
        if (!mount_path_.empty()) mount_ = Fd(::open(mount_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    if (!mount_) return {};
    // a kernfs file handle is the cgroup's id (FILEID_KERNFS, include/linux/exportfs.h)
    constexpr int fileid_kernfs = 0xfe;
    alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof cgroup_id> buffer{};
    auto* handle = reinterpret_cast<file_handle*>(buffer.data());
    handle->handle_bytes = sizeof cgroup_id;
    handle->handle_type = fileid_kernfs;
    std::memcpy(buffer.data() + offsetof(file_handle, f_handle), &cgroup_id, sizeof cgroup_id);
    const Fd fd(::open_by_handle_at(mount_.get(), handle, O_PATH | O_CLOEXEC));
    if (!fd) return {};
    std::array<char, 4096> path{};
    const ssize_t size =
        ::readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), path.data(), path.size() - 1);
    return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : std::string();
}

const Containers::Cgroup& Containers::look(u64 cgroup_id) {
    if (const Cgroup* known = found_.find(cgroup_id)) return *known;
    Cgroup fresh{.path = read_path(cgroup_id), .container = {}};
    fresh.container = container_in(fresh.path);
    return found_.put(cgroup_id, std::move(fresh));
}

std::string_view Containers::find(u64 cgroup_id) { return look(cgroup_id).container; }

std::string_view Containers::path_of(u64 cgroup_id) { return look(cgroup_id).path; }

std::string_view Containers::name_of(u64 cgroup_id) {
    const std::string_view path = path_of(cgroup_id);
    if (path.size() <= mount_path_.size()) return path.empty() ? path : std::string_view("/");
    return path.substr(mount_path_.size());
}

}  // namespace iolens
