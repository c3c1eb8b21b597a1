// SPDX-License-Identifier: Apache-2.0
#include "probe/pid_namespace.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>

#include "base/failure.h"
#include "base/text.h"
#include "probe/bpf.h"
// made by bpftool from bpf/pidns.bpf.c
#include "pidns.skel.h"

namespace iolens {
namespace {

/// PID_NS_INIT_INO of include/uapi/linux/nsfs.h (6.18), the same since 3.8 (98f842e675f9).
constexpr ino_t initial_pidns_inode = 0xEFFFFFFC;

[[noreturn]] void fail(int error) {
    throw Failure(Exit::unavailable,
                  "can't identify this pid namespace: the kernel does not run the program that finds it: " +
                      probe_error_text(error),
                  "run iolens in the initial pid namespace, outside of the container");
}

iolens_pidns find_pidns() {
    struct stat info{};
    if (::stat("/proc/self/ns/pid", &info) == 0 && info.st_ino == initial_pidns_inode) return {};
    const std::unique_ptr<pidns_bpf, decltype(&pidns_bpf__destroy)> object(opened(pidns_bpf__open_opts(open_options())),
                                                                           pidns_bpf__destroy);
    if (const int error = pidns_bpf__load(object.get()); error != 0) fail(-error);
    std::array<u64, 2> arguments{};
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.ctx_in = arguments.data();
    run.ctx_size_in = sizeof arguments;
    if (::bpf_prog_test_run_opts(bpf_program__fd(object->progs.iolens_find_pidns), &run) != 0) fail(errno);
    if (object->bss->found.address == 0) fail(ENOENT);
    return object->bss->found;
}

}  // namespace

const iolens_pidns& own_pidns() {
    static const iolens_pidns found = find_pidns();
    return found;
}

void require_own_proc() {
    if (own_pidns().level == 0) return;
    std::array<char, 32> self{};
    const ssize_t length = ::readlink("/proc/self", self.data(), self.size());
    if (length > 0 && std::string(self.data(), static_cast<std::size_t>(length)) == std::to_string(::getpid())) return;
    throw Failure(Exit::unavailable, "/proc is missing, or belongs to another pid namespace",
                  "mount it with 'unshare --mount-proc' or 'mount -t proc proc /proc'");
}

}  // namespace iolens
