// SPDX-License-Identifier: Apache-2.0
// iolens file serve
#include "lens/file/serve/verbs.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <unistd.h>

#include <array>
#include <span>
#include <utility>

#include "base/failure.h"
#include "base/output.h"
#include "base/privileges.h"
#include "base/user.h"
#include "fuse/mount.h"
#include "lens/file/serve/serve.h"
#include "lens/filter.h"
#include "probe/bpf.h"

namespace iolens {
namespace {

/// The logs, the probes that fill them, and the tree that shows them.
class Server final : public Service {
public:
    Server(MountedTree::Options mount, const LogTree::Options& options) : mount_(std::move(mount)), options_(options) {}

    void start() override;
    bool stop() override { return tree_->stop(); }
    std::span<const int> descriptors() const override { return descriptors_; }
    Progress work(u64 /*now_ns*/) override {
        if (tree_->ended()) {
            throw Failure(Exit::failed, fmt::format("'{}' was unmounted by somebody else", visible(mount_.directory)),
                          "start it again");
        }
        return files_->drain() != 0 ? Progress::busy : Progress::idle;
    }

private:
    MountedTree::Options mount_;
    LogTree::Options options_;
    std::unique_ptr<LogTree> files_;
    std::unique_ptr<MountedTree> tree_;  // declared after files_, which its threads read
    std::array<int, 2> descriptors_{-1, -1};
};

void Server::start() {
    require_tracing();
    files_ = std::make_unique<LogTree>(options_);
    tree_ = std::make_unique<MountedTree>(mount_, *files_);
    // 'add' attaches further probes and looks up the paths of its callers; unmounting at the end needs CAP_SYS_ADMIN
    u64 keep = capabilities_to_attach() | capability_bit(CAP_DAC_READ_SEARCH) | capability_bit(CAP_SYS_PTRACE);
    if (mount_.group) keep |= capability_bit(CAP_SETUID) | capability_bit(CAP_SETGID);
    keep_only_needed(keep, {tree_->directory()});
    tree_->start();
    descriptors_ = {files_->descriptor(), tree_->end_descriptor()};
    log_line(fmt::format("serving {}", visible(mount_.directory)));
}

class ServeVerb final : public Verb {
public:
    std::string_view name() const override { return "serve"; }
    std::string_view about() const override {
        return "log accesses to files in the background, controlled through a small tree of files like iotracer's";
    }
    std::string_view examples() const override {
        return "iolens file serve  serve /run/iolens until Ctrl-C or SIGTERM\n"
               "iolens file serve --group adm /srv/io  let members of a group use the tree\n"
               "echo 'add /srv/vm.qcow2 1000' > /run/iolens/control\n"
               "cat /run/iolens/control /run/iolens/sda1_1234/log";
    }
    std::string_view args() const override { return "[DIR]"; }
    void flags(Flags& flags) override {
        flags.number("--max-events", max_events_, 1, AccessLog::max_events, "N",
                     "keep the last N events of a file unless 'add' says otherwise (default 10)");
        flags.number("--max-files", max_files_, 1, 1 << 22, "N", "watch at most N files (default 131072)");
        flags.size("--max-memory", max_memory_, 1, 4096, ~u64{0}, "SIZE",
                   "limit the memory of all logs together (default 1GiB); reading them takes as much again");
        flags.text("--group", group_, "NAME",
                   "let members of this group read and write the tree, and add files that they may read");
        add_ring_flag(flags, ring_bytes_);
        add_level_flag(flags, level_);
        flags.toggle("--no-follow-name", no_follow_name_,
                     "log only the file that PATH names at 'add', not those that replace it");
    }
    int run(const std::vector<std::string>& args) override;
    std::unique_ptr<Service> take_service() override { return std::move(server_); }

private:
    std::optional<u64> max_events_;
    std::optional<u64> max_files_;
    std::optional<u64> ring_bytes_;
    std::optional<u64> max_memory_;
    std::string group_;
    std::string level_;
    bool no_follow_name_ = false;
    std::unique_ptr<Server> server_;
};

int ServeVerb::run(const std::vector<std::string>& args) {
    if (args.size() > 1)
        throw Failure(Exit::usage, "too many arguments", "a server has one directory; start a server for each");
    MountedTree::Options mount;
    mount.directory = args.empty() ? std::string(default_tree) : args[0];
    if (!group_.empty()) {
        mount.group = find_group(group_);
        if (!mount.group) {
            throw Failure(Exit::usage, fmt::format("unknown group '{}'", visible(group_)), "use a name in /etc/group");
        }
    }
    const Levels levels = levels_of(level_);
    LogTree::Options options;
    options.max_events = static_cast<std::size_t>(max_events_.value_or(10));
    if (max_memory_) options.max_memory = *max_memory_;
    LiveOptions live;
    live.ring_bytes = ring_bytes_;
    Fd none;
    options.probe.filter = task_filters({}, live, none);
    options.probe.filter.ops = 1U << IOLENS_VFS_READ | 1U << IOLENS_VFS_WRITE;
    options.probe.ring_bytes = ring_bytes(live);
    options.probe.max_files = static_cast<u32>(max_files_.value_or(131072));
    options.probe.vfs = levels.vfs;
    options.probe.blk = levels.blk;
    options.probe.directories = false;
    options.probe.follow_names = !no_follow_name_;
    options.probe.depth = no_follow_name_ ? 0 : 1;
    server_ = std::make_unique<Server>(std::move(mount), options);
    return 0;
}

}  // namespace

std::unique_ptr<Verb> make_serve_verb() { return std::make_unique<ServeVerb>(); }

}  // namespace iolens
