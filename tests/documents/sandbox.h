// SPDX-License-Identifier: Apache-2.0
// Where the commands of the documents run: files, a disk, a load, a working directory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "machine.h"

namespace iolens::test {

/// The process has its own mount namespace as long as this object exists: /srv is an ext4 filesystem on a loop device,
/// and /run is empty. $PATH has iolens, and the working directory has the programs and files that the documents name.
/// unshare(2) affects the calling thread only: start other threads afterwards.
class Sandbox {
public:
    Sandbox();
    ~Sandbox();
    Sandbox(const Sandbox&) = delete;
    Sandbox& operator=(const Sandbox&) = delete;

    /// "" or what is missing.
    static std::string missing();

    /// The disk of /srv.
    [[nodiscard]] const LoopDisk& disk() const { return disk_; }
    /// A process whose children read and write /srv/a all the time.
    [[nodiscard]] pid_t load() const { return load_->pid(); }
    /// The name that `iolens file serve` gives to a file.
    [[nodiscard]] std::string node(const std::string& path) const;

private:
    /// A private mount namespace; the destructor returns to the original one.
    class Mounts {
    public:
        Mounts();
        ~Mounts();
        Mounts(const Mounts&) = delete;
        Mounts& operator=(const Mounts&) = delete;

    private:
        Fd original_;
    };

    Scratch scratch_;
    LoopDisk disk_;
    Mounts mounts_;
    std::unique_ptr<Background> load_;
    std::string path_before_;
    std::string directory_before_;
};

}  // namespace iolens::test
