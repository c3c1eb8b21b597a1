// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/operations.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/failure.h"
#include "base/output.h"
#include "lens/requests.h"
#include "probe/pid_namespace.h"
#include "resolve/socket_address.h"
#include "resolve/tasks.h"

namespace iolens {
namespace {

static_assert(IOLENS_OPERATION_COUNT <= 64);

constexpr u64 bit(u8 op) { return u64{1} << op; }

constexpr u64 of_domain(iolens_domain domain) {
    u64 all = 0;
    for (u8 op = 0; op < IOLENS_OPERATION_COUNT; ++op) {
        if (known_operations[op].domain == domain) all |= bit(op);
    }
    return all;
}

// Contents are private: only who names it gets it.
constexpr u64 all_domains = (bit(IOLENS_OPERATION_COUNT) - 1) & ~of_domain(IOLENS_DOMAIN_HTTP);
// A domain that io-monitor's papers have and its records don't.
constexpr u64 networking = bit(IOLENS_OPERATION_CONNECT) | bit(IOLENS_OPERATION_ACCEPT) | bit(IOLENS_OPERATION_LISTEN) |
                           bit(IOLENS_OPERATION_BIND);

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
    return value != nullptr ? value : "";
}

/// The operations of a domain's name; 0 where there is none.
u64 operations_of(std::string_view name) {
    if (name == "ALL") return all_domains;
    if (name == "NETWORKING") return networking;
    const auto at = std::ranges::find(known_domains, name, &KnownDomain::name);
    return at == known_domains.end() ? 0 : of_domain(static_cast<iolens_domain>(at - known_domains.begin()));
}

/// Does a call move bytes between what may be sockets?
bool may_carry_http(const KnownCall& call) {
    switch (call.info.shape) {
        case IOLENS_SHAPE_MOVE:
        case IOLENS_SHAPE_SEND:
        case IOLENS_SHAPE_RECEIVE:
        case IOLENS_SHAPE_VECTOR:
        case IOLENS_SHAPE_MESSAGE: return call.info.direction != IOLENS_DIR_NONE;
        default: return false;
    }
}

bool is_two_sided(const KnownCall& call) {
    return call.info.shape == IOLENS_SHAPE_SENDFILE || call.info.shape == IOLENS_SHAPE_COPY ||
           call.info.shape == IOLENS_SHAPE_TEE;
}

/// The operations that a call can be.
u64 operations_of(const KnownCall& call) {
    if (call.operation == IOLENS_OPERATION_NONE || call.operation == IOLENS_OPERATION_STOP) return 0;
    u64 all = bit(call.operation);
    if (call.name == "unlinkat") all |= bit(IOLENS_OPERATION_RMDIR);
    if (is_two_sided(call)) all |= bit(IOLENS_OPERATION_WRITE);
    return all;
}

/// "" for a family without addresses.
std::string address_text(u16 family, const u8* bytes, u16 port) {
    const SocketAddress address(family, bytes);
    if (address.text().empty()) return {};
    Buffer out;
    address.append_with_port(out, port);
    return fmt::to_string(out);
}

/// The value of the first argument of a kind; nothing where it has none.
std::optional<s64> argument_of_kind(const KnownCall& call, std::span<const u64> values, char kind) {
    std::size_t place = 0;
    for (std::string_view rest = call.arguments; !rest.empty() && place < values.size(); ++place) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        if (rest[end - 1] == kind) return static_cast<s32>(values[place]);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
}

/// A table for finding `words` byte by byte: row n, of 256, says for each next byte how many then fit.
std::vector<u8> search_table(const std::string& words) {
    const std::size_t rows = words.size() + 1;
    std::vector<u8> table(rows * 256);
    std::size_t shorter = 0;  // the longest beginning of `words` that also ends what has been read, without its first
    for (std::size_t row = 0; row < words.size(); ++row) {
        const auto byte = static_cast<u8>(words[row]);
        for (std::size_t c = 0; c < 256 && row > 0; ++c) table[row * 256 + c] = table[shorter * 256 + c];
        table[row * 256 + byte] = static_cast<u8>(row + 1);
        if (row > 0) shorter = table[shorter * 256 + byte];
    }
    return table;
}

}  // namespace

