// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "machine.h"

namespace iolens::test {

std::vector<Json> objects_of(const std::function<void()>& work, std::vector<std::string> options) {
    std::array<int, 2> gate{};
    EXPECT_EQ(::pipe(gate.data()), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::close(gate[1]);
        ::alarm(120);  // a call that blocks forever must not delay the other tests
        char go = 0;
        if (::read(gate[0], &go, 1) != 1) ::_exit(1);
        work();
        ::_exit(0);
    }
    ::close(gate[0]);
    options.insert(options.begin(), {"fd", "-p", std::to_string(pid), "--ring-size", "64", "--format", "json"});
    Tracer tracer(options);
    EXPECT_EQ(::write(gate[1], "!", 1), 1);
    ::close(gate[1]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    const Result result = tracer.stop(0);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_FALSE(lost(result)) << result.err;
    return parse_json_lines(result.out);
}

std::vector<Json> rows_of(const std::string& calls, const std::function<void()>& work,
                          std::vector<std::string> options) {
    options.insert(options.begin(), {"--op", calls});
    std::vector<Json> rows = objects_of(work, std::move(options));
    std::erase_if(rows, [](const Json& row) { return row.at("type") != "fd"; });
    return rows;
}

Values values_of(const std::vector<Json>& rows, const std::string& column) {
    Values values;
    for (const Json& row : rows) values.push_back(row.at(column).dump());
    return values;
}

}  // namespace iolens::test
