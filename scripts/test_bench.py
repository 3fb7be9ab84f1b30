# SPDX-License-Identifier: GPL-2.0
import contextlib
import io
import re
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import bench
import bench_page
import figures

FIGURES = """\
boot\r
rust_mmap / c_mmap\tmmap, 1 page\t4000\t4400\r
rust_mmap / c_mmap\tmunmap, 1 page\t5000\t5000
rust_mmap_plain / c_plain\tread\t2000\t1500.5
rust_mmap_plain / c_plain, two processors\tfaults/s, 2 threads\t100\t300\t2.5..3.5
"""
SIZES = """\
   text\t   data\t    bss\t    dec\t    hex\tfilename
   4000\t   1000\t      0\t   5000\t   1388\tsamples/rust/mm/rust_mmap.ko
   1600\t   1000\t      0\t   2600\t    a28\tsamples/rust/mm/bench/c_mmap.ko
   1600\t   1000\t      0\t   2600\t    a28\tsamples/rust/mm/bench/c_plain.ko
"""
RECORDED = """\
pair,row,c,rust,ratio,tolerance,spread
rust_mmap / c_mmap,"mmap, 1 page",4000,4200,1.05,,
rust_mmap / c_mmap,"munmap, 1 page",5000,5000,1.0,0.2,
"rust_mmap_plain / c_plain, two processors","faults/s, 2 threads",100,100,1.0,,0.9..1.2
"rust_mmap_plain / c_plain, two processors","faults/s under the VMA lock, %",0,100,,,
"""