void Operations::view_flags(Flags& flags) {
    flags.list("--domains", domains_, "NAME,...",
               "operations by domain, as io-monitor's; ALL: all but HTTP ('iolens schema --domains')");
    flags.text("--facility", facility_, "ID", "who measures, in each of these rows (default u)");
}

void Operations::live_flags(Flags& flags) {
    flags.text("--start-on-open", start_on_open_, "TEXT",
               "with --domains: nothing of a process before it opens a file with TEXT in its path");
    flags.real("--start-on-elapsed", start_on_elapsed_ms_, 0, 1e9, "MS",
               "with --domains: nothing of a process before something takes longer");
    flags.toggle("--libc", libc_, "with --domains: functions of libc, too: fopen, fread, readdir …");
    flags.toggle("--std-fds", std_fds_, "with --domains: also what is done with fds 0, 1 and 2");
    flags.text("--mq", queue_, "PATH", "with --domains: rows to io-monitor's message queue of this file");
}

void Operations::prepare(const ViewOptions& view, bool replayed) {
    const bool asked = !domains_.empty();
    if (!asked && !replayed) {
        const std::string names = environment("MONITOR_DOMAINS");
        for (std::size_t at = 0; at < names.size();) {
            const std::size_t end = std::min(names.find(',', at), names.size());
            if (end != at) domains_.push_back(names.substr(at, end - at));
            at = end + 1;
        }
    }
    for (const std::string& name : domains_) {
        const u64 its = operations_of(name);
        if (its == 0 && asked) {
            throw Failure(Exit::usage, fmt::format("there is no domain '{}'", visible(name)),
                          "'iolens schema --domains' lists them");
        }
        if (its == 0) say(fmt::format("MONITOR_DOMAINS: there is no domain '{}'", visible(name)));
        wanted_ |= its;
    }
    if (narrowed_ != 0) wanted_ &= narrowed_;
    if (domains_.empty()) {
        const bool only_here = narrowed_ != 0 || !start_on_open_.empty() || start_on_elapsed_ms_ || libc_ || std_fds_ ||
                               !queue_.empty() || !facility_.empty() || view.format == Format::metrics ||
                               view.format == Format::metrics_table;
        if (!only_here) return;
        throw Failure(Exit::usage, "this is for operations by domain", "add --domains ALL, or those that you want");
    }
    if (wanted_ == 0) {
        throw Failure(Exit::usage, "no operation is both in --domains and --op",
                      "'iolens schema --domains' lists them");
    }
    if (facility_.empty()) facility_ = environment("FACILITY_ID");
    if (facility_.empty()) facility_ = "u";
    if (replayed) return;
    if (start_on_open_.empty()) start_on_open_ = environment("START_ON_OPEN");
    if (!start_on_elapsed_ms_) {
        // as io-monitor reads it: what is no number, or too small, asks for nothing
        const double given = std::strtod(environment("START_ON_ELAPSED").c_str(), nullptr);
        if (given > 0.1 && given < 1e9) start_on_elapsed_ms_ = given;
    }
    if (queue_.empty()) queue_ = environment("MESSAGE_QUEUE_PATH");
    constexpr std::size_t most = 250;
    if (start_on_open_.size() > most) {
        throw Failure(Exit::usage, "--start-on-open is too long", fmt::format("at most {} bytes", most));
    }
    if (!start_on_open_.empty() && !wants(IOLENS_OPERATION_OPEN)) {
        throw Failure(Exit::usage, "--start-on-open would never begin: opening files is not asked for",
                      "add FILE_OPEN_CLOSE to --domains");
    }
}

bool Operations::narrow(std::string_view word) {
    if (word == "_IO_NEW_FOPEN") word = "OPEN";  // what glibc calls fopen inside
    const auto at = std::ranges::find(known_operations, word, &KnownOperation::name);
    if (at == known_operations.end()) return false;
    narrowed_ |= bit(static_cast<u8>(at - known_operations.begin()));
    return true;
}

