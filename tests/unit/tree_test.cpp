// SPDX-License-Identifier: Apache-2.0
// Rules of the source tree: which directory may include which, and what each may depend on.
#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "run.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

/// What each directory of src/, and tools/, may include from (docs/adr/0001).
const std::map<std::string, std::set<std::string>> allowed{
    {"base", {"include", "event"}},  // of event/: the header every record starts with
    {"source", {"base", "include", "event"}},
    {"resolve", {"base", "include", "event"}},
    {"stats", {}},
    {"sink", {"base", "include", "event"}},
    {"probe", {"base", "include", "event"}},
    {"fuse", {"base"}},
    {"exporter", {"base", "include", "event", "stats"}},
    {"import", {"base", "include", "event", "source", "resolve"}},
    {"lens", {"base", "include", "event", "source", "resolve", "stats", "sink", "probe", "import", "fuse"}},
    {"app", {"base", "lens", "source", "sink"}},
    {"cli", {"base", "lens"}},
    {"tools", {"base", "include", "lens", "app", "cli", "probe"}},
};
/// Of the events, these may depend only on what all records have in common.
const std::set<std::string> blind_to_events{"base", "sink", "app", "source", "cli", "tools", "exporter"};

std::vector<std::string> includes_of(const fs::path& path) {
    std::vector<std::string> all;
    const std::string text = test::slurp(path);
    const std::regex pattern("#include [\"<]([^\">]+)[\">]");
    for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) all.push_back((*at)[1]);
    return all;
}

/// The directory of an include, as in `allowed`; "" for a system header.
std::string directory_of_include(const std::string& include) {
    if (include.starts_with("iolens/event/")) return "event";
    if (include.starts_with("iolens/")) return "include";
    const std::string directory = include.substr(0, include.find('/'));
    return directory != include && allowed.contains(directory) ? directory : "";
}

/// The lens that a path in src/ belongs to: "block" for lens/block/totals.h; "" for what all lenses share.
std::string lens_of(const std::string& path) {
    const std::size_t slash = path.find('/', std::string_view("lens/").size());
    return path.starts_with("lens/") && slash != std::string::npos ? path.substr(5, slash - 5) : "";
}

struct SourceFile {
    std::string directory;  ///< as in `allowed`
    std::string relative;   ///< to src/ or tools/
    fs::path path;
};

std::vector<SourceFile> sources() {
    std::vector<SourceFile> all;
    const fs::path root(IOLENS_SOURCE_DIR);
    for (const fs::path& base : {root / "src", root / "tools"}) {
        for (const auto& entry : fs::recursive_directory_iterator(base)) {
            if (!entry.is_regular_file()) continue;
            const fs::path relative = fs::relative(entry.path(), base);
            const std::string directory = base.filename() == "tools" ? "tools" : relative.begin()->string();
            all.push_back({directory, relative.string(), entry.path()});
        }
    }
    return all;
}

TEST(Tree, NoIncludePointsUp) {
    ASSERT_GT(sources().size(), 20U);
    for (const auto& [directory, relative, path] : sources()) {
        ASSERT_TRUE(allowed.contains(directory)) << path;
        for (const std::string& include : includes_of(path)) {
            const std::string other = directory_of_include(include);
            if (other.empty() || other == directory) continue;
            EXPECT_TRUE(allowed.at(directory).contains(other)) << path << " includes " << include;
        }
    }
}

TEST(Tree, ALensKnowsNoOtherLens) {
    for (const auto& [directory, relative, path] : sources()) {
        const std::string lens = directory == "tools" ? "" : lens_of(relative);
        for (const std::string& include : includes_of(path)) {
            const std::string other = lens_of(include);
            EXPECT_TRUE(other.empty() || other == lens) << path << " includes " << include;
            // code above the lenses knows only their interface
            EXPECT_TRUE(directory == "lens" || !include.starts_with("lens/") || include == "lens/lens.h")
                << path << " includes " << include;
        }
    }
}

TEST(Tree, OnlyTheirOwnDirectoriesKnowCli11LibbpfLibfuseLibeventLibcapAndEvents) {
    for (const auto& [directory, relative, path] : sources()) {
        for (const std::string& include : includes_of(path)) {
            EXPECT_TRUE(!include.starts_with("CLI/") || directory == "cli") << path;
            EXPECT_TRUE(!include.starts_with("fuse") || include.starts_with("fuse/") || directory == "fuse") << path;
            EXPECT_TRUE(!include.starts_with("event2/") || directory == "exporter") << path;
            EXPECT_TRUE(!include.starts_with("bpf/") || directory == "probe" || relative == "source/ring.cpp") << path;
            EXPECT_TRUE(include != "sys/capability.h" || relative == "base/privileges.cpp") << path;
            if (blind_to_events.contains(directory) && include.starts_with("iolens/event/")) {
                EXPECT_TRUE(include.ends_with("/header.h") || include.ends_with("/loss.h")) << path << ": " << include;
            }
        }
    }
}

