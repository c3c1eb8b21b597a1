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

/// Drops all capabilities except `keep`, permanently: effective, permitted, inheritable, ambient and bounding; and sets
/// no_new_privs. What can't be dropped remains: a process without CAP_SETPCAP retains its bounding set.
void give_up_capabilities(u64 keep);

/// Likewise after attaching, for a run that still creates or removes files at `paths`: retains CAP_DAC_OVERRIDE only if
/// one of their directories requires it.
void keep_only_needed(u64 keep, const std::vector<std::string>& paths);

/// Removes capabilities from the thread's effective set during its lifetime.
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

/// Credentials to look up files with.
struct Credentials {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
};

/// During its lifetime, this thread looks up files with another user's credentials and without capabilities. Root is
/// not restricted. Throws std::system_error if it can't assume these credentials.
class AccessAs {
public:
    explicit AccessAs(const Credentials& who);
    ~AccessAs();
    AccessAs(const AccessAs&) = delete;
    AccessAs& operator=(const AccessAs&) = delete;

private:
    void restore() const;

    bool changed_ = false;
    uid_t uid_ = 0;  // the previous credentials
    gid_t gid_ = 0;
    std::vector<gid_t> groups_;
    std::optional<WithoutCapabilities> without_;
};

/// True if we can create and remove files in a directory only because of CAP_DAC_OVERRIDE.
bool needs_override(const std::string& directory);

}  // namespace iolens
