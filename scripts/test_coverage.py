# SPDX-License-Identifier: GPL-2.0
"""Tests of coverage.py and of what it is made of."""

import unittest
from pathlib import Path
from types import SimpleNamespace

import coverage
import functions
import line_table
import trace_log
from rust_lexer import Mistake

REPO = Path(__file__).parent.parent

RUST = """\
struct S;

impl<T: Fn() -> u8> Trait for S<T> {
    fn declared();
    /// `fn not_this() {}`
    #[inline]
    fn one(&self) -> bool
    where
        T: Copy,
    {
        let s = "}";
        true
    }
}

macro_rules! make {
    ($name:ident) => {
        fn made() {}
    };
}

fn outer(f: impl FnOnce(&u8)) {
    fn inner() {
        work();
    }
    if bad() {
        return;
    }
    inner();
}

#[kunit_tests(suite)]
mod cases {
    #[test]
    fn case() {
        work();
    }
}
"""

C = """\
// comment
#include <linux/mm.h>

static int table[] = {
\t1,
};

__rust_helper void rust_helper_one(struct page *page)
{
\tput_page(page);
}

static __always_inline
struct folio *two(unsigned long addr,
\t\t  int n)
{
\tif (n) {
\t\treturn NULL;
\t}
\treturn three(addr);
}

int declared(void);
"""


def program(*rows):
    """As pyelftools has it: (address, line, number of the file, begins a statement, end of a sequence)."""
    files = ((b"lib.rs", 1), (b"a.rs", 1), (b"../other.rs", 1))
    states = [
        SimpleNamespace(address=address, line=line, file=file, is_stmt=is_stmt, end_sequence=end)
        for address, line, file, is_stmt, end in rows
    ]
    return SimpleNamespace(
        header=SimpleNamespace(
            include_directory=[b"/build/linux", b"rust/kernel"],
            file_entry=[SimpleNamespace(name=name, dir_index=index) for name, index in files],
        ),
        # What makes no row has no state.
        get_entries=lambda: [SimpleNamespace(state=state) for state in (None, *states)],
    )


ROWS = (
    (0x1000, 22, 1, True, False),
    (0x1004, 26, 2, True, False),
    (0x1008, 26, 1, True, False),
    (0x1008, 27, 1, True, False),
    (0x1010, 0, 1, False, False),
    (0x1014, 29, 1, True, False),
    (0x1020, 29, 1, False, False),
    (0x1028, 29, 1, True, True),
    (0x9000, 7, 2, True, False),
    (0x9004, 7, 2, True, True),
)

LOG = """\
----------------
IN:
0xffffffffa0001000:  f3 0f 1e fa              endbr64
0xffffffffa0001004:  e8 4b 10 fe ff           callq    0xffffffff813635d0

----------------
IN: function
0xffffffff81382576:  c7 87 c0 00 00 00 00 00  movl     $0, 0xc0(%rdi)
0xffffffff8138257e:  00 00
0xffffffff81382580:  c3                       retq
""".splitlines()

CONSOLE = """\
[    1.0] Final section addresses for one:
[    1.0] \t0xffffffffa0001000 0x00000009 .text
[    1.0] \t0xffffffffa0003000 0x00000100 .data
[    2.0] Final section addresses for two:
[    2.0] \t0xffffffffa0000ff0 0x00000020 .text
[    2.0] \t0xffffffffa0000000 0x00000008 .text
[    3.0] Final section addresses for foreign:
[    3.0] \t0xffffffffa0001000 0x00000100 .text
""".splitlines()

CODE = bytes.fromhex("f30f1efae800000000")


def module(name, data, fixed, shift=0):
    section = line_table.Section(b"\x90" * shift + data, {i + shift for i in fixed}, 0x1000_0000)
    return line_table.Module(name, {".text": section}, line_table.LineTable())


