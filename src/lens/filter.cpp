// SPDX-License-Identifier: Apache-2.0
#include "lens/filter.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/failure.h"
#include "base/text.h"

namespace iolens {

iolens_filter task_filters(const ViewOptions& view, const LiveOptions& live, Fd& cgroup) {
    iolens_filter filter{};
    if (view.pids.size() > IOLENS_FILTER_PIDS) {
        throw Failure(Exit::usage, fmt::format("--pid takes at most {} processes", IOLENS_FILTER_PIDS),
                      "use --cgroup for more");
    }
    for (const u64 pid : view.pids) filter.pids[filter.pid_count++] = static_cast<u32>(pid);
    if (view.tid) {
        filter.by_tid = 1;
        filter.tid = static_cast<u32>(*view.tid);
    }
    if (live.uid) {
        filter.by_uid = 1;
        filter.uid = static_cast<u32>(*live.uid);
    }
    if (!view.comm.empty()) {
        filter.by_comm = 1;
        std::copy_n(view.comm.data(), std::min<std::size_t>(view.comm.size(), IOLENS_COMM_LEN - 1),
                    static_cast<u8*>(filter.comm));
    }
    if (!live.cgroup.empty()) {
        cgroup = Fd(::open(live.cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        struct statfs fs{};
        if (!cgroup) {
            throw Failure(Exit::usage,
                          fmt::format("can't open cgroup '{}': {}", visible(live.cgroup), error_text(errno)),
                          "use a directory below the cgroup v2 mount point, usually /sys/fs/cgroup");
        }
        if (::fstatfs(cgroup.get(), &fs) != 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
            throw Failure(Exit::usage, fmt::format("'{}' is not a cgroup v2 directory", visible(live.cgroup)),
                          "'grep cgroup2 /proc/self/mountinfo' shows where cgroup v2 is mounted");
        }
        filter.by_cgroup = 1;
    }
    filter.min_ns = view.min_ns.value_or(0);
    filter.self[0] = static_cast<u32>(::getpid());
    return filter;
}

bool passes(const ViewOptions& filters, const FilterSubject& subject) {
    const bool of_task = !filters.pids.empty() || filters.tid || !filters.comm.empty();
    if (of_task && !subject.task_known) return false;
    if (!filters.pids.empty() && std::ranges::find(filters.pids, u64{subject.tgid}) == filters.pids.end()) return false;
    if (filters.tid && *filters.tid != subject.tid) return false;
    // the kernel's names have at most this length
    if (!filters.comm.empty() && subject.comm != std::string_view(filters.comm).substr(0, IOLENS_COMM_LEN - 1)) {
        return false;
    }
    return !filters.min_ns || !subject.duration_ns || *subject.duration_ns >= *filters.min_ns;
}

}  // namespace iolens
