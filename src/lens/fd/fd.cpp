// SPDX-License-Identifier: Apache-2.0
// iolens fd: what a process reads and writes, to and from where.
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>
#include <unordered_map>

#include "base/decode.h"
#include "base/failure.h"
#include "base/privileges.h"
#include "base/readers.h"
#include "base/record.h"
#include "base/signals.h"
#include "base/user.h"
#include "import/strace_log.h"
#include "iolens/event/call.h"
#include "lens/columns.h"
#include "lens/fd/operations.h"
#include "lens/fd/totals.h"
#include "lens/fd/why.h"
#include "lens/filter.h"
#include "lens/lens.h"
#include "lens/loss.h"
#include "lens/requests.h"
#include "probe/block.h"
#include "probe/calls.h"
#include "probe/command.h"
#include "probe/kernel_btf.h"
#include "probe/libc.h"
#include "probe/pid_namespace.h"
#include "probe/symbols.h"
#include "probe/waits.h"
#include "resolve/calls.h"
#include "sink/queue.h"
#include "source/ring.h"

namespace iolens {
namespace {

class FdLens final : public Lens {
public:
    FdLens() = default;
    FdLens(const FdLens&) = delete;
    FdLens& operator=(const FdLens&) = delete;
    ~FdLens() override { row_readers().watch({}); }

    const LensInfo& info() const override;

    void add_options(Flags& view, Flags* live) override {
        view.toggle(
            "--why", wants_why_,
            "under each call of 1 ms or more (--min-ms), what it waited for, and the block requests of its time");
        operations_.view_flags(view);
        if (live == nullptr) return;
        live->text("--user", user_, "NAME", "run the command as this user (name or number, of /etc/passwd)");
        live->toggle("--preserve-env", preserve_env_, "with --user, keep the environment");
        operations_.live_flags(*live);
        live->text("-i,--input", input_, "FILE", "show the calls in a log of 'strace -f -T -tt'; needs no privilege");
    }

    View prepare(const ViewOptions& view) override;
    std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) override;
    Taken take(const iolens_header& record, RowBuffer& row) override;
    Summary summary(bool restart) override;
    Loss losses(const iolens_loss& ledger) const override;
    std::vector<std::string> diagnostics() const override;
    std::vector<ProbeStatus> examine(bool variants) const override {
        std::vector<ProbeStatus> all = CallProbe::examine(variants);
        for (ProbeStatus& status : WaitProbe::examine()) all.push_back(std::move(status));
        return all;
    }

private:
    void add(const iolens_call_event& e, RowArena& text);
    [[nodiscard]] bool of_reader(u32 tgid) const;
    Taken take_call(const iolens_call_event& e, RowBuffer& row);
    Taken take_operation(const iolens_header& record, RowBuffer& row);
    Taken take_deferred(u64 now_ns, RowBuffer& row);
    [[nodiscard]] iolens_loss ledger() const;
    void hide_frames(std::span<std::byte> record) const;
    std::vector<std::vector<u64>> open_why(const CallProbe::Options& options);
    [[nodiscard]] bool asked_for(const iolens_call_event& e, const ViewOptions& f) const;
    std::vector<const Column*> choose(const ViewOptions& view, Format format);
    [[nodiscard]] std::vector<ExtraSink> extra_sinks() const;
    [[nodiscard]] int exit_status();
    void add_prefix_line(const iolens_call_event& e, RowBuffer& row);
    Taken show_operation(const iolens_operation_event* e, RowBuffer& row);
    const iolens_operation_event* operation_of(const iolens_call_event& e);
    void add_libc(CallProbe::Options& options, const LiveOptions& live);
    void leave_out_own(CallProbe::Options& options, const ViewOptions& view);
    void find_readers() const;
    std::unique_ptr<Source> open_log(const ViewOptions& view, const LiveOptions& live);

