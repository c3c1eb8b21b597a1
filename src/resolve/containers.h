// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "iolens/event/header.h"
#include "resolve/bounded.h"

namespace iolens {

/// The id of the container that a cgroup belongs to: 64 hexadecimal digits in its path, as Docker, Podman, containerd
/// and CRI-O create it ("/system.slice/docker-<id>.scope", "/kubepods/…/<id>"); "" for other cgroups.
std::string_view container_in(std::string_view cgroup_path);

/// The last part of a cgroup's path that is one of systemd's units, such as "cron.service"; "" if there is none.
std::string_view unit_in(std::string_view cgroup_path);

/// The UID of the Kubernetes pod that a cgroup belongs to: of "…/kubepods-besteffort-pod<uid>.slice/…", where "_"
/// stands for "-", or "/kubepods/…/pod<uid>/…"; "" for other cgroups.
std::string pod_in(std::string_view cgroup_path);

/// Maps cgroup ids to containers, on the running machine.
class Containers {
public:
    /// "" if the cgroup is gone or belongs to no container.
    [[nodiscard]] std::string_view find(u64 cgroup_id);
    /// The cgroup's directory; "" if it was gone at the first lookup.
    [[nodiscard]] std::string_view path_of(u64 cgroup_id);
    /// The path below the root of cgroup v2, as in /proc/PID/cgroup: "/system.slice/cron.service", "/"; "" likewise.
    [[nodiscard]] std::string_view name_of(u64 cgroup_id);
    /// Ends a period: a cgroup that was not looked up for a whole period is dropped, and read again on its next lookup.
    void age() { found_.age(256); }

private:
    struct Cgroup {
        std::string path;
        std::string container;
    };
    const Cgroup& look(u64 cgroup_id);
    [[nodiscard]] std::string read_path(u64 cgroup_id);

    Fd mount_;  // of cgroup v2
    std::string mount_path_;
    bool looked_ = false;
    Bounded<u64, Cgroup> found_{1 << 16};
};

}  // namespace iolens
