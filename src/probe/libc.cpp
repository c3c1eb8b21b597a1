// SPDX-License-Identifier: Apache-2.0
#include "probe/libc.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <span>

#include "base/signals.h"
#include "iolens/event/operation.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

struct Watched {
    std::string_view name;
    u8 operation;
};
constexpr std::array watched{
#define IOLENS_NAME(name, operation, place, result) Watched{#name, IOLENS_OPERATION_##operation},
    IOLENS_LIBC_FUNCTIONS(IOLENS_NAME)
#undef IOLENS_NAME
};

/// Names that compilers and headers give to a function.
constexpr std::array<std::pair<std::string_view, std::string_view>, 13> other_names{{
    {"fopen64", "fopen"},
    {"__isoc99_fscanf", "fscanf"},
    {"__isoc23_fscanf", "fscanf"},
    {"__isoc99_vfscanf", "vfscanf"},
    {"__isoc23_vfscanf", "vfscanf"},
    {"__fprintf_chk", "fprintf"},
    {"__vfprintf_chk", "vfprintf"},
    {"fread_unlocked", "fread"},
    {"fwrite_unlocked", "fwrite"},
    {"fflush_unlocked", "fflush"},
    {"readdir64", "readdir"},
    {"readdir64_r", "readdir_r"},
    {"scandir64", "scandir"},
}};

