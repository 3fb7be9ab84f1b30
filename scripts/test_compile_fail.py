# SPDX-License-Identifier: GPL-2.0
import json
import unittest
from pathlib import Path

import compile_fail

CASES = Path(__file__).parent.parent / "selftests/rust_mm/compile_fail"


def diagnostic(level, message, code=None, labels=(), children=(), **more):
    return {
        "level": level, "message": message, "code": code and {"code": code},
        "spans": [{"label": label, "text": [{"text": "let source = quoted;"}]} for label in labels],
        "children": list(children), "rendered": f"{level}: {message}\n", **more,
    }


NOTE = diagnostic("note", "required for `Ours`", labels=["this bound"])
E0308 = diagnostic("error", "mismatched types", "E0308", ["expected `A`", None], [NOTE])
E0277 = diagnostic("error", "not satisfied", "E0277", [None])
ABORTING = diagnostic("error", "aborting due to 2 previous errors")


class Errors(unittest.TestCase):
    def found(self, *diagnostics):
        return compile_fail.errors("\n".join(map(json.dumps, diagnostics)))

    def test_only_errors(self):
        warning = diagnostic("warning", "unused", "unused_imports", [None])
        more = diagnostic("failure-note", "For more information")
        self.assertEqual(self.found(warning, E0308, E0277, ABORTING, more), [E0308, E0277])

    def test_one_without_a_code(self):
        plain = diagnostic("error", "expected one of", labels=[None])
        self.assertEqual(self.found(plain, ABORTING), [plain])

    def test_what_is_no_json(self):
        self.assertEqual(compile_fail.errors("sh: 1: rustc: not found\n"), [])


class Unmet(unittest.TestCase):
    def test_each_place(self):
        for text in ("mismatched", "expected `A`", "for `Ours`", "this bound"):
            self.assertEqual(compile_fail.unmet("E0308", text, [E0308]), [])

    def test_source_is_not_said(self):
        self.assertEqual(
            compile_fail.unmet("E0308", "source", [E0308]), ["no error says: source"]
        )

    def test_codes(self):
        for error, found in (
            ("E0308", []),
            ("E0308", [E0277]),
            # Not as a set.
            ("E0308", [E0308, E0308]),
            ("E0308 E0308", [E0308]),
            ("E0308", [E0308, E0277]),
            ("E0308", [E0308, diagnostic("error", "mismatched", labels=[None])]),
        ):
            (reason,) = compile_fail.unmet(error, "mismatched", found)
            self.assertIn(f"expected {error}, got ", reason)

    def test_several(self):
        self.assertEqual(compile_fail.unmet("E0277 E0308", "`A`", [E0308, E0277]), [])


class Cases(unittest.TestCase):
    def test_what_they_expect(self):
        cases = [case for case in CASES.glob("*.rs") if case.stem != "prelude"]
        self.assertTrue(cases)
        for case in cases:
            error, message = compile_fail.expectation(case)
            self.assertRegex(error, r"^(no-code|E\d{4})( no-code| E\d{4})*$", case)
            # Our names are quoted; what is not is what the compiler says of any program.
            self.assertTrue("`" in message, f"{case.stem}: {message}")


if __name__ == "__main__":
    unittest.main()
