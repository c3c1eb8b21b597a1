// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <elf.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "iolens/event/header.h"
#include "run.h"

namespace iolens::test {

/// Makes a file of 200 MiB with the ELF header of a library with many sections, each of which is an unterminated symbol
/// table.
inline void make_hostile_library(const std::string& path) {
    constexpr u32 sections = 60000;
    std::string text(sizeof(Elf64_Ehdr), '\0');
    Elf64_Ehdr head{};
    head.e_type = ET_DYN;
    std::memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_ident[EI_CLASS] = ELFCLASS64;
    head.e_shoff = sizeof head;
    head.e_shentsize = sizeof(Elf64_Shdr);
    head.e_shnum = sections;
    head.e_phoff = sizeof head;
    head.e_phentsize = sizeof(Elf64_Phdr);
    head.e_phnum = 0xffff;
    std::memcpy(text.data(), &head, sizeof head);
    Elf64_Shdr section{};
    section.sh_type = SHT_DYNSYM;
    section.sh_offset = 4 << 20;
    section.sh_size = u64{1} << 60;
    for (u32 i = 0; i < sections; ++i) text.append(reinterpret_cast<const char*>(&section), sizeof section);
    // functions with unterminated names
    text.resize(4 << 20);
    Elf64_Sym symbol{};
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    symbol.st_shndx = 1;
    symbol.st_name = 5 << 20;
    for (int i = 0; i < 1 << 17; ++i) text.append(reinterpret_cast<const char*>(&symbol), sizeof symbol);
    text.resize(12 << 20, 'x');
    spit(path, text);
    std::filesystem::resize_file(path, u64{200} << 20);
}

}  // namespace iolens::test