/// The C sources in bpf/, relative to it.
std::vector<std::string> bpf_sources() {
    std::vector<std::string> all;
    const fs::path bpf = fs::path(IOLENS_SOURCE_DIR) / "bpf";
    for (const auto& entry : fs::recursive_directory_iterator(bpf)) {
        if (entry.path().extension() == ".h" || entry.path().extension() == ".c") {
            all.push_back(fs::relative(entry.path(), bpf).string());
        }
    }
    return all;
}

std::string bpf_text(const std::string& file) {
    return test::slurp((fs::path(IOLENS_SOURCE_DIR) / "bpf" / file).string());
}

TEST(Tree, OnlyCompatKnowsAKernelDifference) {
    ASSERT_GT(bpf_sources().size(), 20U);
    for (const std::string& file : bpf_sources()) {
        if (file.starts_with("lib/compat/")) continue;
        const std::string text = bpf_text(file);
        for (const char* question : {"bpf_core_field_exists", "bpf_core_type_matches", "KERNEL_VERSION"}) {
            EXPECT_EQ(text.find(question), std::string::npos) << file << ": " << question;
        }
    }
}

/// The modules of an object don't include those of other objects, shared code includes none of them, and each file
/// includes what it needs.
TEST(Tree, BpfModulesIncludeOnlyTheirOwnAndLib) {
    for (const std::string& file : bpf_sources()) {
        const bool program = file.ends_with(".bpf.c");
        const std::string own = program ? file.substr(0, file.find('.')) : file.substr(0, file.find('/'));
        for (const std::string& include : includes_of(fs::path(IOLENS_SOURCE_DIR) / "bpf" / file)) {
            if (!include.ends_with(".bpf.h")) continue;
            const std::string directory = include.substr(0, include.find('/'));
            EXPECT_TRUE(directory == "lib" || directory == own) << file << " includes " << include;
            EXPECT_TRUE(!file.starts_with("lib/compat/") || include.starts_with("lib/compat/") ||
                        include == "lib/kernel.bpf.h")
                << file;
        }
        const std::string text = bpf_text(file);
        EXPECT_EQ(text.find("#ifndef IOLENS_") != std::string::npos, !program) << file << " has no include guard";
        // a program's section is only in a .bpf.c, or in a macro that a .bpf.c uses
        const std::regex section("(^|\n)SEC\\(\"");
        EXPECT_TRUE(program || !std::regex_search(text, section)) << file << " has a program";
    }
}

/// The anchors of a document's headings: "Coming from biosnoop" is coming-from-biosnoop.
std::set<std::string> headings_of(const fs::path& document) {
    std::set<std::string> all;
    for (const std::string& line : test::split(test::slurp(document.string()), '\n')) {
        if (!line.starts_with('#')) continue;
        std::string anchor;
        for (const char c : line.substr(std::min(line.find_first_not_of("# "), line.size()))) {
            if (c == ' ') anchor += '-';
            if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-') {
                anchor += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            }
        }
        all.insert(anchor);
    }
    return all;
}

TEST(Tree, DocumentsNameFilesThatExist) {
    const fs::path root(IOLENS_SOURCE_DIR);
    std::vector<fs::path> documents{root / "README.md", root / "CONTRIBUTING.md", root / "bpf" / "lib" / "README.md"};
    for (const auto& entry : fs::recursive_directory_iterator(root / "docs")) {
        if (entry.path().extension() == ".md") documents.push_back(entry.path());
    }
    ASSERT_GT(documents.size(), 10U);
    std::size_t found = 0;
    const std::regex pattern(
        "\\b((?:src|bpf|include|tools|tests|docs|scripts|vmlinux)/[A-Za-z0-9_./-]*[A-Za-z0-9_])(?![A-Za-z0-9_./<*{-])");
    const std::regex link("\\]\\(([^)#]*)#?([^)]*)\\)");
    for (const fs::path& document : documents) {
        const std::string text = test::slurp(document.string());
        for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) {
            EXPECT_TRUE(fs::exists(root / (*at)[1].str())) << document << " names " << (*at)[1];
            ++found;
        }
        for (std::sregex_iterator at(text.begin(), text.end(), link), end; at != end; ++at) {
            const std::string path = (*at)[1];
            const std::string anchor = (*at)[2];
            if (path.find("://") != std::string::npos) continue;
            const fs::path target = path.empty() ? document : document.parent_path() / path;
            EXPECT_TRUE(fs::exists(target)) << document << " links to " << target;
            EXPECT_TRUE(anchor.empty() || headings_of(target).contains(anchor)) << document << " links to #" << anchor;
        }
    }
    EXPECT_GT(found, 50U);
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