class Tables(unittest.TestCase):
    def setUp(self):
        self.pairs = bench.read(FIGURES)

    def test_read(self):
        self.assertEqual(len(self.pairs), 3)
        self.assertEqual(self.pairs["rust_mmap / c_mmap"]["mmap, 1 page"], (4000, 4400))
        self.assertEqual(bench.read("no\tfigure\n"), {})
        pair = "rust_mmap_plain / c_plain, two processors"
        self.assertEqual(bench.read_spreads(FIGURES), {(pair, "faults/s, 2 threads"): "2.5..3.5"})

    def test_sizes(self):
        self.assertEqual(bench.read_sizes(SIZES), {"rust_mmap, text": (1600, 4000)})

    def test_layer(self):
        lines = [
            "   1000\t      0\t      0\t   1000\t    3e8\tmm/rust_vma.o",
            "    500\t      0\t      0\t    500\t    1f4\tmm/rust_testing.o",
            "0000000000000010 00000000000000a0 t kernel::mm::desc::action::set_remap",
            "00000000000000b0 0000000000000040 T <kernel::mm::iter::locked::LockedWalk>::not_locked",
            "00000000000000f0 0000000000000010 T <kernel::task::Task>::pid",
            "0000000000000100 0000000000000008 W <kernel::alloc::kvec::Vec<kernel::mm::Folio>>::push",
            "0000000000000100 0000000000000099 t kernel::mm::tests::iter::walk",
            "0000000000000110 0000000000000020 d kernel::mm::revoke::populated::TABLE",
            "0000000000000000 0000000000000012 T rust_helper_file_is_opened",
            "                 U memcpy",
        ]
        layer = bench.read_layer(SIZES + "\n".join(lines), bench.REPO)
        self.assertEqual(
            layer,
            {
                "mm/rust_vma.c": 1000,
                "rust/kernel/mm/desc/action.rs": 0xA0,
                "rust/kernel/mm/iter/locked.rs": 0x40,
                "rust/helpers/file.c": 0x12,
            },
        )
        table = list(bench.layer_table(layer))
        self.assertEqual(table[0].split()[-1], str(1000 + 0xA0 + 0x40 + 0x12))
        self.assertEqual(table[1].split(), ["mm/rust_vma.c", "1000"])
        self.assertEqual(list(bench.layer_table({})), [])

    def test_ratios_of_instructions(self):
        self.pairs[bench.SIZES] = bench.read_sizes(SIZES)
        self.assertEqual(bench.instructions(self.pairs), [1.1, 1, 0.75025])

    def test_table(self):
        lines = list(bench.tables(self.pairs, {("rust_mmap / c_mmap", "mmap, 1 page"): 1.05}))
        self.assertEqual(lines[0].split()[-4:], ["C", "Rust", "ratio", "since"])
        self.assertEqual(lines[1].split()[-5:], ["4000", "4400", "1.100", "+4.8", "%"])
        self.assertEqual(lines[2].split()[-3:], ["5000", "5000", "1.000"])
        self.assertEqual(lines[3].split(), ["geometric", "mean", "1.049"])
        # Without a mean of rates.
        self.assertIn("faults/s", lines[-3])
        self.assertIn("of all 3 rows of instructions: 0.938; 1 above 1", lines[-1])

    def test_sizes_of_one_operation(self):
        text = "".join(
            f"r / c\t{row}\t{c}\t{rust}\n"
            for row, c, rust in (
                ("mmap, 1 page", 10, 20), ("mmap, 16 pages", 160, 480), ("mmap, 256 pages", 256, 512),
                ("fault-around, per page of 16", 9, 8), ("a VMA, of 10", 7, 6),
                ("read, 1 bytes", 2, 4), ("read, 2 bytes", 2, 4), ("read, 4 bytes", 2, 4),
                ("revoke, per mapping of 1", 9, 8), ("revoke, per mapping of 2", 7, 6),
                ("revoke, per mapping of 4", 5, 4),
            )
        )
        self.assertEqual(
            bench.sizes(bench.read(text)),
            {
                "mmap (r / c)": {1: (10, 20), 16: (10, 30), 256: (1, 2)},
                "read (r / c)": {1: (2, 4), 2: (1, 2), 4: (0.5, 1)},
                "revoke (r / c)": {1: (9, 8), 2: (7, 6), 4: (5, 4)},
            },
        )

    def test_block(self):
        self.assertEqual(
            bench.block("mmap (r / c)", {16: (1, 2), 1: (3, 4)}),
            'size "mmap, C" "mmap, Rust"\n1 3.0 4.0\n16 1.0 2.0\n',
        )

    def test_worse(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "recorded.csv")
            self.assertEqual(bench.read_recorded(path), ({}, {}))
            path.write_text(RECORDED, encoding="utf-8")
            recorded, tolerances = bench.read_recorded(path)
        munmap = "rust_mmap / c_mmap", "munmap, 1 page"
        self.assertEqual(tolerances, {munmap: 0.2})
        # Not the rate, of which more is better.
        self.assertEqual(
            list(bench.worse(self.pairs, recorded, tolerances)),
            ["rust_mmap / c_mmap: mmap, 1 page: 1.100, recorded 1.050"],
        )
        recorded["rust_mmap / c_mmap", "mmap, 1 page"] = 1.07
        recorded[munmap] = 0.9
        self.assertEqual(list(bench.worse(self.pairs, recorded, tolerances)), [])
        recorded[munmap] = 0.8
        self.assertEqual(len(list(bench.worse(self.pairs, recorded, tolerances))), 1)

    def test_tolerance(self):
        allowed = {r"a / b: waits, .*": 0.1}
        with unittest.mock.patch.object(bench, "TOLERANCES", allowed):
            self.assertEqual(bench.tolerance("a / b", "waits, 1 page"), 0.1)
            self.assertIsNone(bench.tolerance("a / b", "mmap, 1 page"))

    def test_change(self):
        self.assertEqual(figures.change(1.1, 1.0), "+10.0 %")
        self.assertEqual(figures.change(0.9, 1.0), "-10.0 %")
        self.assertEqual(figures.change(1.0004, 1.0), "")
        self.assertEqual(figures.change(1.0, None), "")


class Files(unittest.TestCase):
    def run_it(self, *options, text=FIGURES):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "figures").write_text(text, encoding="utf-8")
            (folder / "sizes").write_text(SIZES, encoding="utf-8")
            (folder / "recorded.csv").write_text(RECORDED, encoding="utf-8")
            paths = [str(folder / path) for path in ("figures", "sizes", "recorded.csv", "out")]
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
                status = bench.main([*options, *paths])
            files = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("out.*")}
        return status, out.getvalue(), files

    def test_files(self):
        status, _, files = self.run_it()
        self.assertEqual(status, 0)
        lines = files["out.csv"].splitlines()
        self.assertEqual(lines[0], "pair,row,c,rust,ratio,tolerance,spread")
        self.assertEqual(lines[1], 'rust_mmap / c_mmap,"mmap, 1 page",4000,4400,1.1000,,')
        self.assertTrue(lines[4].endswith('"faults/s, 2 threads",100,300,3.0000,,2.5..3.5'))
        self.assertEqual(lines[-1], 'bytes of a module,"rust_mmap, text",1600,4000,2.5000,,')
        drawn = files["out.dat"].splitlines()
        self.assertEqual(drawn[:2], ['1 1 "== rust_mmap / c_mmap"', '2 1.1000 "mmap, 1 page"'])
        self.assertNotIn("faults/s", files["out.dat"])

    def test_check(self):
        status, out, _ = self.run_it("--check")
        self.assertEqual(status, 1)
        self.assertIn("1 rows are above the recorded run by more than 3 %", out)
        better = FIGURES.replace("4400", "4200")
        self.assertEqual(self.run_it("--check", text=better)[0], 0)

    def test_no_figures(self):
        status, out, _ = self.run_it(text="nothing\n")
        self.assertEqual((status, "no figures" in out), (1, True))


