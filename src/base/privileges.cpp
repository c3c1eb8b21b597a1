// SPDX-License-Identifier: Apache-2.0
#include "base/privileges.h"

#include <fcntl.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <system_error>
#include <type_traits>

#include "base/output.h"

namespace iolens {
namespace {

struct FreeCapabilities {
    void operator()(void* set) const { ::cap_free(set); }
};
using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCapabilities>;

Capabilities own_capabilities() { return Capabilities(::cap_get_proc()); }

bool has(const Capabilities& set, unsigned capability, cap_flag_t flag) {
    cap_flag_value_t value = CAP_CLEAR;
    return set && ::cap_get_flag(set.get(), static_cast<cap_value_t>(capability), flag, &value) == 0 &&
           value == CAP_SET;
}

unsigned known_capabilities() { return static_cast<unsigned>(::cap_max_bits()); }

}  // namespace

u64 effective_capabilities() {
    const Capabilities own = own_capabilities();
    u64 items = 0;
    for (unsigned c = 0; c < known_capabilities(); ++c) items |= has(own, c, CAP_EFFECTIVE) ? capability_bit(c) : 0;
    return items;
}

void give_up_capabilities(u64 keep) {
    const Capabilities before = own_capabilities();
    const Capabilities after(::cap_init());
    if (!before || !after) return;
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::cap_reset_ambient();
    for (unsigned c = 0; c < known_capabilities(); ++c) {
        const auto value = static_cast<cap_value_t>(c);
        if ((keep & capability_bit(c)) == 0) {
            ::cap_drop_bound(value);
            continue;
        }
        for (const cap_flag_t flag : {CAP_PERMITTED, CAP_EFFECTIVE}) {
            if (has(before, c, flag)) ::cap_set_flag(after.get(), flag, 1, &value, CAP_SET);
        }
    }
    ::cap_set_proc(after.get());
}

void keep_only_needed(u64 keep, const std::vector<std::string>& paths) {
    const bool override_needed =
        std::ranges::any_of(paths, [](const std::string& path) { return needs_override(directory_of(path)); });
    give_up_capabilities(keep | (override_needed ? capability_bit(CAP_DAC_OVERRIDE) : 0));
}

WithoutCapabilities::WithoutCapabilities(u64 which) : which_(which & effective_capabilities()) { set(false); }
WithoutCapabilities::~WithoutCapabilities() { set(true); }

void WithoutCapabilities::set(bool effective) const {
    const Capabilities own = own_capabilities();
    if (!own) return;
    for (unsigned c = 0; c < known_capabilities(); ++c) {
        const auto value = static_cast<cap_value_t>(c);
        if ((which_ & capability_bit(c)) != 0) {
            ::cap_set_flag(own.get(), CAP_EFFECTIVE, 1, &value, effective ? CAP_SET : CAP_CLEAR);
        }
    }
    ::cap_set_proc(own.get());
}

namespace {

/// For this thread only: setgroups(3) changes all threads.
bool set_thread_groups(const std::vector<gid_t>& groups) {
    return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

/// setfsuid() with an invalid id is the only way to read the fsuid.
uid_t thread_fsuid() { return static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))); }
gid_t thread_fsgid() { return static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1))); }

}  // namespace

AccessAs::AccessAs(const Credentials& who) : uid_(thread_fsuid()), gid_(thread_fsgid()) {
    if (who.uid == 0) return;
    if (who.uid != uid_) {
        groups_.resize(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
        const int count = ::getgroups(static_cast<int>(groups_.size()), groups_.data());
        if (count < 0 || !set_thread_groups(who.groups)) throw std::system_error(errno, std::generic_category());
        changed_ = true;
        ::setfsgid(who.gid);
        ::setfsuid(who.uid);
        if (thread_fsuid() != who.uid || thread_fsgid() != who.gid) {
            restore();
            throw std::system_error(EPERM, std::generic_category());
        }
    }
    without_.emplace(~u64{0});
}

AccessAs::~AccessAs() {
    without_.reset();
    if (changed_) restore();
}

void AccessAs::restore() const {
    ::setfsuid(uid_);
    ::setfsgid(gid_);
    // a thread that can't restore its own credentials must not continue with another user's
    if (!set_thread_groups(groups_) || thread_fsuid() != uid_ || thread_fsgid() != gid_) std::terminate();
}

bool needs_override(const std::string& directory) {
    if ((effective_capabilities() & capability_bit(CAP_DAC_OVERRIDE)) == 0) return false;
    const WithoutCapabilities without(capability_bit(CAP_DAC_OVERRIDE));
    return ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0;
}

}  // namespace iolens
