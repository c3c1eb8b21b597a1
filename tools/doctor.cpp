// SPDX-License-Identifier: Apache-2.0
#include <linux/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "base/failure.h"
#include "base/privileges.h"
#include "base/units.h"
#include "commands.h"
#include "probe/symbols.h"

namespace iolens {
namespace {

struct Finding {
    std::string type;  // "check" or "probe"
    std::string lens;
    std::string name;
    bool works = false;
    std::string why;
    std::optional<u64> verified_insns;
    std::string program;
    bool used = true;
};

std::string first_line(const char* path) {
    std::string line;
    std::ifstream file(path);
    std::getline(file, line);
    return line;
}

std::vector<Finding> checks() {
    std::vector<Finding> items;
    utsname kernel{};
    ::uname(&kernel);
    const auto check = [&](std::string name, bool works, std::string why) {
        items.push_back({"check", "", std::move(name), works, std::move(why), {}, {}, true});
    };
    check("kernel", true,
          fmt::format("{} {}", static_cast<const char*>(kernel.release), static_cast<const char*>(kernel.machine)));
    const bool may = may_trace();
    check("privilege", may, may ? "CAP_SYS_ADMIN, or CAP_BPF and CAP_PERFMON" : "missing: run it with sudo");
    const bool btf = ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
    check("BTF", btf, btf ? "/sys/kernel/btf/vmlinux" : "missing: boot a kernel built with CONFIG_DEBUG_INFO_BTF=y");
    const bool hidden = kernel_addresses_hidden();
    check("symbols", !hidden,
          hidden ? "/proc/kallsyms hides addresses (CAP_SYSLOG, kernel.kptr_restrict): no files of direct I/O, no "
                   "--why waits"
                 : "/proc/kallsyms");
    const u64 other = capability_bit(CAP_DAC_READ_SEARCH) | capability_bit(CAP_SYS_PTRACE);
    const bool others = (effective_capabilities() & other) == other;
    check("other users", others,
          others ? "CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"
                 : "CAP_DAC_READ_SEARCH or CAP_SYS_PTRACE missing: no --libc and no open files of their processes");
    const std::string lockdown = first_line("/sys/kernel/security/lockdown");
    const bool locked = may ? lockdown_forbids_reads() : lockdown.find("[confidentiality]") != std::string::npos;
    check("lockdown", !locked,
          locked             ? "confidentiality mode prevents reading kernel memory: boot with lockdown=integrity"
          : lockdown.empty() ? "none, or securityfs is not mounted"
                             : lockdown);
    const std::string jit = first_line("/proc/sys/net/core/bpf_jit_enable");
    check("JIT", jit != "0",
          jit == "0" ? "BPF programs are interpreted, which is slow: sysctl net.core.bpf_jit_enable=1" : "on");
    check("ring", true, size_text(default_ring_bytes) + " (--ring-size)");
    return items;
}

/// Returns Exit::unavailable when a lens can't trace here.
int run_doctor(Format format, bool variants) {
    std::vector<Finding> items = checks();
    bool works = true;
    for (const Finding& f : items)
        works = works && (f.works || f.name == "JIT" || f.name == "symbols" || f.name == "other users");
    const bool may_try = works;
    for (const auto& lens : make_lenses()) {
        if (!may_try) break;  // all probes would fail for the same reason
        for (const ProbeStatus& p : lens->examine(variants)) {
            works = works && (p.works || !p.used);
            items.push_back({"probe", std::string(lens->info().name), p.name, p.works, p.works ? p.how : p.why,
                             p.verified_insns, p.program, p.used});
        }
    }

    static const std::vector<Column> columns{
        {.name = "works", .header = "WORKS", .width = -5, .help = "yes or no"},
        {.name = "lens", .header = "LENS", .width = -6, .help = "lens that uses it"},
        {.name = "name", .header = "WHAT", .width = -20, .help = "check or program"},
        {.name = "verified_insns", .header = "INSNS", .width = 6, .help = "instructions processed by the verifier"},
        {.name = "detail",
         .header = "DETAIL",
         .role = Role::name,
         .width = -20,
         .help = "how it attaches, or why it fails"},
        {.name = "program", .header = "PROGRAM", .role = Role::name, .width = -20, .help = "name of the BPF program"},
        {.name = "used", .header = "USED", .width = -4, .help = "no: this kernel has a better variant"},
    };
    constexpr std::size_t details = 2;  // columns that a table of the used variants does not need
    std::vector<const Column*> chosen = pointers_to(columns);
    if (format == table_format && !variants) chosen.resize(chosen.size() - details);
    Output out = Output::stream(STDOUT_FILENO, "standard output");
    const auto sink = format->make(out, {});
    for (const char* type : {"check", "probe"}) {
        if (std::string_view(type) == "check" || format == json_format) sink->begin(type, chosen, nullptr);
        for (const Finding& f : items) {
            if (f.type != type) continue;
            const std::array row{Value(std::string_view(f.works ? "yes" : "no")),
                                 f.lens.empty() ? Value() : Value(std::string_view(f.lens)),
                                 Value(std::string_view(f.name)),
                                 f.verified_insns ? Value(*f.verified_insns) : Value(),
                                 Value(std::string_view(f.why)),
                                 f.program.empty() ? Value() : Value(std::string_view(f.program)),
                                 Value(std::string_view(f.used ? "yes" : "no"))};
            sink->row(std::span(row).first(chosen.size()));
        }
    }
    out.flush();
    return static_cast<int>(works ? Exit::ok : Exit::unavailable);
}

}  // namespace

Command doctor_command() {
    struct Options {
        std::string format;
        bool variants = false;
    };
    const auto options = std::make_shared<Options>();
    return {.name = "doctor",
            .about = "check what works on this kernel, and why the rest does not",
            .examples =
                "sudo iolens doctor  check this kernel\nsudo iolens doctor --variants --format json  also try the "
                "probes' fallbacks, as JSON lines",
            .add_options =
                [options](OptionGroups& groups) {
                    Flags& flags = groups.group("Options");
                    add_format_option(flags, options->format, plain_formats, table_format);
                    flags.toggle("--variants", options->variants,
                                 "also load the variants of probes that this kernel does not need");
                },
            .run =
                [options](const Given& /*given*/) {
                    capture_libbpf_log(false);
                    return run_doctor(format_of(options->format, plain_formats, table_format), options->variants);
                }};
}

}  // namespace iolens