def example():
    """A file with two functions of which one is reached in part."""
    file = coverage.File("a.rs", RUST)
    for line, reached in ((7, False), (12, False), (22, True), (26, True), (27, False), (29, True)):
        file.add(line, reached)
    return file


def reason(**keys):
    return coverage.Reason(**{"file": "a.rs", "functions": ["S::one"], "reason": "so", **keys})


class Functions(unittest.TestCase):
    def test_rust(self):
        found = [(f.name, f.first, f.last, f.test) for f in functions.of_rust(RUST)]
        self.assertEqual(
            found,
            [
                ("S::one", 7, 13, False),
                ("make!::made", 18, 18, False),
                ("outer", 22, 30, False),
                ("outer::inner", 23, 25, False),
                ("case", 35, 37, True),
            ],
        )

    def test_behind_what_is_none(self):
        for before in (
            "/* fn f() { /* } */ */",
            "// '\"\n",
            'const A: &str = "\'{";',
            "const A: &[u8] = br#\"\"'\"#;",
            "const A: char = '\"'; const B: u8 = b'\\''; const C: char = '\\u{22}';",
            "struct A<'a>(&'a u8);",
            "trait A<'a> { fn f<'b>(&'b self); }",
            'unsafe extern "C" { fn f(); }',
            "type A = Option<unsafe fn()>;",
        ):
            with self.subTest(before):
                source = before + " impl<'a> T for &'a a::B<u8> { fn f() { '{'; } }"
                self.assertEqual([f.name for f in functions.of_rust(source)], ["B::f"])
        for source in ("fn f() { /* /* */ }", 'fn f() { "\\" }'):
            with self.subTest(source), self.assertRaises(Mistake):
                functions.of_rust(source)

    def test_c(self):
        found = [(f.name, f.first, f.last) for f in functions.of_c(C)]
        self.assertEqual(found, [("rust_helper_one", 8, 11), ("two", 14, 21)])

    def test_innermost(self):
        found = functions.of_rust(RUST)
        self.assertEqual(functions.at_line(found, 24).name, "outer::inner")
        self.assertEqual(functions.at_line(found, 26).name, "outer")
        self.assertIsNone(functions.at_line(found, 1))


class LineTables(unittest.TestCase):
    def setUp(self):
        self.table = line_table.LineTable()
        self.table.add(program(*ROWS), {"/build/linux/rust/kernel/a.rs": "a.rs"}.get)

    def test_rows_of_our_file(self):
        self.assertEqual(
            self.table.rows,
            [
                (0x1000, 0x1004, "a.rs", 22, True),
                (0x1008, 0x1010, "a.rs", 26, True),
                (0x1008, 0x1010, "a.rs", 27, True),
                (0x1014, 0x1020, "a.rs", 29, True),
                (0x1020, 0x1028, "a.rs", 29, False),
            ],
        )

    def test_spans(self):
        self.assertEqual(self.table.spans, [(0x1000, 0x1028)])

    def test_ranges(self):
        self.assertEqual(
            coverage.ranges([(0x9000, 0x9010), (0x1000, 0x1028), (0x1400, 0x1800)]),
            "0x1000..0x17ff,0x9000..0x900f,0xffffffffa0000000..0xfffffffffeffffff",
        )

    def test_measure(self):
        for executed, reached in (
            ([], []),
            ([0x1000, 0x1004], [22]),
            # In the middle of a row, and one that is no statement's begin.
            ([0x100C], [26, 27]),
            ([0x1024], [29]),
            ([0x1010], []),
        ):
            with self.subTest(executed):
                file = coverage.File("a.rs", RUST)
                coverage.measure({"a.rs": file}, self.table, executed)
                self.assertEqual(sorted(file.lines), [22, 26, 27, 29])
                self.assertEqual([line for line in sorted(file.lines) if file.lines[line]], reached)

    def test_files_of_others(self):
        others = program()
        del others.get_entries  # Which takes long: nobody asks.
        table = line_table.LineTable()
        table.add(others, {"/build/linux/rust/kernel/b.rs": "b.rs"}.get)
        self.assertEqual(table, line_table.LineTable())

    def test_relocations(self):
        relocations = [{"r_info_type": 4, "r_offset": 5}, {"r_info_type": 1, "r_offset": 16}]
        self.assertEqual(set(line_table.fixed_by(relocations)), {5, 6, 7, 8, *range(16, 24)})


