// SPDX-License-Identifier: Apache-2.0
// The source tree keeps its own rules: who may include whom, and who may know what.
#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "run.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

/// The rooms that each room may include from, itself aside (docs/adr/0001).
const std::map<std::string, std::set<std::string>> allowed{
    {"base", {"include", "event"}},  // of event/: the header every record starts with
    {"source", {"base", "include", "event"}},
    {"decode", {"base", "include", "event"}},
    {"enrich", {"base", "include", "event"}},
    {"reduce", {}},
    {"sink", {"base", "include", "event"}},
    {"probe", {"base", "include", "event"}},
    {"tree", {"base"}},
    {"import", {"base", "include", "event", "source", "enrich"}},
    {"tools", {"base", "include", "event", "source", "decode", "enrich", "reduce", "sink", "probe", "import", "tree"}},
    {"app", {"base", "include", "event", "source", "decode", "sink", "probe", "tools"}},
};
/// Of the events, these rooms may know only what all records have.
const std::set<std::string> blind_to_events{"base", "sink", "enrich", "app", "source"};

std::vector<std::string> includes_of(const fs::path& path) {
    std::vector<std::string> all;
    const std::string text = test::slurp(path);
    const std::regex pattern("#include [\"<]([^\">]+)[\">]");
    for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) all.push_back((*at)[1]);
    return all;
}

std::string room_of_include(const std::string& include) {
    if (include.starts_with("iolens/event/")) return "event";
    if (include.starts_with("iolens/")) return "include";
    const auto slash = include.find('/');
    if (slash == std::string::npos) return include == "lens.h" || include == "options.h" ? "tools" : "";
    const std::string room = include.substr(0, slash);
    return allowed.contains(room) ? room : "";
}

std::vector<std::pair<std::string, fs::path>> sources() {
    std::vector<std::pair<std::string, fs::path>> all;
    const fs::path root(IOLENS_SOURCE_DIR);
    for (const fs::path& base : {root / "src", root / "tools"}) {
        for (const auto& entry : fs::recursive_directory_iterator(base)) {
            if (!entry.is_regular_file()) continue;
            const std::string room =
                base.filename() == "tools" ? "tools" : entry.path().parent_path().filename().string();
            all.emplace_back(room, entry.path());
        }
    }
    return all;
}

TEST(Tree, NoIncludePointsUp) {
    ASSERT_GT(sources().size(), 20U);
    for (const auto& [room, path] : sources()) {
        ASSERT_TRUE(allowed.contains(room)) << path;
        for (const std::string& include : includes_of(path)) {
            const std::string other = room_of_include(include);
            if (other.empty() || other == room) continue;
            EXPECT_TRUE(allowed.at(room).contains(other)) << path << " includes " << include;
        }
    }
}

/// Records that enrich is made to remember, and the calls that it has names for.
const std::set<std::string> facts{"iolens/event/file.h", "iolens/event/task.h", "iolens/event/call.h",
                                  "iolens/event/operation.h", "iolens/event/symbol.h"};

TEST(Tree, OnlyTheirOwnRoomsKnowCli11LibbpfAndEvents) {
    for (const auto& [room, path] : sources()) {
        for (const std::string& include : includes_of(path)) {
            EXPECT_TRUE(!include.starts_with("CLI/") || path.filename() == "cli.cpp") << path;
            EXPECT_TRUE(!include.starts_with("fuse") || room == "tree") << path;
            EXPECT_TRUE(!include.starts_with("bpf/") || room == "probe" || path.filename() == "ring.cpp") << path;
            if (blind_to_events.contains(room) && include.starts_with("iolens/event/")) {
                EXPECT_TRUE(include.ends_with("/header.h") || include.ends_with("/loss.h") ||
                            (room == "enrich" && facts.contains(include)))
                    << path << ": " << include;
            }
        }
    }
}

TEST(Tree, OnlyCompatKnowsAKernelDifference) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(IOLENS_SOURCE_DIR) / "bpf")) {
        if (!entry.is_regular_file() || entry.path().filename() == "compat.bpf.h") continue;
        if (entry.path().extension() == ".md") continue;
        const std::string text = test::slurp(entry.path());
        EXPECT_EQ(text.find("bpf_core_field_exists"), std::string::npos) << entry.path();
        EXPECT_EQ(text.find("bpf_core_type_matches"), std::string::npos) << entry.path();
        EXPECT_EQ(text.find("KERNEL_VERSION"), std::string::npos) << entry.path();
    }
}

TEST(Tree, TheReleaseIsStrippedAndNamesItsSymbols) {
    const std::string program(IOLENS_BINARY);
    if (!fs::exists(program + ".debug")) GTEST_SKIP() << "a build with symbols";
    EXPECT_NE(test::slurp(program).find(".gnu_debuglink"), std::string::npos);
    const auto has_symbols = [](const std::string& path) {
        const std::string text = test::slurp(path);
        Elf64_Ehdr head{};
        std::memcpy(&head, text.data(), std::min(text.size(), sizeof head));
        for (std::size_t i = 0; i < head.e_shnum; ++i) {
            Elf64_Shdr section{};
            std::memcpy(&section, text.data() + head.e_shoff + i * sizeof section, sizeof section);
            if (section.sh_type == SHT_SYMTAB) return true;
        }
        return false;
    };
    EXPECT_FALSE(has_symbols(program));
    EXPECT_TRUE(has_symbols(program + ".debug"));
}

TEST(Tree, EveryFileSaysItsLicence) {
    const std::set<std::string> shared_with_the_kernel{"keep.h",    "pidns.h",       "watch.h",
                                                       "bio_end.h", "block_state.h", "symbol_query.h"};
    for (const char* folder : {"src", "tools", "include", "bpf", "tests", "vmlinux"}) {
        for (const auto& entry : fs::recursive_directory_iterator(fs::path(IOLENS_SOURCE_DIR) / folder)) {
            const std::string extension = entry.path().extension();
            if (extension != ".h" && extension != ".cpp" && extension != ".c") continue;
            const bool kernel = std::string_view(folder) == "bpf" || std::string_view(folder) == "vmlinux" ||
                                entry.path().string().find("/event/") != std::string::npos ||
                                shared_with_the_kernel.contains(entry.path().filename().string());
            const std::string want = kernel ? "GPL-2.0-only OR BSD-2-Clause" : "Apache-2.0";
            EXPECT_NE(test::slurp(entry.path()).substr(0, 100).find("SPDX-License-Identifier: " + want),
                      std::string::npos)
                << entry.path();
        }
    }
}

}  // namespace
}  // namespace iolens
