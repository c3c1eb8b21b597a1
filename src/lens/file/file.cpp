// SPDX-License-Identifier: Apache-2.0
// iolens file: what happens to a file, at the VFS and at the block level.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include "base/clock.h"
#include "base/decode.h"
#include "base/failure.h"
#include "iolens/event/vfs.h"
#include "lens/file/profile.h"
#include "lens/file/serve/verbs.h"
#include "lens/file/watch.h"
#include "lens/lens.h"
#include "probe/calls.h"
#include "probe/kernel_btf.h"
#include "probe/symbols.h"
#include "probe/vfs.h"

namespace iolens {
namespace {

class FileLens final : public Lens {
public:
    std::string_view name() const override { return "file"; }
    std::string_view about() const override {
        return "what happens to files, at the VFS and at the block level, in one timeline";
    }
    std::string_view examples() const override {
        return "iolens file /var/lib/db/data                  reads and writes of a file, and the bios they become\n"
               "iolens file --recursive /srv                  every file in a tree, those to come, too\n"
               "iolens file --level vfs --min-ms 5 /srv/*     accesses that took 5 ms or more\n"
               "iolens file --op read,write,fsync,fault x     also fsync, and pages of mappings\n"
               "iolens file --summary -o /dev/null -D 60 db   a minute's profile: sizes, sequential or random, "
               "percentiles\n"
               "iolens file --format iotracer vm.qcow2        lines as iotracer's log has them";
    }
    std::span<const Column> columns() const override { return vfs_columns; }
    bool has_format(Format format) const override { return Lens::has_format(format) || format == Format::iotracer; }
    std::string_view words() const override { return "PATH"; }
    std::vector<Verb*> verbs() override {
        std::vector<Verb*> all;
        all.reserve(verbs_.size());
        for (const auto& verb : verbs_) all.push_back(verb.get());
        return all;
    }

    void view_flags(Flags& flags) override {
        add_level_flag(flags, level_);
        flags.toggle("--absolute", absolute_, "sectors from the start of the disk, not of the filesystem's partition");
    }
    void live_flags(Flags& flags) override {
        flags.toggle("-r,--recursive", recursive_, "of a folder also those below it");
        flags.number("--max-files", max_files_, 1, 1 << 22, "N",
                     "most files watched at once (default 65536); those of folders make room for others");
    }

    std::vector<const Column*> prepare(const ViewOptions& view) override;
    std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) override;
    Taken take(const iolens_header& record, RowBuffer& row) override;
    Summary summary() const override { return totals_.summary(); }
    std::string report() const override { return totals_.report(); }
    Loss explain(const iolens_loss& ledger) const override;
    std::vector<std::string> remarks() const override;
    std::vector<ProbeStatus> examine(bool variants) const override { return VfsProbe::examine(variants); }

private:
    bool asked_for(const iolens_vfs_event& e, const ViewOptions& f) const;
    void begin_log(u64 ns);
    void leave_out_output(const ViewOptions& view);

