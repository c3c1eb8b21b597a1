// SPDX-License-Identifier: Apache-2.0
// Totals of the calls that --why explains: by reason, by file, and by process on the disk at the same time.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "lens/summary.h"

namespace iolens {

class WhyTotals {
public:
    /// Adds a call: `requests` is the number of block requests involved.
    void add_call(std::string_view file, u64 ns, u64 requests);
    /// Adds what a call spent time on: a reason to wait, or "running".
    void add_reason(std::string_view reason, u64 ns);
    /// Adds a process with requests on a disk of the call at the same time. `ns`: the duration of the call.
    void add_beside(std::string_view comm, u32 pid, u64 ns, u64 requests);
    [[nodiscard]] Summary summary() const;

private:
    struct Total {
        u64 calls = 0;
        u64 ns = 0;
        u64 max_ns = 0;
        u64 requests = 0;
        void add(u64 time, u64 number);
    };
    using Totals = std::map<std::string, Total, std::less<>>;
    static Total& find(Totals& totals, std::string name);
    static void add_rows(Summary& summary, std::string_view group, const Totals& totals, bool has_requests);

    Total all_;
    Totals reasons_;
    Totals files_;
    Totals beside_;
};

}  // namespace iolens
