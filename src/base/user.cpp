// SPDX-License-Identifier: Apache-2.0
#include "base/user.h"

#include <grp.h>
#include <pwd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

namespace iolens {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File open_file(const std::string& path) { return {std::fopen(path.c_str(), "re"), std::fclose}; }

}  // namespace

std::optional<User> find_user(const std::string& name, const std::string& root) {
    std::vector<char> room(64 << 10);
    const File users = open_file(root + "etc/passwd");
    if (!users) return {};
    std::optional<User> user;
    std::string login;
    passwd entry{};
    for (passwd* found = nullptr; ::fgetpwent_r(users.get(), &entry, room.data(), room.size(), &found) == 0;) {
        if (name != found->pw_name && name != std::to_string(found->pw_uid)) continue;
        user = User{found->pw_uid, found->pw_gid, {found->pw_gid}};
        login = found->pw_name;
        break;
    }
    const File groups = open_file(root + "etc/group");
    if (!user || !groups) return user;
    group of{};
    for (group* found = nullptr; ::fgetgrent_r(groups.get(), &of, room.data(), room.size(), &found) == 0;) {
        for (char** member = found->gr_mem; *member != nullptr; ++member) {
            if (login == *member && found->gr_gid != user->gid) user->groups.push_back(found->gr_gid);
        }
    }
    return user;
}

std::optional<gid_t> find_group(const std::string& name, const std::string& root) {
    gid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) return number;
    std::vector<char> room(64 << 10);
    const File groups = open_file(root + "etc/group");
    if (!groups) return {};
    group of{};
    for (group* found = nullptr; ::fgetgrent_r(groups.get(), &of, room.data(), room.size(), &found) == 0;) {
        if (name == found->gr_name) return found->gr_gid;
    }
    return {};
}

}  // namespace iolens
