# SPDX-License-Identifier: Apache-2.0
# Toolchain file: builds for arm64 on another machine, with Debian's g++-aarch64-linux-gnu. The libraries are found in
# IOLENS_SYSROOT, a folder in which arm64's packages were unpacked (scripts/kernels --arch arm64 makes one).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES IOLENS_SYSROOT)
set(CMAKE_FIND_ROOT_PATH ${IOLENS_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
include_directories(SYSTEM ${IOLENS_SYSROOT}/usr/include)