class Trace(unittest.TestCase):
    def test_blocks(self):
        self.assertEqual(
            list(trace_log.blocks(LOG)),
            [
                [
                    (0xFFFFFFFFA0001000, bytes.fromhex("f30f1efa")),
                    (0xFFFFFFFFA0001004, bytes.fromhex("e84b10feff")),
                ],
                [
                    (0xFFFFFFFF81382576, bytes.fromhex("c787c000000000000000")),
                    (0xFFFFFFFF81382580, b"\xc3"),
                ],
            ],
        )

    def test_loads(self):
        found = trace_log.loads(CONSOLE)
        self.assertIn(trace_log.Load("one", ".text", 0xFFFFFFFFA0001000, 9), found)
        self.assertIn(trace_log.Load("two", ".text", 0xFFFFFFFFA0000000, 8), found)

    def attribute(self, *modules):
        return coverage.attribute(LOG, CONSOLE, {m.name: m for m in modules})

    def test_kernel(self):
        executed, _ = self.attribute()
        self.assertEqual(executed[None], [0xFFFFFFFF81382576, 0xFFFFFFFF81382580])

    def test_module_by_its_bytes(self):
        one = module("one", CODE, range(5, 9))
        for two in (
            module("two", b"\x90" * 9, (), shift=16),
            module("two", b"", (), shift=32),
        ):
            executed, unknown = self.attribute(one, two)
            self.assertEqual(unknown, 0)
            self.assertEqual(executed["one"], [0x1000_0000, 0x1000_0004])
            self.assertNotIn("two", executed)

    def test_module_that_was_there_later(self):
        executed, unknown = self.attribute(
            module("one", b"\x90" * 9, ()), module("two", CODE, range(5, 9), shift=16)
        )
        self.assertEqual((unknown, sorted(k for k in executed if k)), (0, ["two"]))
        self.assertEqual(executed["two"], [0x1000_0010, 0x1000_0014])

    def test_bytes_that_the_loader_has_not_changed_must_be_alike(self):
        executed, unknown = self.attribute(module("one", b"\x90" * 9, ()))
        self.assertEqual((list(executed), unknown), ([None], 1))


# The functions of the example that have no code.
NO_CODE = {"functions": ["make!::made", "outer::inner"]}


