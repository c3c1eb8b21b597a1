// SPDX-License-Identifier: Apache-2.0
// A kernel booted with lockdown=confidentiality: tracing is impossible, and each mode reports why.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "json.h"
#include "machine.h"

namespace iolens::test {
namespace {

class Lockdown : public testing::Test {
protected:
    void SetUp() override {
        NEEDS(slurp("/sys/kernel/security/lockdown").find("[confidentiality]") != std::string::npos,
              "this kernel was not booted with lockdown=confidentiality");
    }
};

TEST_F(Lockdown, IsWhatEveryLensNames) {
    const Scratch scratch;
    const std::string rows = scratch.path("rows");
    spit(rows, "of yesterday\n");
    for (const std::vector<std::string>& words : {std::vector<std::string>{"block", "1"},
                                                  {"fd", "1"},
                                                  {"fd", "--domains", "LINKS", "1"},
                                                  {"file", scratch.path(), "1"}}) {
        std::vector<std::string> command{iolens_path()};
        command.insert(command.end(), words.begin(), words.end());
        command.insert(command.end(), {"-o", rows});
        const Result result = run(command);
        EXPECT_EQ(result.status, 3) << words[0] << ": " << result.err;
        EXPECT_NE(result.err.find("lockdown=confidentiality"), std::string::npos) << words[0] << ": " << result.err;
        EXPECT_EQ(std::ranges::count(result.err, '\n'), 2) << result.err;  // a sentence and a hint
        EXPECT_EQ(slurp(rows), "of yesterday\n") << words[0];
    }
    const Result command = run({iolens_path(), "fd", "--", "touch", scratch.path("made")});
    EXPECT_EQ(command.status, 125) << command.err;
    EXPECT_EQ(slurp(scratch.path("made")), "");
    EXPECT_NE(command.err.find("lockdown=confidentiality"), std::string::npos) << command.err;
}

TEST_F(Lockdown, IsWhatDoctorNames) {
    const Result result = run({iolens_path(), "doctor", "--format", "json"});
    EXPECT_EQ(result.status, 3);
    bool named = false;
    for (const Json& row : parse_json_lines(result.out)) {
        if (row["name"] != "lockdown") continue;
        named = true;
        EXPECT_EQ(row["works"], "no");
        EXPECT_NE(row["detail"].get<std::string>().find("lockdown=integrity"), std::string::npos) << row;
    }
    EXPECT_TRUE(named) << result.out;
}

}  // namespace
}  // namespace iolens::test
