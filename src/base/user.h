// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace iolens {

/// The user that a command runs as.
struct User {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;  ///< all groups, `gid` first
    std::string name;
    std::string home;
    std::string shell;
};

/// The environment of a fresh login: HOME, USER, LOGNAME, SHELL, PATH, each as "NAME=value".
std::vector<std::string> login_environment(const User& user);

/// Finds a user by name or number in etc/passwd and etc/group. These are read directly, without NSS, which a static
/// binary can't use. `root` is "/" except in tests.
std::optional<User> find_user(const std::string& name, const std::string& root = "/");

/// Finds a group's number in etc/group; a number is returned as it is.
std::optional<gid_t> find_group(const std::string& name, const std::string& root = "/");

}  // namespace iolens