/// C or C++ without comments, literals and includes.
std::string code_of(const fs::path& path) {
    const std::string text = test::slurp(path);
    std::string code;
    for (std::size_t at = 0; at < text.size();) {
        const std::string_view rest = std::string_view(text).substr(at);
        std::size_t length = 1;
        if (rest.starts_with("//") || rest.starts_with("#include")) {
            length = rest.find('\n');
        } else if (rest.starts_with("/*")) {
            length = rest.find("*/") + 2;
        } else if (rest.starts_with("R\"(")) {
            length = rest.find(")\"") + 2;
        } else if (rest.front() == '"' ||
                   (rest.front() == '\'' &&
                    (code.empty() || std::isdigit(static_cast<unsigned char>(code.back())) == 0))) {
            while (length < rest.size() && rest[length] != rest.front()) length += rest[length] == '\\' ? 2U : 1U;
            ++length;
        } else {
            code += rest.front();
        }
        at += std::min(length, rest.size());
    }
    return code;
}

/// Identifiers are made of the words that kernel, libbpf and strace use, and not of those that once stood for them.
TEST(Tree, IdentifiersAreMadeOfTheFieldsWords) {
    const std::set<std::string> gone{"told",   "tell",    "tells", "room",  "rooms",  "origin",  "origins", "twin",
                                     "twins",  "near",    "whose", "its",   "folder", "folders", "outlet",  "enrich",
                                     "remark", "remarks", "house", "guest", "least",  "most"};
    const std::set<std::string> of_others{"at_most_one", "expect_at_most", "EXPECT_NEAR"};
    const std::regex identifier("[A-Za-z_][A-Za-z0-9_]*");
    for (const char* directory : {"src", "tools", "include", "bpf", "tests"}) {
        for (const auto& entry : fs::recursive_directory_iterator(fs::path(IOLENS_SOURCE_DIR) / directory)) {
            const std::string extension = entry.path().extension();
            if (extension != ".h" && extension != ".cpp" && extension != ".c") continue;
            const std::string code = code_of(entry.path());
            for (std::sregex_iterator it(code.begin(), code.end(), identifier), end; it != end; ++it) {
                const std::string name = it->str();
                if (of_others.contains(name)) continue;
                for (const std::string& word : test::split(name, '_')) {
                    std::string lower = word;
                    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
                    EXPECT_FALSE(gone.contains(lower)) << entry.path() << ": " << name;
                }
            }
        }
    }
}

TEST(Tree, EveryFileSaysItsLicence) {
    const std::set<std::string> shared_with_the_kernel{"filter.h",      "pidns.h",        "watch.h",
                                                       "bio_end.h",     "block_state.h",  "block_totals.h",
                                                       "compat_call.h", "symbol_query.h", "slots.h"};
    for (const char* directory : {"src", "tools", "include", "bpf", "tests", "vmlinux"}) {
        for (const auto& entry : fs::recursive_directory_iterator(fs::path(IOLENS_SOURCE_DIR) / directory)) {
            const std::string extension = entry.path().extension();
            if (extension != ".h" && extension != ".cpp" && extension != ".c") continue;
            const bool kernel = std::string_view(directory) == "bpf" || std::string_view(directory) == "vmlinux" ||
                                entry.path().string().find("/event/") != std::string::npos ||
                                (std::string_view(directory) == "include" &&
                                 shared_with_the_kernel.contains(entry.path().filename().string()));
            const std::string want = kernel ? "GPL-2.0-only OR BSD-2-Clause" : "Apache-2.0";
            EXPECT_NE(test::slurp(entry.path()).substr(0, 100).find("SPDX-License-Identifier: " + want),
                      std::string::npos)
                << entry.path();
        }
    }
}

}  // namespace
}  // namespace iolens
