// SPDX-License-Identifier: Apache-2.0
// Rows of iolens file, and files to access.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "machine.h"

namespace iolens::test {

/// Rows of a level and operation.
inline std::vector<Row> rows_of(const Traced& t, const std::string& level, const std::string& op,
                                const std::string& file = {}) {
    std::vector<Row> some;
    std::ranges::copy_if(t.rows, std::back_inserter(some), [&](const Row& r) {
        return r.at("level") == level && r.at("op") == op && (file.empty() || r.at("file") == file);
    });
    return some;
}

inline u64 bytes_of(const std::vector<Row>& rows) {
    u64 sum = 0;
    for (const Row& row : rows) sum += number(row, "bytes");
    return sum;
}

/// "offset+requested=moved" for each row.
inline std::vector<std::string> accesses(const std::vector<Row>& rows) {
    std::vector<std::string> all;
    all.reserve(rows.size());
    for (const Row& row : rows) all.push_back(row.at("address") + "+" + row.at("requested") + "=" + row.at("bytes"));
    return all;
}

inline constexpr u64 page = 4 * kib;

inline std::vector<char> pattern(std::size_t bytes) {
    std::vector<char> data(bytes);
    for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i * 7 + i / 512);
    return data;
}

inline void make_file(const std::string& path, std::size_t bytes) {
    const std::vector<char> data = pattern(bytes);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT_EQ(::write(fd, data.data(), data.size()), static_cast<ssize_t>(bytes));
    ASSERT_EQ(::fsync(fd), 0);
    ::close(fd);
}

/// Traces `work` with each kind of probe that this kernel has. A kernel without one of them uses another one.
inline void each_probe(const std::vector<std::string>& options, const std::function<void()>& work,
                       const std::function<void(const Traced&)>& check,
                       const std::vector<std::string>& probes = {"fentry", "kprobe", "syscalls", "plain"}) {
    for (const std::string& probe : probes) {
        // the plain programs of system calls, where there are no better probes
        if (probe == "plain" && emulated()) continue;
        SCOPED_TRACE(probe);
        const Variable forced("IOLENS_PROBE", probe.c_str());
        const Traced t = trace(options, work, "file");
        expect_whole(t);
        check(t);
        if (testing::Test::HasFailure()) break;  // the others would fail, too
    }
}

}  // namespace iolens::test
