// SPDX-License-Identifier: Apache-2.0
#include "probe/libc.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>

#include "hostile_library.h"
#include "iolens/event/operation.h"
#include "run.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

std::string helper(const char* name) { return fs::read_symlink("/proc/self/exe").parent_path() / name; }

TEST(Libc, OfAProgramOfAScriptAndOfNone) {
    const test::Scratch scratch;
    const Libc of_program = libc_of_program(helper("iolens-libc-program"));
    EXPECT_TRUE(of_program.path.ends_with("/libc.so.6")) << of_program.path;
    test::spit(scratch.path("script"), "#! " + helper("iolens-libc-program") + " -x\n");
    EXPECT_EQ(libc_of_program(scratch.path("script")).path, of_program.path);
    EXPECT_NE(libc_of_program(helper("iolens-static-program")).why.find("statically"), std::string::npos);
    test::spit(scratch.path("loop"), "#!" + scratch.path("loop") + "\n");
    for (const std::string& none :
         {scratch.path("loop"), scratch.path("missing"), scratch.path(), std::string("/dev/null")}) {
        EXPECT_EQ(libc_of_program(none).path, "") << none;
        EXPECT_NE(libc_of_program(none).why, "") << none;
    }
    // musl's loader instead of glibc's
    std::string program = test::slurp(helper("iolens-libc-program"));
    const std::size_t at = program.find("/lib", program.find("ELF"));
    ASSERT_NE(at, std::string::npos);
    const std::string musl("/lib/ld-musl-x.so.1\0", 20);
    program.replace(at, musl.size(), musl);
    test::spit(scratch.path("musl"), program);
    EXPECT_NE(libc_of_program(scratch.path("musl")).why.find("musl"), std::string::npos);
}

TEST(Libc, EachFunctionIsOnePlace) {
    const std::string libc = libc_of_program(helper("iolens-libc-program")).path;
    const auto all = find_functions(libc, ~u64{0});
    std::set<std::string_view> names;
    std::set<u64> places;
    for (const LibcFunction& f : all) {
        names.insert(f.name);
        EXPECT_TRUE(places.insert(f.offset).second) << f.name;
        EXPECT_LT(f.offset, fs::file_size(libc));
        EXPECT_EQ(f.path, libc);
    }
    for (const char* name :
         {"fopen", "fclose", "fread", "fwrite", "fscanf", "vfscanf", "fprintf", "vfprintf", "fflush", "opendir",
          "fdopendir", "closedir", "readdir", "readdir_r", "rewinddir", "seekdir", "telldir", "dirfd", "scandir"}) {
        EXPECT_TRUE(names.contains(name)) << name;
    }
    for (const LibcFunction& f : find_functions(libc, u64{1} << IOLENS_OPERATION_TELLDIR)) EXPECT_EQ(f.name, "telldir");
    EXPECT_TRUE(find_functions(libc, 0).empty());
}

/// An untrusted file.
TEST(Libc, DamagedFilesHaveFewerFunctions) {
    const test::Scratch scratch;
    const std::string whole = test::slurp(libc_of_program(helper("iolens-libc-program")).path);
    const std::string place = scratch.path("libc");
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{3}, std::size_t{40}, std::size_t{64}, whole.size() / 2, whole.size() - 1}) {
        test::spit(place, whole.substr(0, length));
        find_functions(place, ~u64{0});
        libc_of_program(place);
    }
    for (std::size_t i = 16; i < 64; ++i) {  // the ELF header, each byte
        std::string damaged = whole;
        damaged[i] = static_cast<char>(~damaged[i]);
        test::spit(place, damaged);
        for (const LibcFunction& f : find_functions(place, ~u64{0})) EXPECT_LT(f.offset, whole.size());
    }
}

TEST(Libc, AHostileFileCostsLittle) {
    const test::Scratch scratch;
    const std::string place = scratch.path("libc.so.6");
    test::make_hostile_library(place);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(find_functions(place, ~u64{0}).empty());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

/// Opening a FIFO would block until there is a writer; devices are not opened either.
TEST(Libc, OnlyRegularFilesAreOpened) {
    const test::Scratch scratch;
    const std::string fifo = scratch.path("libc.so.6");
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    for (const std::string& path : {fifo, std::string("/dev/zero"), scratch.path(), std::string("/dev/stdin")}) {
        EXPECT_TRUE(find_functions(path, ~u64{0}).empty()) << path;
    }
}

/// The file may be replaced before programs are attached to it.
TEST(Libc, TheFileThatWasReadIsAttachedTo) {
    const test::Scratch scratch;
    const std::string place = scratch.path("libc.so.6");
    fs::copy_file(libc_of_program(helper("iolens-libc-program")).path, place);
    const auto functions = find_functions(place, ~u64{0});
    ASSERT_FALSE(functions.empty());
    struct stat before{};
    struct stat now{};
    ASSERT_EQ(::stat(place.c_str(), &before), 0);
    test::spit(scratch.path("other"), "x");
    fs::rename(scratch.path("other"), place);
    ASSERT_EQ(::stat(functions.front().attach_path().c_str(), &now), 0);
    EXPECT_EQ(now.st_ino, before.st_ino);
}

TEST(Libc, OfThisProcess) {
    const Libc libc = libc_of_process(static_cast<u32>(::getpid()));
    EXPECT_TRUE(libc.path.empty() ? !libc.why.empty() : fs::exists(libc.path)) << libc.path << libc.why;
    EXPECT_EQ(libc_of_process(0x7fffffff).path, "");
}

}  // namespace
}  // namespace iolens
