// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "lens/verb.h"

namespace iolens {

struct MetricsOptions {
    std::string listen;     ///< "127.0.0.1:9770"; "": no HTTP server
    std::string directory;  ///< of node_exporter's text files; "": none
    u64 interval_ns = 0;    ///< between two text files
    u64 ring_bytes = 0;
    bool files = true;    ///< by file and author's cgroup, too
    std::string version;  ///< of iolens
};

/// Serves metrics of block I/O until it is stopped: "iolens metrics".
std::unique_ptr<Service> make_metrics_service(MetricsOptions options);

}  // namespace iolens
