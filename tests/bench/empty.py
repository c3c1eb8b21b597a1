# SPDX-License-Identifier: Apache-2.0
"""Empty BPF programs: the least that tracing can cost."""
import os
import pathlib
import subprocess

LOADER = r"""
#include <bpf/libbpf.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct bpf_object *object = bpf_object__open_file(argv[1], NULL);
	struct bpf_program *program;

	if (!object || bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object)
		if (!bpf_program__attach(program))
			return 1;
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
"""


class EmptyPrograms:
    """One for each of these BTF tracepoints. They are built in `folder`, once, and attached by start()."""

    def __init__(self, folder, *tracepoints):
        self.loader, self.object = os.path.join(folder, "loader"), os.path.join(folder, "empty.o")
        programs = "".join(f'__attribute__((section("tp_btf/{name}"), used)) int empty_{name}(void *ctx) {{ return 0; }}\n'
                           for name in tracepoints)
        pathlib.Path(folder, "empty.c").write_text(
            f'char LICENSE[] __attribute__((section("license"), used)) = "GPL";\n{programs}')
        pathlib.Path(self.loader + ".c").write_text(LOADER)
        subprocess.run(["cc", "-O2", "-o", self.loader, self.loader + ".c", "-lbpf"], check=True)
        subprocess.run(["clang", "-O2", "-g", "-target", "bpf", "-c", "-o", self.object, os.path.join(folder, "empty.c")],
                       check=True)

    def start(self):
        """Returns the process that holds them. Throws RuntimeError."""
        holder = subprocess.Popen([self.loader, self.object], stdout=subprocess.PIPE, text=True)
        if holder.stdout.readline() != "ready\n":
            raise RuntimeError("the empty programs could not be loaded")
        return holder
