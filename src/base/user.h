// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace iolens {

/// Who a command runs as.
struct User {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;  ///< all of them, `gid` first
    std::string name;
    std::string home;
    std::string shell;
};

/// The environment of a fresh login: HOME, USER, LOGNAME, SHELL, PATH, each as "NAME=value".
std::vector<std::string> login_environment(const User& user);

/// A user by name or number, as etc/passwd and etc/group have it. These are read, and the name service is not asked: a
/// static binary can't. `root` is "/" but for tests.
std::optional<User> find_user(const std::string& name, const std::string& root = "/");

/// A group's number, of etc/group; a number is itself.
std::optional<gid_t> find_group(const std::string& name, const std::string& root = "/");

}  // namespace iolens
