# SPDX-License-Identifier: Apache-2.0
# bpf/NAME.bpf.c → NAME.bpf.o → NAME.skel.h. Nothing here depends on the kernel of the machine that builds.

# The newest clang there is. 14 and older crash on bpf_core_type_matches.
set(bpf_clang_names)
foreach(version RANGE 29 15 -1)
  list(APPEND bpf_clang_names clang-${version})
endforeach()
find_program(BPF_CLANG NAMES ${bpf_clang_names} clang REQUIRED)
execute_process(COMMAND ${BPF_CLANG} -dumpversion OUTPUT_VARIABLE bpf_clang_version OUTPUT_STRIP_TRAILING_WHITESPACE)
if(bpf_clang_version VERSION_LESS 15)
  message(FATAL_ERROR "${BPF_CLANG} is version ${bpf_clang_version}: 15 or newer is needed (Debian package clang-19)")
endif()
string(REGEX MATCH "^[0-9]+" bpf_clang_major "${bpf_clang_version}")
find_program(BPF_STRIP NAMES llvm-strip-${bpf_clang_major} llvm-strip REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
message(STATUS "BPF programs are built with ${BPF_CLANG} ${bpf_clang_version}")

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(BPF_ARCH arm64)
else()
  set(BPF_ARCH x86)
endif()

set(BPF_SKELETON_DIR ${CMAKE_BINARY_DIR}/skeleton)
file(MAKE_DIRECTORY ${BPF_SKELETON_DIR})

add_custom_target(bpf_skeletons)

# add_bpf_skeleton(NAME [SOURCE DEFINITION...]): of another source than NAME.bpf.c, with macros.
function(add_bpf_skeleton name)
  set(source ${CMAKE_SOURCE_DIR}/bpf/${name}.bpf.c)
  set(definitions)
  if(ARGC GREATER 1)
    list(POP_FRONT ARGN from)
    set(source ${CMAKE_SOURCE_DIR}/bpf/${from}.bpf.c)
    list(TRANSFORM ARGN PREPEND -D OUTPUT_VARIABLE definitions)
  endif()
  set(object ${BPF_SKELETON_DIR}/${name}.bpf.o)
  set(skeleton ${BPF_SKELETON_DIR}/${name}.skel.h)
  add_custom_command(
    OUTPUT ${skeleton}
    # -g makes the BTF that CO-RE needs; the DWARF beside it is stripped, it would be most of the binary
    COMMAND ${BPF_CLANG} -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_${BPF_ARCH} ${definitions} -Wall -Wextra -Werror
            -I${CMAKE_SOURCE_DIR}/vmlinux/${BPF_ARCH} -I${CMAKE_SOURCE_DIR}/include -I${CMAKE_SOURCE_DIR}/bpf
            -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -MD -MF ${object}.d -MT ${skeleton} -c ${source} -o ${object}
    COMMAND ${BPF_STRIP} -g ${object}
    COMMAND ${BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${skeleton}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "BPF object ${name}"
    VERBATIM)
  add_custom_target(${name}_skeleton DEPENDS ${skeleton})
  add_dependencies(bpf_skeletons ${name}_skeleton)
endfunction()
