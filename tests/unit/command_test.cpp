// SPDX-License-Identifier: Apache-2.0
#include "probe/command.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "base/failure.h"
#include "run.h"

namespace iolens {
namespace {

TEST(Command, IsHeldUntilItIsLetGo) {
    const test::Scratch scratch;
    const std::string mark = scratch.path("mark");
    HeldCommand command({"sh", "-c", ": > " + mark + "; exit 5"});
    EXPECT_EQ(command.status(), std::nullopt);
    EXPECT_FALSE(std::filesystem::exists(mark));
    command.let_go();
    EXPECT_EQ(command.status(true), 5);
    EXPECT_TRUE(std::filesystem::exists(mark));
}

TEST(Command, ASignalIsAStatus) {
    HeldCommand command({"sh", "-c", "kill -15 $$"});
    command.let_go();
    EXPECT_EQ(command.status(true), 128 + 15);
}

TEST(Command, OneThatIsNeverLetGoIsGone) {
    pid_t pid = 0;
    {
        const HeldCommand command({"sleep", "100"});
        pid = command.pid();
        EXPECT_EQ(::kill(pid, 0), 0);
    }
    EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(Command, WhatCantBeRunSaysSoAsAShellDoes) {
    const auto status_of = [](const std::vector<std::string>& words) {
        try {
            const HeldCommand command(words);
        } catch (const Failure& failure) {
            EXPECT_FALSE(failure.hint().empty());
            return static_cast<int>(failure.status());
        }
        return 0;
    };
    const test::Scratch scratch;
    test::spit(scratch.path("plain"), "text");
    ::chmod(scratch.path("plain").c_str(), 0600);
    EXPECT_EQ(status_of({"no-such-command-here"}), 127);
    EXPECT_EQ(status_of({"/no/such/path"}), 127);
    EXPECT_EQ(status_of({""}), 127);
    EXPECT_EQ(status_of({scratch.path("plain")}), 126);
    EXPECT_EQ(status_of({"/"}), 126);
}

TEST(Command, AScriptWithoutAFirstLineIsTheShells) {
    const test::Scratch scratch;
    test::spit(scratch.path("script"), "exit 9\n");
    ::chmod(scratch.path("script").c_str(), 0700);
    HeldCommand command({scratch.path("script")});
    command.let_go();
    EXPECT_EQ(command.status(true), 9);
}

}  // namespace
}  // namespace iolens
