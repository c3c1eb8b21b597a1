// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <new>

#include "app/cli.h"
#include "base/failure.h"
#include "base/text.h"

// The one place where an exception ends.
int main(int argc, char** argv) {
    try {
        return iolens::run_command_line(argc, argv);
    } catch (const iolens::ReaderGone&) {
        return 0;
    } catch (const iolens::Failure& failure) {
        std::fprintf(stderr, "iolens: %s\n", failure.what());
        if (!failure.hint().empty()) std::fprintf(stderr, "hint: %s\n", failure.hint().c_str());
        return static_cast<int>(failure.status());
    } catch (const std::bad_alloc&) {
        std::fputs("iolens: out of memory\nhint: take a smaller --ring-size\n", stderr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "iolens: %s\n", iolens::visible(error.what()).c_str());
    }
    return static_cast<int>(iolens::Exit::failed);
}
