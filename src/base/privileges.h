// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "iolens/event/header.h"

namespace iolens {

/// A capability (CAP_…) as a bit of a set.
constexpr u64 capability_bit(unsigned capability) { return u64{1} << capability; }

/// The effective capabilities, a bit each.
u64 effective_capabilities();

/// Gives up all capabilities but `keep`, for good: effective, permitted, inheritable, ambient and bounding; and sets
/// no_new_privs. What can't be given up stays: a process without CAP_SETPCAP keeps its bounding set.
void give_up_capabilities(u64 keep);

/// While it lives, these capabilities aren't effective.
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

/// Does only CAP_DAC_OVERRIDE let us create and remove files in a directory?
bool needs_override(const std::string& directory);

}  // namespace iolens
