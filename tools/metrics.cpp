// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "app/run.h"
#include "base/failure.h"
#include "commands.h"
#include "lens/metrics/service.h"
#include "lens/options.h"
#include "probe/bpf.h"

namespace iolens {
namespace {

constexpr const char* default_address = "127.0.0.1:9770";

/// Filled by the options.
struct MetricsRun {
    std::string listen;
    std::string directory;
    std::optional<u64> interval_ns;
    std::optional<u64> ring_bytes;
    bool no_file = false;
};

int run_metrics(const MetricsRun& run) {
    constexpr u64 second = 1'000'000'000;
    if (run.interval_ns && run.directory.empty()) {
        throw Failure(Exit::usage, "--interval needs --textfile", "a scrape of --listen decides by itself when it comes");
    }
    LiveOptions live;
    live.ring_bytes = run.ring_bytes;
    MetricsOptions options{.listen = run.listen,
                           .directory = run.directory,
                           .interval_ns = run.interval_ns.value_or(15 * second),
                           .ring_bytes = ring_bytes(live),
                           .files = !run.no_file,
                           .version = IOLENS_VERSION};
    if (options.listen.empty() && options.directory.empty()) options.listen = default_address;
    capture_libbpf_log(false);
    return run_service(*make_metrics_service(std::move(options)));
}

}  // namespace

Command metrics_command() {
    const auto run = std::make_shared<MetricsRun>();
    Command command{.name = "metrics",
                    .about = "serve metrics of block I/O: latencies per disk, bytes per container, the busiest files",
                    .examples = "sudo iolens metrics  serve http://127.0.0.1:9770/metrics for Prometheus\n"
                                "sudo iolens metrics --textfile /var/lib/prometheus/node-exporter  write a file for "
                                "node_exporter every 15 seconds"};
    command.add_options = [run](OptionGroups& groups) {
        Flags& flags = groups.group("Options");
        constexpr u64 s = 1'000'000'000;
        flags.text("--listen", run->listen, "ADDRESS:PORT",
                   "serve /metrics over HTTP (default 127.0.0.1:9770, unless --textfile is given)");
        flags.text("--textfile", run->directory, "DIR", "write DIR/iolens.prom for node_exporter's textfile collector");
        flags.time("--interval", run->interval_ns, s, s, 3600 * s, "SECONDS",
                   "with --textfile: write it every SECONDS (default 15)");
        flags.toggle("--no-file", run->no_file,
                     "skip file attribution: no metrics of files, writeback counts for the cgroup of the kernel's worker");
        add_ring_flag(flags, run->ring_bytes);
    };
    command.run = [run](const Given& /*given*/) { return run_metrics(*run); };
    return command;
}

}  // namespace iolens