void Operations::choose(CallProbe::Options& options, const std::vector<u16>& chosen) const {
    const bool http = (wanted_ & of_domain(IOLENS_DOMAIN_HTTP)) != 0;
    for (const KnownCall& call : known_calls()) {
        if (call.number >= options.calls.size()) continue;  // this architecture has none
        if (!chosen.empty() && std::ranges::find(chosen, call.id) == chosen.end()) continue;
        const bool wanted = (operations_of(call) & wanted_) != 0;
        const bool carries = http && may_carry_http(call);
        // why fopen and opendir failed is what their system call was told
        const bool explains = libc_ && call.operation == IOLENS_OPERATION_OPEN;
        if (!wanted && !carries && !explains) continue;
        iolens_call_info& info = options.calls.at(call.number);
        info = call.info;
        if (info.shape == IOLENS_SHAPE_OTHER && call.arguments.starts_with("fd:f")) info.shape = IOLENS_SHAPE_FD;
        if (!wanted) info.ways |= IOLENS_CALL_QUIET;
        if (carries) info.ways |= IOLENS_CALL_HTTP;
        if (!wanted) continue;
        const u8 op = call.operation;
        const bool told = info.texts != 0 || op == IOLENS_OPERATION_KILL || op == IOLENS_OPERATION_DUP ||
                          op == IOLENS_OPERATION_SETXATTR;
        if (told) info.ways |= IOLENS_CALL_TELL;
        if (op == IOLENS_OPERATION_OPEN && info.texts != 0) info.ways |= IOLENS_CALL_OPENS;
    }
    for (const KnownRequest& request : known_requests()) {
        if (!wants(request.operation)) continue;
        if (!chosen.empty() && std::ranges::find(chosen, request.id) == chosen.end()) continue;
        choose_request(options, request);
    }
    options.operations = true;
    options.leave_std = !std_fds_;
    options.tell_start = wants(IOLENS_OPERATION_START) && chosen.empty();
    options.tell_stop = wants(IOLENS_OPERATION_STOP) && chosen.empty();
    options.tell_cwd = wants(IOLENS_OPERATION_CHDIR) && chosen.empty();
    if (!start_on_open_.empty()) options.start_words = search_table(start_on_open_);
    if (start_on_elapsed_ms_) options.start_on_elapsed_ns = static_cast<u64>(*start_on_elapsed_ms_ * 1e6);
    if (libc_) options.libc_operations = wanted_;
}

std::vector<std::vector<u64>> Operations::starts(const std::vector<u32>& processes) const {
    std::vector<std::vector<u64>> all;
    if (!start_on_open_.empty() || start_on_elapsed_ms_) return all;
    const auto record = [&](u32 pid, u8 op, u32 parent, std::string_view text) {
        iolens_operation_event e{};
        text = text.substr(0, IOLENS_OPERATION_TEXT - 1);
        e.h = {.ts = clock_ns(CLOCK_BOOTTIME), .kind = IOLENS_KIND_OPERATION, .size = 0, .cpu = 0};
        e.start = e.h.ts;
        e.tgid = pid;
        e.tid = pid;
        e.ppid = parent;
        if (own_pidns().level != 0) e.host_tid = ~u32{0};  // not known
        e.fd = op == IOLENS_OPERATION_START ? 0 : -1;
        e.call = 0xffff;
        e.op = op;
        e.length1 = static_cast<u16>(text.size());
        all.push_back(make_record(e, {text}));
    };
    for (const u32 pid : processes) {
        const std::string place = "/proc/" + std::to_string(pid);
        std::ifstream file(place + "/cmdline", std::ios::binary);
        const std::string command{std::istreambuf_iterator<char>(file), {}};
        const auto parent = static_cast<u32>(std::strtoul(process_status(pid, "PPid").c_str(), nullptr, 10));
        if (wants(IOLENS_OPERATION_START)) record(pid, IOLENS_OPERATION_START, parent, command);
        std::error_code error;
        const auto folder = std::filesystem::read_symlink(place + "/cwd", error);
        if (wants(IOLENS_OPERATION_CHDIR) && !error) record(pid, IOLENS_OPERATION_CHDIR, 0, folder.string());
    }
    return all;
}

const iolens_operation_event* Operations::made(const iolens_operation_event& e, std::string_view first,
                                               std::string_view second) {
    first = first.substr(0, IOLENS_OPERATION_TEXT - 1);
    second = second.substr(0, IOLENS_OPERATION_TEXT - 1);
    iolens_operation_event whole = e;
    whole.length1 = static_cast<u16>(first.size());
    whole.length2 = static_cast<u16>(second.size());
    whole.h.kind = IOLENS_KIND_OPERATION;
    made_ = make_record(whole, {first, second});
    return reinterpret_cast<const iolens_operation_event*>(made_.data());
}