class Reasons(unittest.TestCase):
    def test_runs(self):
        runs = [(r.function, r.first, r.last, r.code) for r in example().runs()]
        self.assertEqual(
            runs,
            [
                ("S::one", 7, 12, True),
                ("make!::made", 18, 18, False),
                ("outer::inner", 23, 25, False),
                ("outer", 27, 27, True),
            ],
        )

    def explain(self, *reasons):
        file = example()
        stale = coverage.explain({"a.rs": file}, reasons)
        return sorted(file.explained), [(r.functions, what) for r, what in stale]

    def test_functions_and_lines(self):
        self.assertEqual(
            self.explain(
                reason(), reason(functions=["outer"], at=["return;"]), reason(**NO_CODE)
            ),
            ([7, 18, 23, 27], []),
        )

    def test_a_line_chooses_among_functions_without_code(self):
        self.assertEqual(self.explain(reason(functions=["outer::inner"], at=["work();"])), ([23], []))

    def test_stale(self):
        for wrong, what in (
            (reason(functions=["outer"]), ["outer"]),  # reached in part
            (reason(functions=["S::one", "gone"]), ["gone"]),
            (reason(file="gone.rs"), ["S::one"]),
            (reason(functions=["outer"], at=["inner();"]), ["inner();"]),  # reached
            (reason(at=["true", "false"]), ["false"]),
        ):
            with self.subTest(str(wrong)):
                _, stale = self.explain(wrong)
                self.assertEqual(stale, [(wrong.functions, what)])
                wrong.sometimes = True
                self.assertEqual(self.explain(wrong)[1], [])

    def test_only_lines_of_functions_count(self):
        file = example()
        for line in (1, 36):  # what derive makes, and a KUnit case
            file.add(line, False)
            self.assertNotIn(line, file.lines)

    def test_verdict(self):
        def verdict(*reasons, unknown=0, more=24):
            more_lines = coverage.File("b.rs", "fn f() {\n" + "x();\n" * more + "}\n")
            for line in range(2, 2 + more):
                more_lines.add(line, True)
            files, out = {"a.rs": example(), "b.rs": more_lines}, []
            stale = coverage.explain(files, reasons)
            good = coverage.show(files, stale, unknown, {}, out.append)
            return good, "\n".join(out)

        all_of_them = (reason(), reason(functions=["outer"], at=["return;"]), reason(**NO_CODE))
        self.assertTrue(verdict(*all_of_them)[0])  # 27 of 30
        self.assertFalse(verdict(*all_of_them, more=23)[0])
        self.assertFalse(verdict(*all_of_them[:2])[0])
        self.assertFalse(verdict(*all_of_them, reason(functions=["gone"]))[0])
        self.assertFalse(verdict(*all_of_them, unknown=1)[0])
        good, text = verdict(all_of_them[0], all_of_them[2])
        self.assertFalse(good)
        self.assertIn("coverage: 27 of 30 lines, 90.0 %", text)
        self.assertIn("a.rs:27 outer: NO REASON", text)

    def test_nothing_measured_is_no_success(self):
        self.assertFalse(coverage.show({}, [], 0, {}, lambda _: None))

    def test_lcov(self):
        text = "\n".join(coverage.lcov({"a.rs": example()}, "/tree"))
        for line in ("SF:/tree/a.rs", "FN:7,13,S::one", "FNDA:0,S::one", "FNDA:1,outer",
                     "DA:12,0", "DA:29,1", "LF:6", "LH:3", "end_of_record"):
            self.assertIn(line, text.splitlines())


class List(unittest.TestCase):
    def test_mistakes(self):
        good = '[[unreached]]\nfile = "a"\nfunction = "f"\nreason = "r"\n'
        coverage.parse_list(good)
        for text in ("x", good + good, good + "more = 1", good.replace("reason", "at"), "[other]",
                     '[[unreached]]\nfile = "a"\nfunction = "f"'):
            with self.subTest(text), self.assertRaises(coverage.Mistake):
                coverage.parse_list(text)

    def test_ours_names_what_is_there(self):
        not_measured, reasons = coverage.parse_list((REPO / coverage.LIST).read_text(encoding="utf-8"))
        for name in not_measured:
            self.assertTrue((REPO / name).exists(), name)
        texts = coverage.sources(REPO, "7.3", not_measured)
        self.assertIn("rust/kernel/mm/desc.rs", texts)
        self.assertNotIn("tools/testing/selftests/rust_mm/control.c", texts)
        self.assertNotIn("rust/kernel/mm/tests.rs", texts)
        for entry in reasons:
            with self.subTest(str(entry)):
                source = texts[entry.file].splitlines()
                found = functions.of_file(entry.file, texts[entry.file])
                found = [f for f in found if f.name in entry.functions]
                self.assertEqual({f.name for f in found}, set(entry.functions))
                lines = {line.strip() for f in found for line in source[f.first - 1 : f.last]}
                self.assertLessEqual(set(entry.at), lines)


if __name__ == "__main__":
    unittest.main()
