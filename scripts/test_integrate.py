# SPDX-License-Identifier: GPL-2.0
import contextlib
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import integrate

MM = "mod a;\npub mod virt;\nmod z;\n"
TWO = "impl A {\n    fn f() {\n    }\n}\nimpl B {\n    fn f() {\n    }\n}\n"
MAKEFILE = "# SPDX\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n"

INSERT = '[[insert]]\nfile = "rust/kernel/mm.rs"\nafter = "pub mod virt;"\ntext = "pub mod description;"\n'


class Base(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.repo = Path(folder.name, "our repo")
        self.tree = Path(folder.name, "tree")
        self.put(self.tree, "Makefile", MAKEFILE)
        self.put(self.tree, "rust/kernel/mm.rs", MM)
        self.put(self.tree, "two.rs", TWO)
        self.put(self.repo, "rust/kernel/mm/description.rs", "// ours\n")
        self.put(self.repo, "integration.toml", INSERT)
        self.upstream = self.state()

    def put(self, base, path, text):
        target = base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def toml(self, text):
        self.put(self.repo, "integration.toml", text)

    def text(self, path):
        return (self.tree / path).read_text()

    def state(self):
        """Every file and folder of the tree with its content."""
        return {
            str(path.relative_to(self.tree)): path.read_bytes() if path.is_file() else None
            for path in self.tree.rglob("*")
        }

    def run_quiet(self, function, *args):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            function(*args)
        return out.getvalue()

    def integrate(self):
        return self.run_quiet(integrate.integrate, self.repo, self.tree)

    def remove(self):
        return self.run_quiet(integrate.remove, self.tree)

    def refuses(self, *words):
        """Integration fails, names what is wrong, and writes nothing."""
        before = self.state()
        with self.assertRaises(integrate.Error) as caught:
            self.integrate()
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertEqual(self.state(), before)


class Insertions(Base):
    def test_after(self):
        self.integrate()
        self.assertEqual(
            self.text("rust/kernel/mm.rs"),
            "mod a;\npub mod virt;\npub mod description;\nmod z;\n",
        )

    def test_before(self):
        self.toml(INSERT.replace("after", "before"))
        self.integrate()
        self.assertEqual(
            self.text("rust/kernel/mm.rs"),
            "mod a;\npub mod description;\npub mod virt;\nmod z;\n",
        )

    def test_replace(self):
        self.toml(INSERT.replace("after", "replace"))
        self.integrate()
        self.assertEqual(
            self.text("rust/kernel/mm.rs"), "mod a;\npub mod description;\nmod z;\n"
        )
        self.integrate()
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_replace_within(self):
        entry = '[[insert]]\nfile = "two.rs"\nwithin = "impl %s {"\nreplace = "    fn f() {"\n'
        self.toml(entry % "B" + 'text = "    fn g() {"\n')
        self.integrate()
        self.assertEqual(self.text("two.rs"), TWO.replace("B {\n    fn f", "B {\n    fn g"))
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_replace_what_is_not_there(self):
        self.toml(INSERT.replace("after", "replace").replace("virt;", "gone;"))
        self.refuses("pub mod gone;", "not there")

    def test_replaced_line_edited(self):
        self.toml(INSERT.replace("after", "replace").replace("pub mod desc", "pub mod d;\\npub mod desc"))
        self.integrate()
        self.put(self.tree, "rust/kernel/mm.rs", "mod a;\npub mod description;\nmod z;\n")
        self.refuses("were edited")

    # Upstream's file with a block, the block, and what is declared to take it out.
    BLOCK = "    /// One.\n    fn one() {\n        1\n    }\n\n"
    BLOCKS = "impl A {\n    fn f() {\n    }\n\n" + BLOCK + "    fn z() {\n    }\n}\n"
    REMOVE = '[[insert]]\nfile = "blocks.rs"\nremove = "    /// One."\nuntil = "    }"\n'

    def blocks(self, text=BLOCKS):
        self.put(self.tree, "blocks.rs", text)
        self.upstream = self.state()

    def test_remove(self):
        self.blocks()
        self.toml(self.REMOVE)
        for state in ("(changed)", "(unchanged)"):
            self.assertIn(state, self.integrate())
            self.assertEqual(
                self.text("blocks.rs"), self.BLOCKS.replace(self.BLOCK.removesuffix("\n"), "")
            )
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_remove_one_line(self):
        self.toml('[[insert]]\nfile = "rust/kernel/mm.rs"\nremove = "pub mod virt;"\n')
        self.integrate()
        self.assertEqual(self.text("rust/kernel/mm.rs"), "mod a;\nmod z;\n")
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_remove_at_either_end_of_the_file(self):
        for remove, until in (("mod a;", "pub mod virt;"), ("pub mod virt;", "mod z;"), ("mod a;", "mod z;")):
            with self.subTest(remove, until=until):
                self.toml(
                    f'[[insert]]\nfile = "rust/kernel/mm.rs"\nremove = "{remove}"\nuntil = "{until}"\n'
                )
                self.integrate()
                self.assertNotIn("virt", self.text("rust/kernel/mm.rs"))
                self.remove()
                self.assertEqual(self.state(), self.upstream)

    def test_replace_until(self):
        self.blocks()
        self.toml(self.REMOVE.replace("remove", "replace") + 'text = "    // Two."\n')
        self.integrate()
        self.assertEqual(
            self.text("blocks.rs"),
            self.BLOCKS.replace(self.BLOCK, "    // Two.\n\n"),
        )
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_what_was_removed_is_what_was_there(self):
        """The declaration quotes two lines; those between them are upstream's business."""
        self.blocks(self.BLOCKS.replace("        1\n", "        a();\n        2\n"))
        self.toml(self.REMOVE)
        self.integrate()
        self.assertNotIn("a();", self.text("blocks.rs"))
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_remove_within(self):
        entry = '[[insert]]\nfile = "two.rs"\nwithin = "impl %s {"\nremove = "    fn f() {"\nuntil = "    }"\n'
        self.toml(entry % "A" + entry % "B")
        self.integrate()
        self.assertEqual(self.text("two.rs"), "impl A {\n}\nimpl B {\n}\n")
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_remove_beside_other_changes(self):
        self.blocks()
        self.toml(
            '[[insert]]\nfile = "blocks.rs"\nbefore = "    /// One."\ntext = "    // Before."\n'
            + self.REMOVE
            + '[[insert]]\nfile = "blocks.rs"\nreplace = "    fn z() {"\ntext = "    fn y() {"\n'
        )
        self.integrate()
        self.assertIn("    // Before.\n\n    fn y() {\n", self.text("blocks.rs"))
        self.put(self.tree, "blocks.rs", "// Upstream moves on.\n" + self.text("blocks.rs"))
        self.integrate()
        self.remove()
        self.assertEqual(self.text("blocks.rs"), "// Upstream moves on.\n" + self.BLOCKS)

    def test_removed_block_that_someone_restored(self):
        self.blocks()
        self.toml(self.REMOVE)
        self.integrate()
        self.put(self.tree, "blocks.rs", self.BLOCKS)
        self.integrate()
        self.assertNotIn("One", self.text("blocks.rs"))
        self.put(self.tree, "blocks.rs", self.BLOCKS)
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_lines_around_the_removed_block_edited(self):
        self.blocks()
        self.toml(self.REMOVE)
        self.integrate()
        self.put(self.tree, "blocks.rs", self.text("blocks.rs").replace("fn z", "fn edited"))
        self.refuses("blocks.rs", "edited")

    def test_remove_until_what_is_not_there(self):
        self.blocks()
        for until in ("    } // gone", "impl A {"):
            with self.subTest(until):
                self.toml(self.REMOVE.replace('"    }"', f'"{until}"'))
                self.refuses("blocks.rs", until, "not there")

    def test_remove_what_is_not_there(self):
        self.blocks()
        self.toml(self.REMOVE.replace("/// One.", "/// Gone."))
        self.refuses("/// Gone.", "not there")

    def test_remove_what_could_not_be_put_back(self):
        """The same lines around two places: later, nobody could say at which of them it was."""
        self.put(self.tree, "same.rs", "x\n" * 6 + "only here\n" + "x\n" * 6)
        self.toml('[[insert]]\nfile = "same.rs"\nremove = "only here"\n')
        self.refuses("same.rs", "cannot tell")

    def test_within(self):
        self.toml(
            '[[insert]]\nfile = "two.rs"\nwithin = "impl B {"\nafter = "    fn f() {"\ntext = "        x"\n'
        )
        self.integrate()
        self.assertEqual(
            self.text("two.rs"), TWO.replace("B {\n    fn f() {\n", "B {\n    fn f() {\n        x\n")
        )
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_same_text_at_two_places(self):
        entry = '[[insert]]\nfile = "two.rs"\nwithin = "impl %s {"\nafter = "    fn f() {"\ntext = "        x"\n'
        self.toml(entry % "A" + entry % "B")
        self.integrate()
        self.assertEqual(self.text("two.rs").count("        x\n"), 2)
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_two_at_one_anchor(self):
        self.toml(INSERT + INSERT.replace("description", "second"))
        self.integrate()
        self.assertIn("virt;\npub mod second;\npub mod description;\n", self.text("rust/kernel/mm.rs"))
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_text_file(self):
        self.put(self.repo, "MAINTAINERS", "one\ntwo\n")
        self.toml(INSERT.replace('text = "pub mod description;"', 'text_file = "MAINTAINERS"'))
        self.integrate()
        self.assertIn("pub mod virt;\none\ntwo\nmod z;\n", self.text("rust/kernel/mm.rs"))

    def test_missing_anchor(self):
        self.toml(INSERT.replace("virt;", "gone;"))
        self.refuses("rust/kernel/mm.rs", "pub mod gone;", "7.3.4", "not there")

    def test_part_of_a_line_is_no_anchor(self):
        self.toml(INSERT.replace("pub mod virt;", "mod virt;"))
        self.refuses("mod virt;")

    def test_ambiguous_anchor(self):
        self.toml(INSERT.replace("rust/kernel/mm.rs", "two.rs").replace("pub mod virt;", "    fn f() {"))
        self.refuses("two.rs", "    fn f() {", "7.3.4", "2 times")

    def test_missing_within(self):
        self.toml(INSERT + 'within = "impl C {"\n')
        self.refuses("impl C {")

    def test_missing_file(self):
        self.toml(INSERT.replace("mm.rs", "none.rs"))
        self.refuses("rust/kernel/none.rs", "7.3.4")

    def test_error_in_the_last_of_several(self):
        self.toml(INSERT + INSERT.replace("virt;", "gone;"))
        self.refuses("gone")

    def test_error_leaves_an_older_state(self):
        self.integrate()
        self.put(self.repo, "rust/kernel/mm/description.rs", "// newer\n")
        self.toml(INSERT.replace("virt;", "gone;"))
        self.refuses("gone")

    def test_mistakes_in_the_declaration(self):
        for text, word in (
            (INSERT + 'befor = "x"\n', "befor"),
            (INSERT + 'before = "x"\n', "one of after, before, replace, remove"),
            (INSERT + 'until = "x"\n', "until"),
            (INSERT.replace("after", "remove"), "remove"),
            ('[[insert]]\nfile = "a"\nreplace = "x"\nuntil = "x"\n', "text or text_file"),
            (INSERT + 'text_file = "x"\n', "text or text_file"),
            (INSERT.replace('file = "rust/kernel/mm.rs"\n', ""), "no file"),
            (INSERT.replace('text = "pub mod description;"', 'text_file = "none"'), "none"),
            (INSERT + 'kernel = ["7.3"]\n', "kernel"),
            ("[[insert]\n", "integration.toml"),
        ):
            with self.subTest(text):
                self.toml(text)
                self.refuses(word)


class Copies(Base):
    def test_copy(self):
        self.integrate()
        self.assertEqual(self.text("rust/kernel/mm/description.rs"), "// ours\n")

    def test_selftests_have_another_place(self):
        self.put(self.repo, "selftests/rust_mm/.gitignore", "prog\n")
        self.integrate()
        self.assertEqual(self.text("tools/testing/selftests/rust_mm/.gitignore"), "prog\n")

    def test_folders_of_upstreams(self):
        """Beside upstream's files, which stay when ours go."""
        for folder in ("drivers/pci", "fs", "include/linux", "kernel", "mm"):
            self.put(self.tree, f"{folder}/theirs.c", "theirs\n")
            self.put(self.repo, f"{folder}/rust_ours.c", "ours\n")
        self.upstream = self.state()
        self.integrate()
        for folder in ("drivers/pci", "fs", "include/linux", "kernel", "mm"):
            self.assertEqual(self.text(f"{folder}/rust_ours.c"), "ours\n")
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_executable(self):
        self.put(self.repo, "selftests/rust_mm/run.sh", "#!/bin/sh\n")
        (self.repo / "selftests/rust_mm/run.sh").chmod(0o755)
        self.integrate()
        self.assertTrue(os.access(self.tree / "tools/testing/selftests/rust_mm/run.sh", os.X_OK))

    def test_editors_leavings_stay_out(self):
        self.put(self.repo, "rust/kernel/mm/description.rs~", "old")
        self.put(self.repo, "rust/kernel/mm/.description.rs.swp", "swap")
        self.put(self.repo, "rust/kernel/mm/__pycache__/x", "cache")
        self.integrate()
        self.assertEqual(os.listdir(self.tree / "rust/kernel/mm"), ["description.rs"])

    def test_upstream_file_is_not_overwritten(self):
        self.put(self.repo, "rust/kernel/mm.rs", "// ours\n")
        self.refuses("rust/kernel/mm.rs", "7.3.4", "already")

    def test_edited_copy_is_not_overwritten(self):
        self.integrate()
        self.put(self.tree, "rust/kernel/mm/description.rs", "// edited\n")
        self.refuses("rust/kernel/mm/description.rs", "edited")

    def test_edited_copy_is_not_removed(self):
        self.integrate()
        self.put(self.tree, "rust/kernel/mm/description.rs", "// edited\n")
        before = self.state()
        with self.assertRaises(integrate.Error):
            self.remove()
        self.assertEqual(self.state(), before)

    def test_same_edit_on_both_sides(self):
        self.integrate()
        for base in (self.tree, self.repo):
            self.put(base, "rust/kernel/mm/description.rs", "// edited\n")
        self.integrate()
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_linked_tree_is_not_written_through(self):
        other = self.tree.parent / "linked.rs"
        os.link(self.tree / "rust/kernel/mm.rs", other)
        self.integrate()
        self.assertEqual(other.read_text(), MM)


class Only(Base):
    """One folder, on a tree that is upstream's otherwise."""

    def test_one_folder(self):
        self.put(self.repo, "selftests/rust_mm/a.c", "// a\n")
        self.run_quiet(integrate.integrate, self.repo, self.tree, ["selftests"])
        self.assertEqual(self.text("rust/kernel/mm.rs"), MM)
        self.assertEqual(self.text("tools/testing/selftests/rust_mm/a.c"), "// a\n")
        self.assertFalse((self.tree / "rust/kernel/mm/description.rs").exists())

    def test_after_all(self):
        self.put(self.repo, "selftests/rust_mm/a.c", "// a\n")
        self.integrate()
        self.run_quiet(integrate.integrate, self.repo, self.tree, ["selftests"])
        self.assertEqual(self.text("rust/kernel/mm.rs"), MM)
        self.assertFalse((self.tree / "rust/kernel/mm/description.rs").exists())
        self.integrate()
        self.assertIn("description", self.text("rust/kernel/mm.rs"))
        self.remove()
        self.assertEqual(self.state(), self.upstream)


class Series(Base):
    """What is in series/<series>/ comes besides, and for that series only."""

    def setUp(self):
        super().setUp()
        self.put(self.repo, "series/7.3/rust/kernel/mm/newer.rs", "// 7.3\n")
        self.put(self.repo, "series/7.2/rust/kernel/mm/older.rs", "// 7.2\n")
        self.put(self.repo, "series/7.2/integration.toml", INSERT.replace("description", "older"))

    def move_to(self, sublevel):
        self.put(self.tree, "Makefile", MAKEFILE.replace("PATCHLEVEL = 3", f"PATCHLEVEL = {sublevel}"))
        self.upstream["Makefile"] = (self.tree / "Makefile").read_bytes()

    def ours(self):
        return sorted(os.listdir(self.tree / "rust/kernel/mm"))

    def test_files(self):
        self.integrate()
        self.assertEqual(self.ours(), ["description.rs", "newer.rs"])
        self.assertEqual(self.text("rust/kernel/mm/newer.rs"), "// 7.3\n")

    def test_folder_of_a_variant(self):
        """Its insertions come last: they can be at lines of ours."""
        self.put(self.repo, "bench/rust/kernel/mm/twin.rs", "// twin\n")
        self.put(
            self.repo, "bench/integration.toml", INSERT.replace("description", "twin").replace(
                '"pub mod virt;"', '"pub mod description;"'
            ),
        )
        self.put(self.repo, "integration.toml", INSERT)
        self.run_quiet(integrate.integrate, self.repo, self.tree, (), ["bench"])
        self.assertIn("pub mod description;\npub mod twin;\n", self.text("rust/kernel/mm.rs"))
        self.assertEqual(self.ours(), ["description.rs", "newer.rs", "twin.rs"])
        # Without it, they are taken out.
        self.integrate()
        self.assertNotIn("twin", self.text("rust/kernel/mm.rs"))
        self.assertEqual(self.ours(), ["description.rs", "newer.rs"])

    def test_insertions_come_after_the_common_ones(self):
        self.move_to(2)
        self.integrate()
        self.assertIn("virt;\npub mod older;\npub mod description;\n", self.text("rust/kernel/mm.rs"))
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_insertions_of_another_series(self):
        self.integrate()
        self.assertNotIn("older", self.text("rust/kernel/mm.rs"))

    def test_upstream_moves_on(self):
        self.move_to(2)
        self.integrate()
        self.move_to(3)
        self.integrate()
        self.assertEqual(self.ours(), ["description.rs", "newer.rs"])
        self.assertNotIn("older", self.text("rust/kernel/mm.rs"))
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_series_without_anything_of_its_own(self):
        self.move_to(4)
        self.integrate()
        self.assertEqual(self.ours(), ["description.rs"])

    def test_one_file_at_both_places(self):
        self.put(self.repo, "series/7.3/rust/kernel/mm/description.rs", "// 7.3\n")
        self.refuses("rust/kernel/mm/description.rs", "7.3")

    def test_mistake_in_its_declaration(self):
        self.put(self.repo, "series/7.3/integration.toml", INSERT + 'befor = "x"\n')
        self.refuses("series/7.3/integration.toml: insert 1", "befor")


class Again(Base):
    def times(self):
        return {path: path.stat().st_mtime_ns for path in self.tree.rglob("*")}

    def test_twice_changes_nothing(self):
        self.assertIn("(changed)", self.integrate())
        for path in self.tree.rglob("*"):
            os.utime(path, ns=(1, 1))
        before = self.times()
        self.assertIn("(unchanged)", self.integrate())
        self.assertEqual(self.times(), before)

    def test_only_what_changed_is_written(self):
        self.put(self.repo, "rust/kernel/mm/other.rs", "// one\n")
        self.integrate()
        for path in self.tree.rglob("*"):
            os.utime(path, ns=(1, 1))
        self.put(self.repo, "rust/kernel/mm/other.rs", "// two\n")
        self.integrate()
        times = self.times()
        self.assertEqual(times[self.tree / "rust/kernel/mm/description.rs"], 1)
        self.assertEqual(times[self.tree / "rust/kernel/mm.rs"], 1)
        self.assertNotEqual(times[self.tree / "rust/kernel/mm/other.rs"], 1)

    def test_newer_state_replaces_the_older(self):
        self.put(self.repo, "rust/kernel/mm/old/gone.rs", "// gone\n")
        self.integrate()
        (self.repo / "rust/kernel/mm/old/gone.rs").unlink()
        self.toml(INSERT.replace("description", "replacement"))
        self.integrate()
        self.assertFalse((self.tree / "rust/kernel/mm/old").exists())
        self.assertEqual(
            self.text("rust/kernel/mm.rs"), MM.replace("virt;\n", "virt;\npub mod replacement;\n")
        )
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_file_that_someone_restored(self):
        self.integrate()
        self.put(self.tree, "rust/kernel/mm.rs", MM)
        self.integrate()
        self.assertIn("description", self.text("rust/kernel/mm.rs"))

    def test_edited_insertion_is_an_error(self):
        self.toml(INSERT.replace('"pub mod description;"', '"pub mod description;\\npub mod another;"'))
        self.integrate()
        self.put(self.tree, "rust/kernel/mm.rs", self.text("rust/kernel/mm.rs").replace("another", "changed"))
        self.refuses("rust/kernel/mm.rs", "edited")

    def test_upstream_moves_on(self):
        self.integrate()
        self.put(self.tree, "rust/kernel/mm.rs", "mod new;\n" + self.text("rust/kernel/mm.rs"))
        self.remove()
        self.assertEqual(self.text("rust/kernel/mm.rs"), "mod new;\n" + MM)

    def cut_off(self, function, after):
        """Runs it until so many files are written; returns whether it was cut off."""
        written = 0

        def replace(source, target):
            nonlocal written
            if written == after:
                raise KeyboardInterrupt
            written += 1
            os.rename(source, target)

        with mock.patch.object(integrate.os, "replace", replace):
            try:
                function()
            except KeyboardInterrupt:
                return True
        return False

    def test_cut_off(self):
        self.put(self.tree, "blocks.rs", Insertions.BLOCKS)

        def older():
            self.put(self.repo, "rust/kernel/mm/description.rs", "// ours\n")
            (self.repo / "rust/kernel/mm/added.rs").unlink(missing_ok=True)
            self.toml(INSERT)

        def newer():
            self.put(self.repo, "rust/kernel/mm/description.rs", "// newer\n")
            self.put(self.repo, "rust/kernel/mm/added.rs", "// added\n")
            insert = INSERT.replace('"pub mod description;"', '"pub mod description;\\npub mod added;"')
            self.toml(insert + Insertions.REMOVE)

        newer()
        self.integrate()
        new = self.state()
        after = 0
        while True:
            self.remove()
            older()
            self.integrate()
            newer()
            if not self.cut_off(self.integrate, after):
                break
            with self.subTest(after):
                self.integrate()
                self.assertEqual(self.state(), new)
            after += 1
        self.assertGreater(after, 3)

    def test_removal_cut_off(self):
        self.put(self.tree, "blocks.rs", Insertions.BLOCKS)
        self.toml(INSERT + Insertions.REMOVE)
        self.upstream = self.state()
        after = 0
        while True:
            self.integrate()
            if not self.cut_off(self.remove, after):
                break
            with self.subTest(after):
                self.remove()
                self.assertEqual(self.state(), self.upstream)
            after += 1
        self.assertGreater(after, 0)


class Removal(Base):
    def test_everything_as_before(self):
        self.put(self.repo, "samples/rust/mm/Kconfig", "config X\n")
        self.put(self.repo, "Documentation/rust/mm/index.rst", "x\n")
        self.integrate()
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_modes_stay(self):
        (self.tree / "rust/kernel/mm.rs").chmod(0o755)
        self.integrate()
        self.remove()
        self.assertEqual((self.tree / "rust/kernel/mm.rs").stat().st_mode & 0o777, 0o755)

    def test_build_products_go(self):
        self.put(self.repo, "selftests/rust_mm/.gitignore", "/prog\n")
        self.put(self.repo, "selftests/rust_mm/other.c", "\n")
        self.put(self.repo, "samples/rust/mm/Kconfig", "config X\n")
        self.integrate()
        for path in (
            "samples/rust/mm/x.o",
            "samples/rust/mm/x.ko",
            "samples/rust/mm/.demo.cmd",
            "samples/rust/mm/demo",
            "samples/rust/mm/modules.order",
            "tools/testing/selftests/rust_mm/prog",
            "tools/testing/selftests/rust_mm/other",
        ):
            self.put(self.tree, path, "built")
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_build_products_go_from_upstreams_folders(self):
        self.put(self.tree, "mm/theirs.o", "built")
        self.put(self.tree, "mm/.theirs.o.cmd", "built")
        self.put(self.repo, "mm/rust_ours.c", "ours\n")
        self.upstream = self.state()
        self.integrate()
        self.put(self.tree, "mm/rust_ours.o", "built")
        self.put(self.tree, "mm/.rust_ours.o.cmd", "built")
        self.remove()
        self.assertEqual(self.state(), self.upstream)

    def test_files_of_others_stay(self):
        self.integrate()
        self.put(self.tree, "rust/kernel/mm/notes.txt", "mine")
        self.assertIn("rust/kernel/mm", self.remove())
        self.assertEqual(self.text("rust/kernel/mm/notes.txt"), "mine")

    def test_tree_without_ours(self):
        self.assertIn("nothing", self.remove())
        self.assertEqual(self.state(), self.upstream)


class Tree(Base):
    def test_not_a_kernel_tree(self):
        (self.tree / "Makefile").write_text("all:\n")
        self.refuses("not a Linux source tree")

    def test_damaged_manifest(self):
        self.put(self.tree, integrate.MANIFEST, "{")
        self.refuses("damaged")


if __name__ == "__main__":
    unittest.main()