const iolens_operation_event* Operations::of_call(const iolens_call_event& e, const iolens_arguments* told,
                                                  std::span<const std::string_view, IOLENS_CALL_ARGUMENTS> texts,
                                                  Files& files) {
    if (e.result < 0) failed_.put(host_tid(e), {e.h.ts, static_cast<s32>(e.result)});
    const KnownCall* call = find_call(e.call);
    const KnownRequest* request = find_request(e.call);
    u8 op = call != nullptr ? call->operation : request != nullptr ? request->operation : u8{IOLENS_OPERATION_NONE};
    if (e.direction == IOLENS_DIR_READ) op = IOLENS_OPERATION_READ;
    if (e.direction == IOLENS_DIR_WRITE) op = IOLENS_OPERATION_WRITE;
    if (op == IOLENS_OPERATION_UNLINK && call != nullptr && call->name == "unlinkat" && (e.asked & AT_REMOVEDIR) != 0) {
        op = IOLENS_OPERATION_RMDIR;
    }
    constexpr u64 clone_thread = 0x10000;
    if (op == IOLENS_OPERATION_FORK && (e.asked & clone_thread) != 0) return nullptr;  // a thread
    if (!wants(op)) return nullptr;

    iolens_operation_event its{};
    its.h = e.h;
    its.start = e.start;
    its.name_id = e.file == IOLENS_FILE_NONE ? 0 : e.name_id;
    its.tgid = e.tgid;
    its.tid = e.tid;
    its.host_tid = e.host_tid;
    its.error = e.result < 0 ? static_cast<s32>(e.result) : 0;
    if (call_is_unended(e)) {
        its.h.ts = e.start;
        const bool pending = (e.flags & IOLENS_CALL_PENDING) != 0;
        if (pending || e.h.cpu != IOLENS_NO_CPU) its.error = pending ? IOLENS_ERROR_PENDING : IOLENS_ERROR_NO_END;
    }
    its.fd = e.fd < 0 ? -1 : e.fd;
    its.call = e.call;
    its.op = op;
    its.layer = IOLENS_LAYER_KERNEL;
    const u64 result = e.result < 0 ? 0 : static_cast<u64>(e.result);
    std::array<std::string, 2> args;
    std::size_t count = 0;
    for (const std::string_view text : texts) {
        if (text.data() != nullptr && count < args.size()) args.at(count++) = text;
    }
    const std::span<const u64> values = told != nullptr ? std::span<const u64>(told->values) : std::span<const u64>();
    // "" below an fd is the fd itself: AT_EMPTY_PATH
    if (call != nullptr && !values.empty() && call->arguments.starts_with("dirfd:D") && texts[1].data() != nullptr &&
        texts[1].empty()) {
        its.fd = static_cast<s32>(values[0]);
    }
    switch (op) {
        case IOLENS_OPERATION_READ:
        case IOLENS_OPERATION_WRITE:
        case IOLENS_OPERATION_GETXATTR:
        case IOLENS_OPERATION_LISTXATTR: its.bytes = result; break;
        case IOLENS_OPERATION_SETXATTR:
            if (call != nullptr && its.error == 0) {
                its.bytes = static_cast<u64>(argument_of_kind(*call, values, 'u').value_or(0));
            }
            break;
        case IOLENS_OPERATION_KILL:
            if (call == nullptr) break;
            if (const auto pid = argument_of_kind(*call, values, 'd')) args[0] = std::to_string(*pid);
            if (const auto signal = argument_of_kind(*call, values, 'S')) args[1] = std::to_string(*signal);
            break;
        case IOLENS_OPERATION_DUP:
            if (!values.empty()) args[0] = std::to_string(static_cast<s32>(values[0]));
            break;
        case IOLENS_OPERATION_FORK:
            if (its.error == 0) args[0] = std::to_string(result);
            break;
        case IOLENS_OPERATION_CONNECT:
        case IOLENS_OPERATION_ACCEPT:
            if ((e.flags & IOLENS_CALL_HAS_PEER) != 0) args[0] = address_text(e.family, e.peer, e.port);
            break;
        case IOLENS_OPERATION_BIND:
            if ((e.flags & IOLENS_CALL_HAS_LOCAL) != 0) args[0] = address_text(e.family, e.local, e.local_port);
            break;
        case IOLENS_OPERATION_OPEN:
            // io_uring's path is not told, but the file that it has become
            if (const Files::Name* name = files.find(its.name_id); args[0].empty() && name != nullptr) {
                args[0] = name->text;
            }
            if (args[0] == "." || args[0] == "..") return nullptr;  // io-monitor leaves them out
            break;
        default: break;
    }
    return made(its, args[0], args[1]);
}

