// SPDX-License-Identifier: Apache-2.0
#include "base/privileges.h"

#include <fcntl.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <memory>
#include <type_traits>

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
    u64 all = 0;
    for (unsigned c = 0; c < known_capabilities(); ++c) all |= has(own, c, CAP_EFFECTIVE) ? capability_bit(c) : 0;
    return all;
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

bool needs_override(const std::string& directory) {
    if ((effective_capabilities() & capability_bit(CAP_DAC_OVERRIDE)) == 0) return false;
    const WithoutCapabilities without(capability_bit(CAP_DAC_OVERRIDE));
    return ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0;
}

}  // namespace iolens