    Operations operations_;   // with --domains
    std::vector<u16> calls_;  // --op
    bool seed_csv_ = false;   // iomonitor's columns
    bool decode_all_ = false;
    std::string user_;  // to run the command as
    bool preserve_env_ = false;
    std::string input_;  // a log
    std::optional<ViewOptions> replay_filters_;
    std::unique_ptr<HeldCommand> command_;
    std::unique_ptr<CallProbe> probe_;
    std::unique_ptr<BlockProbe> requests_;  // of --why, into the same ring
    std::unique_ptr<WaitProbe> waits_;      // likewise
    std::optional<HiddenFunctions> wait_functions_;
    bool wants_why_ = false;
    std::optional<Why> why_;
    bool why_lines_ = false;  // below each row
    u64 last_ts_ = 0;         // of all records
    bool summing_ = false;
    bool unfinished_ = false;  // rows of what is not over when tracing ends
    bool by_open_ = false;
    FileTotals totals_;
    OpenTotals opens_;
    bool leave_out_readers_ = false;  // of rows: see RowReaders
    u64 own_pipe_ = 0;                // the inode of the pipe that rows go to; 0: to none
    bool to_terminal_ = false;        // rows go to one
    StraceLog* log_ = nullptr;
    Decoder decoder_;
    iolens_call_event call_{};     // of the row being made, where something was added to its record
    std::pair<u32, u64> line_of_;  // thread and start of the call whose prefix line was made last
};

/// Without --min-ms, --why tells of calls that took so long.
constexpr double why_least_ms = 1;

/// The columns of operations.
std::vector<const Column*> choose_operation_columns(const ViewOptions& view, Format format) {
    std::vector<std::string> names = view.columns;
    const bool metrics = format == Format::metrics || format == Format::metrics_table;
    if (metrics && !names.empty()) {
        throw Failure(Exit::usage, "--columns is not for io-monitor's own formats", "add --format csv, table or json");
    }
    if (metrics && view.ns) {
        throw Failure(Exit::usage, "--ns is not for io-monitor's own formats", "add --format csv, table or json");
    }
    if (metrics) return pointers_to(std::span(operation_columns).first(metrics_columns));
    if (names.empty() && format == Format::table) {
        names = {view.wall ? "unix_ns" : "time_ns",
                 "duration_ns",
                 "comm",
                 "pid",
                 "domain",
                 "op",
                 "fd",
                 "bytes",
                 "error",
                 "arg1",
                 "arg2"};
        if (view.verbose) names.insert(names.end(), {"layer", "call", "file"});
        if (view.verbose || view.unfinished) names.emplace_back("end");
    } else if (names.empty()) {
        names = names_of(operation_columns);
    }
    place_host_pid(names, view);
    return choose_columns(operation_columns, names);
}

const LensInfo& FdLens::info() const {
    static constexpr std::array types{RowType{.name = "fd", .columns = call_columns},
                                      RowType{.name = "operation", .columns = operation_columns}};
    static constexpr std::array formats{Format::table, Format::csv, Format::json, Format::metrics,
                                        Format::metrics_table};
    static constexpr LensInfo fd{
        .name = "fd",
        .about = "what a process reads and writes, to and from where: files, pipes, sockets",
        .examples =
            "iolens fd -- git status                       a command, with all its children and threads\n"
            "iolens fd -o rows.csv -- make                 the rows to a file, the terminal to the command\n"
            "iolens fd -p 1234                             a running process, and its later children\n"
            "iolens fd -p 1234 --format table              with offsets, errors and the calls that open and close\n"
            "iolens fd --summary -o /dev/null -- make      opens, calls, bytes and time per file and peer\n"
            "iolens fd --summary=open -o /dev/null -- make each open file: when, how long, what was moved\n"
            "iolens fd --comm postgres --format json 10    every thread of a name, ten seconds, as JSON lines\n"
            "iolens fd -v -- ls                            every system call with its arguments\n"
            "iolens fd -i strace.log --summary             the same of a log of 'strace -f -T -tt'\n"
            "iolens fd --domains ALL -- make               operations by domain, as io-monitor has them\n"
            "iolens fd --domains FILE_OPEN_CLOSE,FILE_READ --start-on-open data.db -p 1234\n"
            "iolens fd --domains ALL --socket /run/io.sock --comm nginx\n"
            "iolens fd --why -p 1234                       what its slow calls wait for, with the block requests\n"
            "iolens fd --why --min-ms 20 --op fsync --format json -- ./load\n"
            "iolens fd --columns time_ns,call,bytes,file -- cat /etc/hosts",
        .row_types = types,
        .formats = formats,
        .default_format = Format::csv,
        .takes_command = true,
    };
    return fd;
}

View FdLens::prepare(const ViewOptions& view) {
    for (const std::string& word : view.ops) {
        if (operations_.narrow(word)) continue;
        const auto known = known_calls();
        const auto at = std::ranges::find(known, std::string_view(word), &KnownCall::name);
        // "io_uring" and "aio" stand for all of their requests
        const std::size_t before = calls_.size();
        if (at != known.end()) calls_.push_back(at->id);
        for (const KnownRequest& request : known_requests()) {
            if (request.name == word || request.name.substr(0, request.name.find(':')) == word) {
                calls_.push_back(request.id);
            }
        }
        if (calls_.size() != before) continue;
        throw Failure(
            Exit::usage, fmt::format("there is no system call '{}'", visible(word)),
            "their names are those of 'man syscalls', as pread64; aio and io_uring stand for all requests of theirs");
    }
    operations_.prepare(view, view.replayed);
    replay_filters_ = view;
    resolver().set_facility(operations_.facility());
    if (view.replayed) resolver().set_recorded();
    if (wants_why_) {
        if (operations_.on())
            throw Failure(Exit::usage, "--why is of calls, and --domains shows operations", "leave one out");
        why_.emplace(resolver(), !view.replayed);
        why_->set_all(view.verbose);
        if (!replay_filters_->min_ms) replay_filters_->min_ms = why_least_ms;
    }
    summing_ = view.summary;
    unfinished_ = view.unfinished;
    if (unfinished_ && !operations_.queue().empty()) {
        throw Failure(Exit::usage, "--mq has no messages for pending operations", "leave --unfinished out");
    }
    by_open_ = view.summary_by == "open";
    if (!view.summary_by.empty() && view.summary_by != "true" && !by_open_) {
        throw Failure(Exit::usage, fmt::format("there is no --summary={}", visible(view.summary_by)),
                      "--summary adds up per file and peer, --summary=open per open file");
    }
    decode_all_ = view.verbose && !operations_.on() && !why_;
    const Format format = choose_format(view, wants_why_         ? Format::table
                                              : operations_.on() ? Format::metrics
                                                                 : info().default_format);
    why_lines_ = format == Format::table;
    std::vector<const Column*> columns = choose(view, format);
    return {.format = format,
            .type = info().row_types[operations_.on() ? 1 : 0],
            .columns = std::move(columns),
            .csv_line_end = seed_csv_ ? "\n" : "\r\n",
            .extra_sinks = extra_sinks()};
}

std::vector<const Column*> FdLens::choose(const ViewOptions& view, Format format) {
    std::vector<std::string> names = view.columns;
    if (operations_.on()) return choose_operation_columns(view, format);
    if (names.empty() && format == Format::csv && !why_) {
        if (view.ns) {
            throw Failure(Exit::usage, "--ns is not for iomonitor's csv",
                          "add --format table or json, or name the columns with --columns");
        }
        seed_csv_ = true;
        return pointers_to(call_csv_columns);
    }
    if (names.empty() && format == Format::table) {
        names = {view.wall ? "unix_ns" : "time_ns", "duration_ns", "comm", "tid", "call", "fd"};
        if (decode_all_) names.insert(names.end(), {"requested", "dev", "ino"});
        names.insert(names.end(), {"offset", "bytes", "error", "file"});
        if (decode_all_) names.emplace_back("arguments");
    } else if (names.empty()) {
        for (const Column& column : call_columns) {
            if (column.role != Role::json || why_) names.emplace_back(column.name);
        }
    }
    place_host_pid(names, view);
    return choose_columns(call_columns, names);
}

/// The process of a process or thread id, while it lives.
std::optional<u32> process_of(u64 pid) {
    const std::string state = process_status(pid, "State");
    const std::string tgid = process_status(pid, "Tgid");
    if (tgid.empty() || state.starts_with('Z') || state.starts_with('X')) return {};
    return static_cast<u32>(std::strtoul(tgid.c_str(), nullptr, 10));
}

/// The processes above this one: its shell, and what that is run by, up to the first.
std::vector<u32> ancestors() {
    std::vector<u32> all;
    for (u32 pid = static_cast<u32>(::getppid()); pid > 1 && all.size() < IOLENS_KEEP_SELF;) {
        all.push_back(pid);
        pid = static_cast<u32>(std::strtoul(process_status(pid, "PPid").c_str(), nullptr, 10));
    }
    return all;
}

bool writes_to_terminal(u32 pid) {
    constexpr unsigned first = 136;  // of Unix98 terminals, which have eight numbers
    constexpr unsigned last = 143;
    constexpr unsigned console = 4;
    struct stat info{};
    if (::stat(fmt::format("/proc/{}/fd/1", pid).c_str(), &info) != 0 || !S_ISCHR(info.st_mode)) return false;
    const unsigned number = major(info.st_rdev);
    return number == console || (number >= first && number <= last);
}

/// Of the whole machine: not what the rows are written to. Each row would make another one.
void FdLens::leave_out_own(CallProbe::Options& options, const ViewOptions& view) {
    leave_out_readers_ = true;  // of --socket, which come later
    struct stat info{};
    const int status = view.output.empty() ? ::fstat(STDOUT_FILENO, &info) : ::stat(view.output.c_str(), &info);
    if (status != 0) return;
    options.own_ino = info.st_ino;
    options.own_dev = major(info.st_dev) << 20 | minor(info.st_dev);
    own_pipe_ = S_ISFIFO(info.st_mode) ? info.st_ino : 0;
    to_terminal_ = S_ISCHR(info.st_mode) && ::isatty(STDOUT_FILENO) == 1;
}

/// After attaching: a shell starts the programs of a pipeline one after the other, and those that begin later are seen
/// to begin. What they did before this moment has no row either.
void FdLens::find_readers() const {
    std::vector<PipeReader> readers;
    if (own_pipe_ != 0) readers = PipeReaders().behind(own_pipe_);
    const auto self = static_cast<u32>(::getpid());
    for (const PipeReader& reader : readers) {
        if (reader.pid != self) row_readers().add(reader.pid, reader.pipe);
    }
    // a terminal's program is above us
    if (!to_terminal_ && std::ranges::none_of(readers, writes_to_terminal, &PipeReader::pid)) return;
    for (const u32 pid : ancestors()) row_readers().add(pid);
}

/// The functions of the C libraries that the processes have, or the command will have.
void FdLens::add_libc(CallProbe::Options& options, const LiveOptions& live) {
    std::vector<std::string> paths;
    const auto add = [&](const Libc& libc, const std::string& whose) {
        if (libc.path.empty()) {
            say(fmt::format("--libc: {} {}; its system calls are shown as always", whose, libc.why));
        } else if (std::ranges::find(paths, libc.path) == paths.end()) {
            paths.push_back(libc.path);
        }
    };
    if (command_) {
        add(libc_of_program(command_->program()), fmt::format("'{}'", visible(live.command.at(0))));
    } else if (options.follow.empty()) {
        add(libc_of_program("/bin/sh"), "this machine's shell");
    } else {
        for (const u32 pid : options.follow) add(libc_of_process(pid), fmt::format("process {}", pid));
    }
    std::vector<FileIdentity> known;  // containers may have one file under several paths
    for (const std::string& path : paths) {
        const auto functions = find_functions(path, options.libc_operations);
        if (functions.empty()) {
            if (!end_asked()) say(fmt::format("--libc: '{}' has none of the functions", visible(path)));
            continue;
        }
        const auto file = identity_of(functions.front().file->get());
        if (!file || std::ranges::find(known, *file) != known.end()) continue;
        known.push_back(*file);
        options.libc.insert(options.libc.end(), functions.begin(), functions.end());
    }
}

std::unique_ptr<Source> FdLens::open(const ViewOptions& view, const LiveOptions& live) {
    if (!input_.empty() && operations_.wants_libc()) {
        throw Failure(Exit::usage, "--libc is for tracing, and -i shows a log", "leave one of them out");
    }
    if (!input_.empty() && why_) {
        throw Failure(Exit::usage, "--why is for tracing, and -i shows a log", "leave one of them out");
    }
    if (!input_.empty()) return open_log(view, live);
    if (why_ && live.command.empty() && view.pids.empty()) {
        throw Failure(Exit::usage, "--why of which process?", "name one with -p, or put a command behind '--'");
    }
    CallProbe::Options options;
    Fd cgroup;
    ViewOptions of_tasks = view;
    of_tasks.pids.clear();  // followed, not filtered
    if (replay_filters_) of_tasks.min_ms = replay_filters_->min_ms;
    options.keep = task_filters(of_tasks, live, cgroup);
    options.cgroup_fd = cgroup.get();
    if (!live.command.empty() && !view.pids.empty()) {
        throw Failure(Exit::usage, "-p and a command don't go together", "leave one of them out");
    }
    if (live.command.empty() && !user_.empty()) {
        throw Failure(Exit::usage, "--user is for a command", "put the command behind '--'");
    }
    if (operations_.on()) operations_.choose(options, calls_);
    for (const KnownCall& call : known_calls()) {
        if (call.number >= options.calls.size()) continue;  // this architecture has none
        if (operations_.on() && call.info.shape != IOLENS_SHAPE_SIGRETURN) continue;
        const bool shown = decode_all_ || (call.is_io() && (!seed_csv_ || call.info.direction != IOLENS_DIR_NONE));
        const bool closes = call.name == "close" || call.name == "close_range";
        const bool pair = call.info.shape == IOLENS_SHAPE_PAIR || call.info.shape == IOLENS_SHAPE_PAIR_FIRST;
        const bool counted = summing_ && (call.info.shape == IOLENS_SHAPE_NEW_FD || (by_open_ && (closes || pair)));
        const bool chosen = calls_.empty() ? shown || counted : std::ranges::find(calls_, call.id) != calls_.end();
        if (!chosen && call.info.shape != IOLENS_SHAPE_SIGRETURN) continue;
        iolens_call_info& info = options.calls.at(call.number);
        info = call.info;
        if (info.shape == IOLENS_SHAPE_OTHER && call.arguments.starts_with("fd:f")) info.shape = IOLENS_SHAPE_FD;
    }
    options.decode_all = decode_all_;
    for (const KnownRequest& request : known_requests()) {
        if (operations_.on()) break;
        const bool moves = (request.what & (IOLENS_REQUEST_READS | IOLENS_REQUEST_WRITES)) != 0;
        const bool shown = moves || (!seed_csv_ && (request.what & IOLENS_REQUEST_NAMES) == 0);
        if (calls_.empty() ? shown : std::ranges::find(calls_, request.id) != calls_.end()) {
            choose_request(options, request);
        }
    }
    // libaio's requests are seen through the calls that submit them and fetch their results
    if (std::ranges::any_of(options.aio_ops, [](u8 what) { return what != 0; })) {
        for (const KnownCall& call : known_calls()) {
            const bool fetches = call.info.shape == IOLENS_SHAPE_IO_SUBMIT || call.info.shape == IOLENS_SHAPE_IO_GET ||
                                 call.info.shape == IOLENS_SHAPE_IO_DESTROY;
            if (!fetches || call.number >= options.calls.size()) continue;
            options.calls.at(call.number) = call.info;
            if (operations_.on()) options.calls.at(call.number).ways |= IOLENS_CALL_QUIET;
        }
    }
    for (const u64 pid : view.pids) {
        const std::optional<u32> process = process_of(pid);
        if (!process) {
            if (may_trace()) require_own_proc();
            throw Failure(Exit::usage, fmt::format("there is no process {}", pid), "'ps -e' lists those that run");
        }
        if (std::ranges::find(options.follow, *process) == options.follow.end()) options.follow.push_back(*process);
    }
    if (options.follow.empty() && live.command.empty()) leave_out_own(options, view);
    options.ring_bytes = ring_bytes(live);
    options.max_threads = static_cast<u32>(live.max_inflight.value_or(options.max_threads));
    require_tracing();
    if (!options.follow.empty() || !live.command.empty()) require_own_proc();
    if (!live.command.empty()) {
        std::optional<User> user;
        if (!user_.empty()) user = find_user(user_);
        if (!user_.empty() && !user) {
            throw Failure(Exit::usage, fmt::format("there is no user '{}'", visible(user_)),
                          "/etc/passwd has the users that can be named");
        }
        const char* sudo_user = std::getenv("SUDO_USER");  // NOLINT(concurrency-mt-unsafe): one thread
        if (!user && sudo_user != nullptr && ::isatty(STDERR_FILENO) == 1) {
            say(fmt::format("the command runs as root; to run it as you: --user {}", visible(sudo_user)));
        }
        command_ = std::make_unique<HeldCommand>(live.command, user, preserve_env_);
        options.follow.push_back(static_cast<u32>(command_->pid()));
    }
    if (options.libc_operations != 0) add_libc(options, live);
    const auto types = kernel_btf();  // of all probes
    probe_ = std::make_unique<CallProbe>(options);
    if (leave_out_readers_) {
        find_readers();
        row_readers().watch([this](const PipeReader& reader, bool reads) {
            reads ? probe_->leave_out(reader.pid, reader.pipe) : probe_->take_in(reader.pid);
        });
    }
    std::vector<std::vector<u64>> starts;
    if (why_) starts = open_why(options);
    if (operations_.on()) starts = operations_.starts(command_ ? std::vector<u32>() : options.follow);
    // one that ended before the probes saw it would be waited for for ever
    for (const u32 pid : options.follow) {
        if (!process_of(pid)) probe_->forget(pid);
    }
    replay_filters_.reset();  // the kernel filters
    if (command_) command_->let_go();
    return std::make_unique<RingSource>(RingSource::Probes{
        .ring_fd = probe_->ring_fd(),
        .detach =
            [this] {
                probe_->detach();
                if (requests_) requests_->detach();
                if (waits_) waits_->detach();
            },
        .ledger = [this] { return ledger(); },
        // what /proc has of processes that begin later
        .capabilities = capability_bit(CAP_DAC_READ_SEARCH) | capability_bit(CAP_SYS_PTRACE),
        .ended =
            [this, follows = !options.follow.empty()] {
                if (follows) probe_->forget_gone();
                return follows && probe_->alive() <= 0;
            },
        .before = std::move(starts),
        .tidy =
            [this] {
                probe_->drop_ended_requests();
                resolver().age(
                    [this] {
                        probe_->begin_period();
                        if (requests_) requests_->begin_period();
                    },
                    [this] {
                        operations_.age();
                        std::vector<u64> names = probe_->names_in_flight();
                        if (requests_) std::ranges::copy(requests_->names_in_flight(), std::back_inserter(names));
                        return names;
                    });
            },
        .exit_status = [this] { return exit_status(); },
        .changed = IOLENS_KIND_WAIT,
        .change = why_ ? [this](std::span<std::byte> record) { hide_frames(record); }
                       : std::function<void(std::span<std::byte>)>(),
    });
}

/// The block requests of the whole machine, and the waits of the followed processes. Returns what is told first.
std::vector<std::vector<u64>> FdLens::open_why(const CallProbe::Options& options) {
    BlockProbe::Options of_requests;
    of_requests.ring_bytes = options.ring_bytes;
    of_requests.ring_fd = probe_->ring_fd();
    requests_ = std::make_unique<BlockProbe>(of_requests);
    waits_ = std::make_unique<WaitProbe>(WaitProbe::Options{.ring_fd = probe_->ring_fd(),
                                                            .followed_fd = probe_->followed_fd(),
                                                            .ring_bytes = options.ring_bytes,
                                                            .max_threads = options.max_threads});
    std::vector<std::vector<u64>> facts;
    const KernelSymbols symbols;
    wait_functions_.emplace(symbols.functions(tells_wait));
    for (const KernelSymbols::Function& function : wait_functions_->functions()) {
        iolens_symbol_fact fact{};
        fact.h = {.ts = 0, .kind = IOLENS_KIND_SYMBOL, .size = sizeof fact, .cpu = IOLENS_NO_CPU};
        fact.start = function.start;
        fact.end = function.end;
        function.name.copy(reinterpret_cast<char*>(static_cast<u8*>(fact.name)), sizeof fact.name - 1);
        facts.push_back(make_record(fact));
    }
    if (facts.empty()) say("what calls wait for can't be named: /proc/kallsyms hides the kernel's addresses");
    return facts;
}

/// No address of the kernel's leaves this machine with a recording.
void FdLens::hide_frames(std::span<std::byte> record) const {
    iolens_wait_event wait{};
    if (record.size() != sizeof wait || !wait_functions_) return;
    std::memcpy(&wait, record.data(), sizeof wait);
    for (u64& frame : wait.frames) frame = wait_functions_->hide(frame);
    std::memcpy(record.data(), &wait, sizeof wait);
}

/// Of all probes: what calls are counted as, and what was lost of anything.
iolens_loss FdLens::ledger() const {
    iolens_loss sum = probe_->ledger();
    const auto add = [&](const auto& probe) {
        if (!probe) return;
        const iolens_loss other = probe->ledger();
        sum.n.ring_full += other.n.ring_full;
        sum.n.seen += other.n.ring_full;
        sum.n.fact_lost += other.n.fact_lost;
        sum.missed += other.missed;
    };
    add(requests_);
    add(waits_);
    return sum;
}

std::unique_ptr<Source> FdLens::open_log(const ViewOptions& view, const LiveOptions& live) {
    const auto refuse = [](const char* what) {
        throw Failure(Exit::usage, fmt::format("{} is for tracing, and -i shows a log", what), "leave one of them out");
    };
    if (!live.command.empty()) refuse("a command");
    if (!view.pids.empty()) refuse("-p");
    if (!user_.empty()) refuse("--user");
    if (!live.cgroup.empty()) refuse("--cgroup");
    if (live.uid) refuse("--uid");
    auto log = std::make_unique<StraceLog>(input_, [told = 0](u64 line, std::string_view text) mutable {
        constexpr std::size_t shown = 120;
        constexpr int most = 20;  // of a file that is no log, each line is one
        if (++told > most + 1) return;
        if (told > most) {
            say("further lines that can't be read are only counted");
            return;
        }
        Buffer start;
        append_visible(start, text, shown);
        say(fmt::format("line {} can't be read: {}", line, std::string_view(start.data(), start.size())));
    });
    log_ = log.get();
    resolver().set_recorded();
    return log;
}

/// The traced command's.
int FdLens::exit_status() {
    if (!command_) return 0;
    // it has ended when the last of its processes has, but for the moment between; one that runs on is not waited for
    return command_->status(probe_->alive() <= 0).value_or(0);
}

/// The filters that the kernel applies to a live run, for a replay.
bool FdLens::asked_for(const iolens_call_event& e, const ViewOptions& f) const {
    if (!calls_.empty() && std::ranges::find(calls_, e.call) == calls_.end()) return false;
    FilterSubject subject{.tgid = e.tgid, .tid = e.tid};
    if (!f.comm.empty()) {
        const Tasks::Task* task = resolver().tasks().find(host_tid(e));
        if (task != nullptr) subject.comm = task->comm;
    }
    if (!call_is_unended(e)) subject.duration_ns = call_time_ns(e);
    return passes(f, subject);
}

Taken FdLens::take(const iolens_header& record, RowBuffer& row) {
    if (record.kind == IOLENS_KIND_CLOCK) return take_deferred(record.ts, row);
    last_ts_ = std::max(last_ts_, record.ts);
    if (const auto taken = learn(record)) {
        const auto* task = decoder_.as<iolens_task_fact>(record, IOLENS_KIND_TASK);
        if (why_ && task != nullptr && (task->flags & IOLENS_TASK_ENDED) != 0) why_->ended(host_tid(*task), record.ts);
        return *taken;
    }
    if (Why::is_of(record)) {
        if (why_) why_->take(record);
        return Taken::nothing;
    }
    if (record.kind == IOLENS_KIND_OPERATION) return take_operation(record, row);
    const auto* event = decoder_.as<iolens_call_event>(record, IOLENS_KIND_CALL);
    return event == nullptr ? Taken::unknown : take_call(*event, row);
}

Taken FdLens::take_operation(const iolens_header& record, RowBuffer& row) {
    if (record.size < sizeof(iolens_operation_event)) return Taken::unknown;
    const iolens_operation_event& event = as_operation(record);
    if (event.op >= IOLENS_OPERATION_COUNT) return Taken::unknown;
    if (!operations_.on()) return Taken::nothing;  // a replay without --domains
    if (of_reader(event.tgid)) return without_row();
    const iolens_operation_event* operation = operations_.of_record(record, resolver().files());
    if (operation != nullptr && replay_filters_) {
        iolens_call_event as_call{};  // what the filters look at
        as_call.h = operation->h;
        as_call.start = operation->start;
        as_call.tgid = operation->tgid;
        as_call.tid = operation->tid;
        as_call.host_tid = operation->host_tid;
        as_call.call = operation->call;
        if (!asked_for(as_call, *replay_filters_)) return without_row();
    }
    return show_operation(operation, row);
}

Taken FdLens::take_call(const iolens_call_event& e, RowBuffer& row) {
    const iolens_call_event* event = &e;
    const bool pending = (event->flags & IOLENS_CALL_PENDING) != 0;
    if (pending && !unfinished_) return Taken::nothing;
    if (of_reader(event->tgid)) return without_row(pending);
    if (event->direction == IOLENS_DIR_NONE && !operations_.on()) {
        call_ = *event;
        resolver().mappings().take(call_);
        event = &call_;
        const KnownCall* call = find_call(event->call);
        const bool of_memory =
            call != nullptr && call->info.shape == IOLENS_SHAPE_RANGE && event->file == IOLENS_FILE_NONE;
        const bool io = call == nullptr || (call->is_io() && !of_memory);
        if (!decode_all_ && calls_.empty() && !io) return without_row(pending);
        // asked of the kernel for its requests, perhaps
        if (!calls_.empty() && std::ranges::find(calls_, event->call) == calls_.end()) return without_row(pending);
    }
    if (replay_filters_ && !asked_for(*event, *replay_filters_)) return without_row(pending);
    if (operations_.on()) return show_operation(operation_of(*event), row);
    if (summing_) add(*event, row.text);
    if (seed_csv_ && decode_all_) add_prefix_line(*event, row);
    if (decode_all_) resolver().arguments().spent(host_tid(*event));
    if (seed_csv_ && event->direction == IOLENS_DIR_NONE) {
        const bool shown = summing_ || decode_all_;  // in the summary, or in the line before
        return shown ? Taken::nothing : without_row(pending);
    }
    if (why_) {
        why_->hold(*event);
        return Taken::nothing;
    }
    if (log_ != nullptr) resolver().set_log_clock(log_->import().clock());
    return fill({.event = &event->h}, row);
}

/// iomonitor's line before the rows of a call; one line also where a call has two rows.
void FdLens::add_prefix_line(const iolens_call_event& e, RowBuffer& row) {
    const std::pair<u32, u64> which{host_tid(e), e.start};
    if (which == line_of_) return;
    line_of_ = which;
    const std::string result = (e.flags & IOLENS_CALL_NO_RESULT) != 0 ? "?"
                               : e.result < 0                         ? "-1"
                                                                      : std::to_string(e.result);
    row.prefix_line = row.text.format(FMT_COMPILE(" {},{},{},{}"), e.tid, result, call_name(e.call),
                                      resolver().arguments_of(e, row.text).text());
}

/// Is this the I/O of a process that takes our rows?
bool FdLens::of_reader(u32 tgid) const { return leave_out_readers_ && row_readers().contains(tgid); }

/// The next call of --why whose time has come.
Taken FdLens::take_deferred(u64 now_ns, RowBuffer& row) {
    const iolens_call_event* event = why_ ? why_->due(std::max(now_ns, last_ts_)) : nullptr;
    if (event == nullptr) return Taken::nothing;
    RawRow raw{.event = &event->h};
    if (selected(Role::json)) {
        Buffer out;
        why_->append_report(out);
        raw.json = Value(row.text.copy(out));
    }
    if (why_lines_) row.detail_lines = why_->lines();
    return fill(raw, row);
}

void FdLens::add(const iolens_call_event& e, RowArena& text) {
    const Value file = resolver().file_of(e, text);
    const std::string_view name = file.is_null() ? std::string_view("?") : file.text();
    if (by_open_) {
        opens_.add(e, name);
    } else {
        totals_.add(e, name);
    }
}

/// A call as an operation, with its arguments.
const iolens_operation_event* FdLens::operation_of(const iolens_call_event& e) {
    ArgumentTexts texts;
    const iolens_arguments* given = resolver().arguments().find(host_tid(e));
    if (given != nullptr && (given->call != e.call || given->h.ts < e.start)) given = nullptr;  // of another call
    if (given != nullptr) argument_texts(*given, texts);
    const iolens_operation_event* operation = operations_.of_call(e, given, texts, resolver().files());
    resolver().arguments().spent(host_tid(e));
    return operation;
}

Taken FdLens::show_operation(const iolens_operation_event* e, RowBuffer& row) {
    if (e == nullptr) return Taken::nothing;
    if (summing_) operations_.add(*e);
    return fill({.event = &e->h}, row);
}

std::vector<ExtraSink> FdLens::extra_sinks() const {
    std::vector<ExtraSink> all;
    if (operations_.queue().empty()) return all;
    static const auto names = [](auto& known, std::size_t count) {
        std::vector<std::string_view> list;
        list.reserve(count);
        for (std::size_t i = 0; i < count; ++i) list.push_back(known.at(i).name);
        return list;
    };
    static const std::vector<std::string_view> domains = names(known_domains, known_domains.size());
    static const std::vector<std::string_view> operations =
        names(known_operations, std::size_t{IOLENS_OPERATION_LAST_OF_RECORDS} + 1);
    all.push_back({std::make_unique<QueueSink>(operations_.queue(), domains, operations),
                   pointers_to(std::span(operation_columns).first(metrics_columns))});
    return all;
}

Summary FdLens::summary(bool /*restart*/) {
    if (operations_.on()) return operations_.summary();
    return by_open_ ? opens_.summary() : totals_.summary();
}

Loss FdLens::losses(const iolens_loss& ledger) const {
    static constexpr std::array counters{
        LossCounter{.counter = &iolens_counters::state_full,
                    .key = "state_full",
                    .words = "calls (more threads than --max-inflight)"},
        LossCounter{.counter = &iolens_counters::requests_full,
                    .key = "requests_full",
                    .words = "requests of libaio and io_uring (more in flight than --max-inflight)",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::libc_full,
                    .key = "libc_full",
                    .words = "functions of libc (in more threads than --max-inflight)",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::not_decoded,
                    .key = "not_decoded",
                    .words = "calls of 32-bit programs (not decoded)",
                    .in_state_full = true},
        LossCounter{.counter = &iolens_counters::not_followed,
                    .key = "not_followed",
                    .words = "processes that were not followed (more than 65536 at once)",
                    .in_sum = false},
    };
    Loss loss = count_losses(ledger.n, counters, without_row_count());
    if (waits_)
        loss.note_beside("waits_full", "waits (more threads than --max-inflight)", waits_->ledger().n.state_full);
    if (log_ != nullptr) {
        loss.seen += log_->import().unreadable() + log_->import().unfinished();
        loss.note("unreadable_lines", "unreadable lines", log_->import().unreadable());
        loss.note("unfinished", "unfinished calls", log_->import().unfinished());
    }
    return loss;
}

std::vector<std::string> FdLens::diagnostics() const {
    if (!probe_) return {};
    const iolens_loss ledger = probe_->ledger();
    const iolens_counters& n = ledger.n;
    std::vector<std::string> all{
        ledger_remark(losses(ledger)),
        fmt::format("names sent again {}, skipped runs {}, 32-bit calls {}, ends without a start {}", n.fact_lost,
                    ledger.missed, n.not_decoded, n.orphan),
        fmt::format("filtered as our own output: {}", n.own)};
    std::ranges::move(resolver().diagnostics(), std::back_inserter(all));
    if (why_) all.push_back(fmt::format("made room for others: {} waits", why_->waits_evicted()));
    if (!probe_->why().empty()) all.push_back(fmt::format("not taken: {}", fmt::join(probe_->why(), "; ")));
    return all;
}

}  // namespace

std::unique_ptr<Lens> make_fd_lens() { return std::make_unique<FdLens>(); }

}  // namespace iolens
