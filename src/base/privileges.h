// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "iolens/event/header.h"

namespace iolens {

/// A capability (CAP_…) as a bit of a set.
constexpr u64 capability_bit(unsigned capability) { return u64{1} << capability; }

/// The effective capabilities, a bit each.
u64 effective_capabilities();

/// Gives up all capabilities but `keep`, for good: effective, permitted, inheritable, ambient and bounding; and sets
/// no_new_privs. What can't be given up stays: a process without CAP_SETPCAP keeps its bounding set.
void give_up_capabilities(u64 keep);

/// The same after attaching, for a run that still makes or removes files at `paths`: keeps CAP_DAC_OVERRIDE only if one
/// of their directories takes it.
void keep_only_needed(u64 keep, const std::vector<std::string>& paths);

/// While it lives, these capabilities of the thread aren't effective.
class WithoutCapabilities {
public:
    explicit WithoutCapabilities(u64 which);
    ~WithoutCapabilities();
    WithoutCapabilities(const WithoutCapabilities&) = delete;
    WithoutCapabilities& operator=(const WithoutCapabilities&) = delete;

private:
    void set(bool effective) const;
    u64 which_;
};

/// Whose rights count when a file is looked up.
struct Credentials {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
};

/// While it lives, this thread looks up files as another user could, without any capability. Root is not restricted.
/// Throws std::system_error where it can't take on these rights.
class AccessAs {
public:
    explicit AccessAs(const Credentials& who);
    ~AccessAs();
    AccessAs(const AccessAs&) = delete;
    AccessAs& operator=(const AccessAs&) = delete;

private:
    void restore() const;

    bool changed_ = false;
    uid_t uid_ = 0;  // before
    gid_t gid_ = 0;
    std::vector<gid_t> groups_;
    std::optional<WithoutCapabilities> without_;
};

/// Does only CAP_DAC_OVERRIDE let us create and remove files in a directory?
bool needs_override(const std::string& directory);

}  // namespace iolens