const iolens_operation_event* Operations::of_record(const iolens_header& head, Files& files) {
    if (head.kind != IOLENS_KIND_OPERATION || head.size < sizeof(iolens_operation_event)) return nullptr;
    iolens_operation_event its = reinterpret_cast<const iolens_operation_event&>(head);
    if (its.op >= IOLENS_OPERATION_COUNT || std::size_t{its.length1} + its.length2 > head.size - sizeof its) {
        return nullptr;
    }
    const char* texts = operation_text(reinterpret_cast<const iolens_operation_event&>(head));
    std::string first(texts, its.length1);
    std::string second(texts + its.length1, its.length2);
    switch (its.op) {
        case IOLENS_OPERATION_START:
            while (!first.empty() && first.back() == '\0') first.pop_back();
            std::ranges::replace(first, '\0', ' ');
            second = std::to_string(its.ppid);
            processes_.put(process_key(its), {first, its.ppid});
            break;
        case IOLENS_OPERATION_STOP:
            if (const Process* process = processes_.find(process_key(its))) {
                first = process->command;
                second = std::to_string(process->parent);
                processes_.erase(process_key(its));
            }
            break;
        case IOLENS_OPERATION_CHDIR:
            if (const Files::Name* name = files.find(its.name_id); first.empty() && name != nullptr) first = name->text;
            break;
        case IOLENS_OPERATION_HTTP_REQ_SEND:
        case IOLENS_OPERATION_HTTP_REQ_RECV:
        case IOLENS_OPERATION_HTTP_RESP_SEND:
        case IOLENS_OPERATION_HTTP_RESP_RECV: {
            const std::size_t end = std::min(first.find('\n'), first.size());
            second = first.substr(std::min(end + 1, first.size()));
            first.resize(end);
            while (first.ends_with('\r')) first.pop_back();
            while (second.ends_with('\r')) second.pop_back();
            if (first.find("HTTP") == std::string::npos) return nullptr;
            break;
        }
        default: break;
    }
    if (its.layer == IOLENS_LAYER_LIBC && its.error == IOLENS_ERROR_UNKNOWN) {
        // what its system call was told
        const Failed* failed = failed_.find(host_tid(its));
        if (failed != nullptr && failed->end >= its.start && failed->end <= its.h.ts) its.error = failed->error;
    }
    if (!wants(its.op)) return nullptr;
    if (its.op == IOLENS_OPERATION_OPEN && (first == "." || first == "..")) return nullptr;
    return made(its, first, second);
}

void Operations::add(const iolens_operation_event& e) {
    Totals& its = totals_[e.op];
    ++its.calls;
    if (is_unended(e)) return;
    its.errors += e.error != 0 ? 1U : 0U;
    its.bytes += e.bytes;
    its.time_ns += e.h.ts - e.start;
    its.times.add(e.h.ts - e.start);
}

Summary Operations::summary() const {
    Summary s;
    const auto time = [](const char* key, const char* header, const char* help) {
        return Column{
            .name = key, .header = header, .unit = Unit::nanoseconds, .role = Role::duration, .width = 9, .help = help};
    };
    s.columns = {
        {.name = "domain", .header = "DOMAIN", .width = -16, .help = "its domain"},
        {.name = "op", .header = "OP", .width = -14, .help = "the operation"},
        {.name = "calls", .header = "CALLS", .width = 8, .help = "how often"},
        {.name = "errors", .header = "ERRORS", .width = 6, .help = "how often it failed"},
        {.name = "bytes", .header = "BYTES", .unit = Unit::bytes, .width = 12, .help = "bytes moved"},
        time("time_ns", "TIME(ms)", "time in it, added up"),
        time("p50_ns", "p50", "half of them took no longer"),
        time("p99_ns", "p99", "99 in 100"),
        time("max_ns", "max", "the longest"),
    };
    for (const auto& [op, its] : totals_) {
        s.rows.push_back({Value(known_domains.at(known_operations.at(op).domain).name),
                          Value(known_operations.at(op).name), Value(its.calls), Value(its.errors), Value(its.bytes),
                          Value(its.time_ns)});
        add_percentiles(s.rows.back(), its.times, {50, 99});
    }
    return s;
}