class Page(unittest.TestCase):
    def setUp(self):
        self.page = f"Page\n====\n\n{bench_page.BEGIN}\n\nold\n\n{bench_page.END}\n\nmore\n"

    def write(self, inlined):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = [folder / path for path in ("page.rst", "plain.csv", "inlined.csv")]
            paths[0].write_text(self.page, encoding="utf-8")
            paths[1].write_text(RECORDED, encoding="utf-8")
            if inlined:
                paths[2].write_text(inlined, encoding="utf-8")
            bench_page.main(map(str, paths))
            return paths[0].read_text(encoding="utf-8")

    def test_page(self):
        text = self.write(RECORDED.replace("1.05", "1.01").replace('"munmap, 1 page"', "other"))
        self.assertNotIn("old", text)
        self.assertTrue(text.startswith(self.page[:30]) and text.endswith("\n\nmore\n"))
        lines = [line.split() for line in text.splitlines()]
        self.assertIn(["Row", "C", "Rust", "Ratio", "Inlined"], lines)
        self.assertIn("mmap, 1 page 4000 4200 1.050 1.010".split(), lines)
        self.assertIn("munmap, 1 page 5000 5000 1.000 -".split(), lines)
        self.assertIn(["*geometric", "mean*", "\\", "\\", "1.025", "1.005"], lines)
        # A rate has no mean, and one of nothing no ratio.
        self.assertIn("faults/s under the VMA lock, % 0 100 - -".split(), lines)
        self.assertEqual(text.count("mean"), 1)
        self.assertIn("``rust_mmap_plain / c_plain``, two processors\n------", text)

    def test_without_inlined(self):
        self.assertIn("mmap, 1 page 4000 4200 1.050".split(), [
            line.split() for line in self.write("").splitlines()
        ])

    def test_no_comments(self):
        with self.assertRaisesRegex(ValueError, "END|The end"):
            bench_page.replace(bench_page.BEGIN, [])

    def test_up_to_date(self):
        """The page has what is recorded."""
        repo = Path(__file__).parent.parent
        text = (repo / "Documentation/mm/rust-mmap/cost.rst").read_text(encoding="utf-8")
        recorded = [repo / f"bench/recorded/7.3-fast{which}.csv" for which in ("", "-inline")]
        inlined = bench_page.read(recorded[1]) if recorded[1].exists() else {}
        lines = list(bench_page.tables(bench_page.read(recorded[0]), inlined))
        self.assertEqual(bench_page.replace(text, lines), text)


class Twins(unittest.TestCase):
    def test_sources(self):
        """Each twin and each sample that it is compared with exists, and the guest loads both."""
        repo = Path(__file__).parent.parent
        guest = (repo / "scripts/guest/bench.sh").read_text(encoding="utf-8")
        for rust, c in bench.TWINS.items():
            self.assertTrue((repo / f"samples/rust/mm/{rust}.rs").exists())
            self.assertTrue((repo / f"bench/samples/rust/mm/bench/{c}.c").exists())
            self.assertRegex(guest, rf"\b{rust}\b")
            self.assertRegex(guest, rf"\bbench/{c}\b")

    def test_operations(self):
        """The operations have the same order in the interface and in both drivers."""
        folder = Path(__file__).parent.parent / "bench/samples/rust/mm/bench"
        read = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
        names = re.findall(r"^\tLAYER_(\w+),$", read["layer.h"], re.MULTILINE)
        in_c = re.findall(r"^\t\[LAYER_(\w+)\] = \w+,$", read["c_layer.c"], re.MULTILINE)
        rust = re.search(r"OPERATIONS: \[Operation; (\d+)\] = \[(.*?)\];", read["rust_layer.rs"], re.S)
        functions = [line.strip(" ,").upper() for line in rust[2].strip().splitlines()]
        self.assertEqual(in_c, names)
        self.assertEqual((int(rust[1]), len(functions)), (len(names), len(names)))
        for name, function in zip(names, functions):
            if not function.startswith("HOLD"):
                self.assertEqual(function, name)


if __name__ == "__main__":
    unittest.main()