/// Opens a regular file for reading. Returns an empty Fd for any other type, which is not opened: open() could block or
/// act on a device.
Fd open_regular(const std::string& path) {
    const Fd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
    struct stat info{};
    if (!place || ::fstat(place.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
    const std::string same = "/proc/self/fd/" + std::to_string(place.get());
    return Fd(::open(same.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

/// The beginning of a file; "" if the run is ending.
std::string read_file(const Fd& file, std::size_t max) {
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0) return {};
    std::string text(std::min(static_cast<std::size_t>(info.st_size), max), '\0');
    std::size_t done = 0;
    while (done < text.size()) {
        constexpr std::size_t piece = 1 << 20;
        const ssize_t n = ::read(file.get(), text.data() + done, std::min(piece, text.size() - done));
        if (end_asked()) return {};
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += static_cast<std::size_t>(n);
    }
    text.resize(done);
    return text;
}

// Limits on the work that an untrusted file can cause. glibc has some 3000 symbols, 15 segments and 70 sections.
constexpr std::size_t max_text = 4096;
constexpr u64 max_segments = 64;
constexpr u64 max_sections = 1024;
constexpr u64 max_symbols = 1 << 16;
constexpr std::size_t max_places = 4 * watched.size();

/// Reads a struct at any offset of a file; nothing if the file is too short.
template <typename Struct>
std::optional<Struct> at(std::string_view file, u64 offset) {
    Struct s;
    if (offset > file.size() || file.size() - offset < sizeof s) return {};
    std::memcpy(&s, file.data() + offset, sizeof s);
    return s;
}

std::string_view text_at(std::string_view file, u64 offset) {
    if (offset >= file.size()) return {};
    const std::string_view rest = file.substr(offset, max_text);
    const std::size_t end = rest.find('\0');
    return end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
}

std::optional<Elf64_Ehdr> elf_header(std::string_view file) {
    const auto head = at<Elf64_Ehdr>(file, 0);
    if (!head || std::memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_ident[EI_CLASS] != ELFCLASS64) return {};
    return head;
}

/// The text of PT_INTERP; "" if there is none.
std::string_view interpreter_of(std::string_view file, const Elf64_Ehdr& head) {
    for (u64 i = 0; i < std::min<u64>(head.e_phnum, max_segments); ++i) {
        const auto segment = at<Elf64_Phdr>(file, head.e_phoff + i * head.e_phentsize);
        if (segment && segment->p_type == PT_INTERP) return text_at(file, segment->p_offset);
    }
    return {};
}

/// The file offset of the byte at an address.
std::optional<u64> offset_of(std::string_view file, const Elf64_Ehdr& head, u64 address) {
    for (u64 i = 0; i < std::min<u64>(head.e_phnum, max_segments); ++i) {
        const auto segment = at<Elf64_Phdr>(file, head.e_phoff + i * head.e_phentsize);
        if (!segment || segment->p_type != PT_LOAD || address < segment->p_vaddr) continue;
        if (address - segment->p_vaddr < segment->p_filesz) return address - segment->p_vaddr + segment->p_offset;
    }
    return {};
}

#if defined(__aarch64__)
constexpr std::string_view multiarch = "/lib/aarch64-linux-gnu";
#else
constexpr std::string_view multiarch = "/lib/x86_64-linux-gnu";
#endif
constexpr std::size_t headers = 1 << 20;  // bytes; the kernel needs only the first page of a program
constexpr std::size_t max_library = 64 << 20;
constexpr std::string_view is_static = "is statically linked, without a C library to trace";
constexpr std::string_view is_musl = "uses musl, which is not supported";
constexpr std::string_view is_unreadable = "has a C library that can't be read or is not a regular file";
constexpr std::string_view is_none = "has no known C library";

}  // namespace

Libc libc_of_process(u32 pid) {
    const std::string place = "/proc/" + std::to_string(pid);
    std::ifstream maps(place + "/maps");
    bool loaded = false;
    for (std::string line; !end_asked() && std::getline(maps, line);) {
        const std::size_t slash = line.find('/');
        if (slash == std::string::npos) continue;
        const std::string path = line.substr(slash);
        const std::string name = path.substr(path.rfind('/') + 1);
        if (name.starts_with("ld-musl") || name.starts_with("libc.musl")) return {{}, std::string(is_musl)};
        loaded = loaded || name.starts_with("ld-linux") || name.starts_with("ld-2");
        const bool glibc = name == "libc.so.6" || (name.starts_with("libc-2.") && name.ends_with(".so"));
        if (!glibc) continue;
        // via its own root, so that a container's file is found; if it was replaced since, the mapping itself
        const std::string inside = fmt::format("{}/root{}", place, path);
        const std::string mapping = fmt::format("{}/map_files/{}", place, line.substr(0, line.find(' ')));
        for (const std::string& file : {inside, mapping}) {
            if (open_regular(file)) return {file, {}};
        }
        return {{}, std::string(is_unreadable)};
    }
    return {{}, std::string(loaded ? is_none : is_static)};
}

Libc libc_of_program(const std::string& path) {
    std::string name = path;
    for (int depth = 0; depth < 5; ++depth) {  // an interpreter may be a script: depth limit of exec_binprm()
        const std::string file = read_file(open_regular(name), headers);
        if (file.starts_with("#!")) {
            const std::size_t from = file.find_first_not_of(" \t", 2);
            const std::size_t to = file.find_first_of(" \t\n", from);
            if (from == std::string::npos || to == std::string::npos) break;
            name = file.substr(from, to - from);
            // '#!/usr/bin/env NAME' runs env and then another program, which likely has the same library
            continue;
        }
        const auto head = elf_header(file);
        if (!head) break;
        const std::string interpreter(interpreter_of(file, *head));
        if (interpreter.empty()) return {{}, std::string(is_static)};
        if (interpreter.find("musl") != std::string::npos) return {{}, std::string(is_musl)};
        // glibc's loader and library are installed side by side; otherwise try the loader's default directories
        std::error_code error;
        for (const fs::path& place :
             {fs::canonical(interpreter, error).parent_path(), fs::path(multiarch), fs::path("/lib64"),
              fs::path("/usr/lib64"), fs::path("/lib"), fs::path("/usr/lib")}) {
            if (fs::exists(place / "libc.so.6", error)) return {place / "libc.so.6", {}};
        }
        break;
    }
    return {{}, std::string(is_none)};
}

std::vector<LibcFunction> find_functions(const std::string& path, u64 operations) {
    const auto opened = std::make_shared<const Fd>(open_regular(path));
    const std::string file = read_file(*opened, max_library);
    const auto head = elf_header(file);
    if (!head) return {};
    std::map<u64, std::string_view> places;
    const u64 sections = std::min<u64>(head->e_shnum, max_sections);
    for (u64 i = 0; i < sections; ++i) {
        const auto section = at<Elf64_Shdr>(file, head->e_shoff + i * head->e_shentsize);
        if (!section || section->sh_type != SHT_DYNSYM) continue;
        const auto strings = at<Elf64_Shdr>(file, head->e_shoff + u64{section->sh_link} * head->e_shentsize);
        if (!strings) continue;
        const u64 symbols = std::min<u64>(section->sh_size / sizeof(Elf64_Sym), max_symbols);
        for (u64 n = 0; n < symbols && places.size() < max_places && !end_asked(); ++n) {
            const auto symbol = at<Elf64_Sym>(file, section->sh_offset + n * sizeof(Elf64_Sym));
            if (!symbol) break;
            if (symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC) continue;
            std::string_view name = text_at(file, strings->sh_offset + symbol->st_name);
            const auto* other =
                std::ranges::find(other_names, name, &std::pair<std::string_view, std::string_view>::first);
            if (other != other_names.end()) name = other->second;
            const auto* known = std::ranges::find(watched, name, &Watched::name);
            if (known == watched.end() || (operations >> known->operation & 1) == 0) continue;
            if (const auto offset = offset_of(file, *head, symbol->st_value)) places.emplace(*offset, known->name);
        }
        break;  // an object has only one
    }
    std::vector<LibcFunction> items;
    for (const auto& [offset, name] : places) {
        const auto* known = std::ranges::find(watched, name, &Watched::name);
        items.push_back({path, offset, name, static_cast<u64>(known - watched.begin()), opened});
    }
    return items;
}

}  // namespace iolens
