// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "iolens/event/header.h"
#include "resolve/bounded.h"

namespace iolens {

/// The id of the container that a cgroup belongs to: 64 hexadecimal digits in its path, as Docker, Podman, containerd
/// and CRI-O have them ("/system.slice/docker-<id>.scope", "/kubepods/…/<id>"); "" for others.
std::string_view container_in(std::string_view cgroup_path);

/// Containers by cgroup id, of the running machine.
class Containers {
public:
    /// "" where the cgroup is gone or belongs to no container.
    [[nodiscard]] std::string_view find(u64 cgroup_id);
    /// The cgroup's directory; "" where it was gone when it was first asked for.
    [[nodiscard]] std::string_view path_of(u64 cgroup_id);
    /// Ends a period: a cgroup that was not looked up during a whole one is forgotten, and read again when it is.
    void age() { found_.age(256); }

private:
    struct Cgroup {
        std::string path;
        std::string container;
    };
    const Cgroup& look(u64 cgroup_id);
    [[nodiscard]] std::string read_path(u64 cgroup_id);

    Fd mount_;  // of cgroup v2
    bool looked_ = false;
    Bounded<u64, Cgroup> found_{1 << 16};
};

}  // namespace iolens