Summary domains_table() {
    struct LibcName {
        std::string_view name;
        u8 operation;
    };
    constexpr std::array functions{
#define IOLENS_NAME(name, operation, place, result) LibcName{#name, IOLENS_OPERATION_##operation},
        IOLENS_LIBC_FUNCTIONS(IOLENS_NAME)
#undef IOLENS_NAME
    };
    Summary s;
    s.columns = {
        {.name = "domain", .header = "DOMAIN", .width = -16, .help = "word for --domains"},
        {.name = "op", .header = "OP", .width = -19, .help = "word for --op"},
        {.name = "number", .header = "NO", .width = 3, .help = "of the operation in io-monitor's records"},
        {.name = "libc", .header = "LIBC", .width = -20, .help = "functions of libc that are one, with --libc"},
        {.name = "calls", .header = "CALLS", .width = -20, .help = "system calls and requests that are one"},
    };
    // what no call is
    const auto other_source = [](u8 op) -> std::string_view {
        switch (op) {
            case IOLENS_OPERATION_START: return "(a process begins: fork, exec)";
            case IOLENS_OPERATION_STOP: return "(a process ends: exit_group, a signal)";
            case IOLENS_OPERATION_HTTP_REQ_SEND:
            case IOLENS_OPERATION_HTTP_REQ_RECV:
            case IOLENS_OPERATION_HTTP_RESP_SEND:
            case IOLENS_OPERATION_HTTP_RESP_RECV: return "(the first bytes of what goes through a socket)";
            case IOLENS_OPERATION_HTTP_RESP_FINI_SEND:
            case IOLENS_OPERATION_HTTP_RESP_FINI_RECV: return "(nothing: io-monitor has only the names)";
            default: return {};
        }
    };
    std::vector<std::array<std::string, 2>> texts;
    for (u8 op = 0; op < IOLENS_OPERATION_COUNT; ++op) {
        std::string calls(other_source(op));
        const auto add = [](std::string& to, std::string_view name) { (to += to.empty() ? "" : " ") += name; };
        for (const KnownCall& call : known_calls()) {
            if ((operations_of(call) >> op & 1) != 0) add(calls, call.name);
        }
        for (const KnownRequest& request : known_requests()) {
            if (request.operation == op) add(calls, request.name);
        }
        std::string libc;
        for (const LibcName& function : functions) {
            if (function.operation == op) add(libc, function.name);
        }
        texts.push_back({std::move(libc), std::move(calls)});
    }
    std::vector<u8> order(IOLENS_OPERATION_COUNT);
    for (u8 op = 0; op < IOLENS_OPERATION_COUNT; ++op) order[op] = op;
    std::ranges::sort(order, {}, [](u8 op) { return std::pair(known_operations.at(op).domain, op); });
    for (auto& both : texts) {
        for (std::string& text : both) s.texts.push_back(std::move(text));
    }
    const auto text_value = [](const std::string& text) {
        return text.empty() ? Value() : Value(std::string_view(text));
    };
    for (const u8 op : order) {
        s.rows.push_back(
            {Value(known_domains.at(known_operations.at(op).domain).name), Value(known_operations.at(op).name),
             op <= IOLENS_OPERATION_LAST_OF_RECORDS ? Value(u64{op}) : Value(),
             text_value(s.texts.at(std::size_t{op} * 2)), text_value(s.texts.at(std::size_t{op} * 2 + 1))});
    }
    const auto note = [&](std::string_view domain, std::string_view op, std::string_view what) {
        s.rows.push_back({Value(domain), op.empty() ? Value() : Value(op), Value(), Value(), Value(what)});
    };
    note("FILE_OPEN_CLOSE", "_IO_NEW_FOPEN", "(is OPEN: what glibc calls fopen inside)");
    note("NETWORKING", "", "(stands for CONNECT, ACCEPT, LISTEN and BIND, whose rows say SOCKETS)");
    note("ALL", "", "(every domain but HTTP: contents are private; ALL,HTTP is everything)");
    return s;
}

}  // namespace iolens
