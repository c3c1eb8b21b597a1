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
    std::vector<char> buffer(64 << 10);
    const File users = open_file(root + "etc/passwd");
    if (!users) return {};
    std::optional<User> user;
    passwd entry{};
    for (passwd* found = nullptr; ::fgetpwent_r(users.get(), &entry, buffer.data(), buffer.size(), &found) == 0;) {
        if (name != found->pw_name && name != std::to_string(found->pw_uid)) continue;
        user = User{.uid = found->pw_uid,
                    .gid = found->pw_gid,
                    .groups = {found->pw_gid},
                    .name = found->pw_name,
                    .home = found->pw_dir,
                    .shell = found->pw_shell};
        break;
    }
    const File groups = open_file(root + "etc/group");
    if (!user || !groups) return user;
    group of{};
    for (group* found = nullptr; ::fgetgrent_r(groups.get(), &of, buffer.data(), buffer.size(), &found) == 0;) {
        for (char** member = found->gr_mem; *member != nullptr; ++member) {
            if (user->name == *member && found->gr_gid != user->gid) user->groups.push_back(found->gr_gid);
        }
    }
    return user;
}

std::vector<std::string> login_environment(const User& user) {
    // the defaults of /etc/login.defs
    const char* path = user.uid == 0 ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                                     : "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
    return {"HOME=" + (user.home.empty() ? "/" : user.home), "USER=" + user.name, "LOGNAME=" + user.name,
            "SHELL=" + (user.shell.empty() ? "/bin/sh" : user.shell), std::string("PATH=") + path};
}

std::optional<gid_t> find_group(const std::string& name, const std::string& root) {
    gid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) return number;
    std::vector<char> buffer(64 << 10);
    const File groups = open_file(root + "etc/group");
    if (!groups) return {};
    group of{};
    for (group* found = nullptr; ::fgetgrent_r(groups.get(), &of, buffer.data(), buffer.size(), &found) == 0;) {
        if (name == found->gr_name) return found->gr_gid;
    }
    return {};
}

}  // namespace iolens