    std::vector<std::unique_ptr<Verb>> verbs_ = make_file_verbs();
    std::string level_;
    bool absolute_ = false;
    bool recursive_ = false;
    std::optional<u64> max_files_;
    u32 ops_ = 0;  // bit (1 << op)
    Levels levels_;
    bool iotracer_ = false;
    bool summing_ = false;
    bool unfinished_ = false;  // rows of what is not over when tracing ends
    bool began_ = false;       // iotracer's log has
    std::optional<ViewOptions> replay_filters_;
    std::unique_ptr<VfsProbe> probe_;
    std::unique_ptr<Watches> watches_;
    FileProfiles totals_;
    Decoder decoder_;
    iolens_vfs_event access_{};  // of the row being made, where it is not the record's own
};

std::vector<const Column*> FileLens::prepare(const ViewOptions& view) {
    for (const std::string& word : view.ops) {
        const auto at = std::ranges::find(vfs_ops, std::string_view(word), &VfsOpName::word);
        if (at == vfs_ops.end()) {
            std::string known;
            for (const VfsOpName& op : vfs_ops) known += (known.empty() ? "" : " ") + std::string(op.word);
            throw Failure(Exit::usage, fmt::format("there is no operation '{}'", visible(word)),
                          "the operations are: " + known);
        }
        ops_ |= 1U << static_cast<unsigned>(at - vfs_ops.begin());
    }
    levels_ = levels_of(level_);
    iotracer_ = view.format == Format::iotracer;
    constexpr u32 moves = 1U << IOLENS_VFS_READ | 1U << IOLENS_VFS_WRITE;
    if (iotracer_ && (ops_ & ~moves) != 0) {
        throw Failure(Exit::usage, "iotracer's log knows reads and writes only", "leave --format or --op out");
    }
    if (ops_ == 0 && (!view.replayed || iotracer_)) ops_ = moves;
    if (!view.summary_by.empty() && view.summary_by != "true") {
        throw Failure(Exit::usage, fmt::format("there is no --summary={} of files", visible(view.summary_by)),
                      "--summary adds up per file and level");
    }
    summing_ = view.summary;
    unfinished_ = view.unfinished;
    replay_filters_ = view;
    if (view.replayed) resolver().set_recorded();
    if (iotracer_) {
        if (!view.columns.empty()) {
            throw Failure(Exit::usage, "--columns is not for iotracer's own format", "take --format csv or table");
        }
        if (view.ns) {
            throw Failure(Exit::usage, "--ns is not for iotracer's own format", "take --format csv or table");
        }
        return pointers_to(iotracer_columns);
    }
    std::vector<std::string> names = view.columns;
    if (names.empty() && view.format == Format::table) {
        names = {view.wall ? "unix_ns" : "time_ns", "level", "rw", "address", "bytes", "duration_ns", "comm", "pid"};
        if (view.verbose) names.insert(names.end(), {"tid", "requested", "disk", "dev", "ino", "error"});
        names.emplace_back("file");
    } else if (names.empty()) {
        for (const Column& column : vfs_columns) names.emplace_back(column.name);
    }
    place_host_pid(names, view);
    return choose_columns(vfs_columns, names);
}

/// Rows in a watched folder would make more of them.
void FileLens::leave_out_output(const ViewOptions& view) {
    const std::string path = view.output.empty() ? "/proc/self/fd/1" : view.output;
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    probe_->watch(watches_->find(path).what.id, {});
}

std::unique_ptr<Source> FileLens::open(const ViewOptions& view, const LiveOptions& live) {
    if (live.words.empty()) {
        throw Failure(Exit::usage, "which file or folder?", "'iolens file PATH'; 'iolens file --help' has examples");
    }
    VfsProbe::Options options;
    Fd cgroup;
    options.keep = task_filters(view, live, cgroup);
    options.cgroup_fd = cgroup.get();
    options.keep.ops = ops_;
    options.ring_bytes = ring_bytes(live);
    options.max_inflight = static_cast<u32>(live.max_inflight.value_or(options.max_inflight));
    options.max_files = static_cast<u32>(max_files_.value_or(65536)) + 1;  // and what rows are written to
    options.vfs = levels_.vfs;
    options.blk = levels_.blk;
    bool folders = false;
    for (const std::string& word : live.words) {
        struct stat info{};
        folders = folders || (::stat(word.c_str(), &info) == 0 && S_ISDIR(info.st_mode));
    }
    if (folders) options.depth = recursive_ ? IOLENS_WATCH_DEPTH : 1;
    require_tracing();
    const auto types = kernel_btf();  // of both probes
    probe_ = std::make_unique<VfsProbe>(options);
    watches_ = std::make_unique<Watches>(*probe_);
    leave_out_output(view);
    for (const std::string& word : live.words) watches_->add(watches_->find(word), recursive_);
    watches_->complete(options);
    if ((ops_ & 1U << IOLENS_VFS_FAULT) != 0 && levels_.vfs && !probe_->sees_faults()) {
        say("faults of mapped pages can't be seen on this kernel; 'iolens doctor' tells why");
    }
    if (levels_.blk && kernel_addresses_hidden()) say(no_direct_files);
    replay_filters_.reset();  // the kernel filters
    begin_log(clock_ns(CLOCK_BOOTTIME));
    RingSource::Probes source = watches_->source();
    source.tidy = [this, tidy = std::move(source.tidy)] {
        tidy();
        resolver().age([this] { watches_->begin_period(); }, [this] { return watches_->names_in_flight(); });
    };
    return std::make_unique<RingSource>(std::move(source));
}

/// The filters that the kernel applies to a live run, for a replay.
bool FileLens::asked_for(const iolens_vfs_event& e, const ViewOptions& f) const {
    if (!f.pids.empty() && std::ranges::find(f.pids, u64{e.tgid}) == f.pids.end()) return false;
    if (f.tid && *f.tid != e.tid) return false;
    if (!f.comm.empty() && text_of(e.comm) != std::string_view(f.comm).substr(0, IOLENS_COMM_LEN - 1)) return false;
    return !f.min_ms || vfs_has(e, IOLENS_VFS_NO_END) || e.h.ts - e.start >= static_cast<u64>(*f.min_ms * 1e6);
}

/// What the times of iotracer's lines count from.
void FileLens::begin_log(u64 ns) {
    began_ = true;
    resolver().set_log_start(ns);
}

Taken FileLens::take(const iolens_header& record, RowBuffer& row) {
    if (const auto taken = learn(record)) return *taken;
    const iolens_vfs_event* event = access_of(record, resolver().tasks(), decoder_, access_);
    if (event == nullptr) {
        const auto* call = decoder_.as<iolens_call_event>(record, IOLENS_KIND_CALL);  // no access to a file's contents
        return call != nullptr ? without_row((call->flags & IOLENS_CALL_PENDING) != 0) : Taken::unknown;
    }
    if (event->name_id != 0) resolver().files().named(event->id, event->name_id);
    const bool level = event->level == IOLENS_LEVEL_BLK ? levels_.blk : levels_.vfs;
    const bool op = ops_ == 0 || (event->op < IOLENS_VFS_OPS && (ops_ >> event->op & 1U) != 0);
    const bool pending = vfs_has(*event, IOLENS_VFS_PENDING);
    if (pending && !unfinished_) return Taken::nothing;
    if (!level || !op || (replay_filters_ && !asked_for(*event, *replay_filters_))) return without_row(pending);
    if (!began_) begin_log(event->start);
    if (summing_) totals_.add(*event, resolver().file_of(event->id, event->name_id).text());
    if (absolute_ && event->level == IOLENS_LEVEL_BLK) {
        access_ = *event;
        access_.first_sector = 0;
        event = &access_;
    }
    return fill({.event = &event->h, .pattern = {}, .json = {}}, row);
}

Loss FileLens::explain(const iolens_loss& ledger) const {
    const iolens_counters& n = ledger.n;
    Loss loss = sums(n);
    const u64 named = n.requests_full + n.frames_full + n.not_decoded;
    loss.note("state_full", "accesses (more in flight than --max-inflight)",
              n.state_full - std::min(named, n.state_full));
    loss.note("requests_full", "requests of libaio and io_uring (more in flight than --max-inflight)", n.requests_full);
    loss.note("frames_full", "accesses at kretprobes (more in flight than --max-inflight)", n.frames_full);
    loss.note("not_decoded", "calls of 32-bit programs (not decoded)", n.not_decoded);
    if (probe_)
        loss.note_beside("files_full", "files in watched directories (more than --max-files)",
                         probe_->unwatched_files());
    loss.note_skipped_runs(ledger.missed);
    return loss;
}

std::vector<std::string> FileLens::remarks() const {
    if (!probe_) return {};
    const iolens_loss ledger = probe_->ledger();
    std::vector<std::string> all{ledger_remark(explain(ledger))};
    if (const u64 evicted = probe_->evicted(); evicted != 0) {
        all.push_back(fmt::format("files of watched folders that made room for others: {}", evicted));
    }
    std::ranges::move(resolver().diagnostics(), std::back_inserter(all));
    if (!probe_->why().empty()) all.push_back(fmt::format("not taken: {}", fmt::join(probe_->why(), "; ")));
    return all;
}

}  // namespace

std::unique_ptr<Lens> make_file_lens() { return std::make_unique<FileLens>(); }

}  // namespace iolens
