// SPDX-License-Identifier: Apache-2.0
// What an fd of a logged program refers to, as the log shows it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "iolens/event/file.h"
#include "iolens/event/header.h"

namespace iolens {

/// A socket's address.
struct LoggedAddress {
    u16 family = 0;
    u16 port = 0;
    std::array<u8, 16> bytes{};
};

/// An open file of the log: copies of an fd share it.
struct LoggedFile {
    u8 kind = IOLENS_FILE_OTHER;  ///< enum iolens_file_kind
    std::string name;             ///< a path as it was given, or a generated name: "pipe->4", "tcp:"
    std::string path;             ///< the absolute path, if the log determines it and `name` isn't it
    std::string shown;            ///< what -y printed, if the name is from there
    bool is_path = false;         ///< the name is shown in quotes
    bool unnamed = false;         ///< O_TMPFILE: linkat() may give it a name
    std::optional<LoggedAddress> peer;
    u64 ino = 0;      ///< of a pipe, if the log has it
    u64 open_id = 0;  ///< identifies the open file description; 0: opened before the log began
    u64 name_id = 0;  ///< of the emitted name; valid if `name_epoch` is the current one
    u64 name_epoch = 0;

    /// Its absolute path; "" if the log does not determine it.
    [[nodiscard]] std::string_view absolute() const {
        if (!is_path) return {};
        return name.starts_with('/') && path.empty() ? std::string_view(name) : std::string_view(path);
    }
};

using FileRef = std::shared_ptr<LoggedFile>;

/// Interprets what -y and -yy print in <>. `deleted`: "(deleted)" follows.
LoggedFile shown_file(std::string_view shown, bool deleted = false);

/// The fds in "[3, 4]", as returned by pipe and socketpair, each as an argument.
std::vector<std::string_view> pair_of(std::string_view argument);

/// The address in "{sa_family=AF_INET, sin_port=htons(80), …}"; stores a unix socket's path in `path`.
std::optional<LoggedAddress> address_of(std::string_view argument, std::string& path);

}  // namespace iolens
