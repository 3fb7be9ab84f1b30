# SPDX-License-Identifier: GPL-2.0
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import analyzer


class Folders(unittest.TestCase):
    """A repository, and a tree in which a module of upstream's has children of both."""

    FILES = {
        "tree/rust/kernel/lib.rs": "pub mod mm;\npub mod io;\n#[cfg(all())]\npub mod bits;\n",
        "tree/rust/kernel/mm.rs": "//! Text.\npub mod ours;\nmod theirs;\nmod deep;\nmod folder;\n",
        "tree/rust/kernel/mm/ours.rs": "compile_error!();",
        "tree/rust/kernel/mm/theirs.rs": "pub use super::ours::inner::X;",
        "tree/rust/kernel/mm/deep.rs": "mod child;\n",
        "tree/rust/kernel/mm/deep/child.rs": "mod grandchild;",
        "tree/rust/kernel/mm/deep/child/grandchild.rs": "",
        "tree/rust/kernel/mm/folder/mod.rs": "mod child;",
        "tree/rust/kernel/mm/folder/child.rs": "",
        "tree/rust/kernel/io.rs": "pub mod port;\n",
        "tree/rust/kernel/io/port.rs": "",
        "tree/rust/kernel/bits/mod.rs": "mod child;",
        "tree/rust/kernel/bits/child.rs": "",
        "repo/rust/kernel/mm/ours.rs": "pub mod inner;",
        "repo/rust/kernel/mm/ours/inner.rs": "pub struct X;",
        "repo/samples/rust/mm/rust_mmap.rs": "",
        "driver/Kbuild": "obj-m := mine.o\n",
        "driver/mine.rs": "",
        "driver/other.rs": "",
    }

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name).resolve()
        for name, text in self.FILES.items():
            path = self.top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.repo, self.tree, self.out = (self.top / n for n in ("repo", "tree", "out/x"))
        self.out.mkdir(parents=True)

    @unittest.skipUnless(shutil.which("rustc"), "no rustc")
    def test_compiler_finds_all_modules(self):
        root = self.out / "lib.rs"
        root.write_text(analyzer.source(self.repo, self.tree, self.out))
        subprocess.run(
            ["rustc", "--crate-type=lib", "--emit=dep-info,metadata", "--edition=2021", "-Awarnings",
             "--out-dir", self.out, root],
            check=True,
        )
        rule = (self.out / "lib.d").read_text().splitlines()[0].split(": ")[1]
        used = {os.path.relpath(os.path.realpath(file), self.top) for file in rule.split()}
        modules = {n for n in self.FILES if "rust/kernel/" in n and n != "tree/rust/kernel/mm/ours.rs"}
        # Those that are in place.
        modules -= {f"tree/rust/kernel/{n}.rs" for n in ("lib", "mm", "io", "mm/deep")}
        self.assertEqual(used, modules | {"out/x/lib.rs"})

    def project(self, root):
        generated = {
            "sysroot": "/usr",
            "crates": [
                {"display_name": "core", "root_module": "/usr/lib/core/lib.rs"},
                {"display_name": "kernel", "root_module": "/build/linux/rust/kernel/lib.rs",
                 "source": {"include_dirs": ["/build/linux/rust"], "exclude_dirs": []}},
                {"display_name": "rust_mmap",
                 "root_module": "/build/linux/samples/rust/mm/rust_mmap.rs"},
                {"display_name": "rust_minimal",
                 "root_module": "/build/linux/samples/rust/rust_minimal.rs"},
            ],
        }
        return analyzer.project(generated, self.repo, self.tree, Path(root), self.out)

    def test_paths(self):
        result = self.project("/root-fs")
        self.assertEqual(result["sysroot"], "/root-fs/usr")
        self.assertEqual(
            [crate["root_module"] for crate in result["crates"]],
            ["/root-fs/usr/lib/core/lib.rs", f"{self.out}/lib.rs",
             f"{self.repo}/samples/rust/mm/rust_mmap.rs", f"{self.tree}/samples/rust/rust_minimal.rs"],
        )
        self.assertEqual(
            result["crates"][1]["source"]["include_dirs"],
            [f"{self.tree}/rust", str(self.out), f"{self.repo}/rust"],
        )

    def test_driver(self):
        result = self.project("/root-fs")
        analyzer.add_driver(result, self.top / "driver")
        self.assertEqual(
            [c["root_module"] for c in result["crates"][4:]], [f"{self.top}/driver/mine.rs"]
        )


if __name__ == "__main__":
    unittest.main()
