#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Splits the layer into series of patches, as config/series.toml says.

    series.py list              prints one line for each patch
    series.py plan TREE OUT     writes to OUT what each patch changes in a clean tree, and its message
    series.py checkpatch [--unused] MAILS
                                prints what checkpatch.pl finds in the mails below the folder, without
                                the exceptions, as TAP; run it in a kernel tree. With --unused, an
                                exception without a finding is a failure

After the last patch, the tree is as integrate.py leaves it. After an earlier patch, it has the
files of the patches up to that one, without these parts:

- pieces that the list gives to a later patch, and lines that read otherwise until then;
- module declarations, imports, examples, words of Makefiles and lines of MAINTAINERS that name a
  file or an item which is not there yet;
- C functions that no code calls yet.
"""

import concurrent.futures
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import integrate
import maintainers
import pieces
from series_c import used_c
from series_rust import COMMON, Rust, defined, named, words

REPO = Path(__file__).resolve().parent.parent

# The series of the kernel that the patches are for. What series/ has for others is not posted.
KERNEL = "7.3"

SUBJECT = 75
BODY = 75


class Mistake(Exception):
    """A mistake in the list."""


@dataclass
class Patch:
    number: int  # of all, from 0 on
    series: str
    subject: str
    message: str
    files: list = field(default_factory=list)  # patterns of paths in the repository
    edits: list = field(default_factory=list)  # "file" or "file: part of an anchor"
    pieces: dict = field(default_factory=dict)  # file: [names], see pieces.py
    instead: list = field(default_factory=list)  # {file, line, until}


# The keys of a patch in the list.
PATCH_KEYS = set(Patch.__dataclass_fields__) - {"number", "series"}


@dataclass
class Letter:
    name: str
    subject: str
    message: str
    patches: list


def parse(text):
    """Returns the letters of a list, each with its patches."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise Mistake(str(err)) from err
    letters, number = [], 0
    for entry in table["series"]:
        patches = []
        for keys in entry["patch"]:
            if unknown := set(keys) - PATCH_KEYS:
                raise Mistake(f"{keys.get('subject')}: what is {unknown.pop()}?")
            patches.append(Patch(number, entry["name"], **keys))
            number += 1
        letters.append(Letter(entry["name"], entry["subject"], entry["message"], patches))
    return letters


def in_tree(path):
    """Returns where the tree has a file of the repository."""
    folder, _, rest = path.partition("/")
    return f"{integrate.FOLDERS.get(folder, folder)}/{rest}"


def in_repository(path):
    """Returns where the repository has a file of the tree."""
    selftests = integrate.FOLDERS["selftests"] + "/"
    return "selftests/" + path.removeprefix(selftests) if path.startswith(selftests) else path


def matching(pattern, paths):
    """Returns the paths that match a pattern; that of a folder matches all files below it."""
    if pattern.endswith("/"):
        return [path for path in paths if path.startswith(pattern)]
    return [path for path in paths if fnmatch.fnmatchcase(path, pattern)]


def anchors(insert):
    return "\n".join(insert[key] or "" for key in ("anchor", "within", "until"))


class Plan:
    """The list, and the files and edits that it splits into patches."""

    def __init__(self, repo=REPO):
        self.letters = parse((repo / "config/series.toml").read_text(encoding="utf-8"))
        self.patches = [patch for letter in self.letters for patch in letter.patches]
        # The keys are paths in the repository, as in the list.
        copies = integrate.load_copies(repo, KERNEL)
        self.modes = {path: executable for path, (_, executable) in copies.items()}
        self.full = {in_repository(path): data.decode() for path, (data, _) in copies.items()}
        self.inserts = integrate.load_inserts(repo, KERNEL)
        self.mistakes = []
        self.file_patch = self._assign_files()
        self.edit_patch = self._assign_edits()
        self.later = self._pieces()
        self.looked_at = {}  # {path: the text that `early` has seen last}
        self.whole = {}  # {path: a number of patches after which the file is whole}
        self.rust = Rust(self.full, self.inserts)

    # --- which patch brings what

    def _assign_files(self):
        found = {}
        for patch in self.patches:
            for pattern in patch.files:
                paths = matching(pattern, self.full)
                if not paths:
                    self.mistakes.append(f"{patch.subject}: no file is {pattern}")
                for path in paths:
                    found.setdefault(path, set()).add(patch.number)
        self._once(found, self.full)
        return {path: min(numbers) for path, numbers in found.items()}

    def _assign_edits(self):
        found = {}
        for patch in self.patches:
            for spec in patch.edits:
                file, _, part = spec.partition(": ")
                edits = [
                    number
                    for number, insert in enumerate(self.inserts)
                    if insert["file"] == file and part in anchors(insert)
                ]
                if not edits:
                    self.mistakes.append(f"{patch.subject}: no edit is {spec}")
                for number in edits:
                    found.setdefault(number, set()).add(patch.number)
        names = {
            number: f"{insert['file']}: {insert['anchor']!r}"
            for number, insert in enumerate(self.inserts)
        }
        self._once({names[n]: p for n, p in found.items()}, names.values())
        return {number: min(numbers) for number, numbers in found.items()}

    def _once(self, found, wanted):
        for name in wanted:
            numbers = sorted(found.get(name, ()))
            if len(numbers) != 1:
                subjects = ", ".join(self.patches[n].subject for n in numbers) or "no patch"
                self.mistakes.append(f"{name}: is in {subjects}")

    def _pieces(self):
        """Returns {file or number of an edit: [(patch, piece)]}.

        A piece is the name of one, or a pair: lines, and how they read until the patch.
        """
        later = {}
        for patch in self.patches:
            named = [(file, name) for file, names in patch.pieces.items() for name in names]
            named += [(p["file"], (p["line"], p["until"])) for p in patch.instead]
            for file, piece in named:
                where = self._where(patch, file, piece)
                if where is not None:
                    later.setdefault(where, []).append((patch.number, piece))
        return later

    def _where(self, patch, file, piece):
        """Returns the file, or the number of the edit, that has a piece."""
        texts = (
            {file: self.full[file]}
            if file in self.full
            else {
                number: insert["text"]
                for number, insert in enumerate(self.inserts)
                if insert["file"] == file
            }
        )
        found, why = [], f"{file} is none of ours"
        for where, text in texts.items():
            try:
                if isinstance(piece, str) and piece.startswith("import "):
                    pieces.imports(text, piece)
                elif isinstance(piece, str):
                    pieces.extent(text, piece)
                else:
                    pieces.replace(text, *piece)
                found.append(where)
            except pieces.Mistake as err:
                why = str(err)
        if len(found) != 1:
            self.mistakes.append(f"{patch.subject}: {file}: {why}")
            return None
        first = self.file_patch.get(file) if file in self.full else self.edit_patch.get(found[0])
        if first is not None and first >= patch.number:
            self.mistakes.append(f"{patch.subject}: {file} does not come before {piece!r}")
        return found[0]

    def check_states(self):
        """Checks that the pieces of each patch, and of all later ones, can be left out together."""
        for where, later in self.later.items():
            text = self.full[where] if where in self.full else self.inserts[where]["text"]
            for number in sorted({patch for patch, _ in later}):
                try:
                    self._held_back(where, text, number)
                except pieces.Mistake as err:
                    self.mistakes.append(f"{self.patches[number].subject}: {where}: {err}")

    def early(self, number, texts, upstream):
        """Yields (file, names): names in a file that most likely come with a later patch.

        The compiler would not find them. `upstream` has the names that upstream's crate defines.
        """
        rust = {path: text for path, text in texts.items() if path.endswith(".rs")}
        there = set().union(*map(defined, rust.values())) | upstream | COMMON
        for path, text in sorted(rust.items()):
            if self.looked_at.get(path) == text:
                continue
            # A later state lacks fewer names, so the same text needs no second look.
            self.looked_at[path] = text
            tests = "/tests" in path
            missing = self.rust.all_names(tests) - there
            missing |= {f"HAS_{name.upper()}" for name in missing} - there
            if found := sorted(named(text) & missing):
                yield path, found

    # --- states

    def state(self, number):
        """Returns ({path in the repository: text}, [edits]) after that many patches."""
        present = {path for path, patch in self.file_patch.items() if patch < number}
        # A file that is whole stays so.
        whole = {path for path in present if self.whole.get(path, number + 1) <= number}
        texts = {
            path: (
                self.full[path] if path in whole else self._held_back(path, self.full[path], number)
            )
            for path in present
        }
        inserts = {
            n: self._held_back(n, insert["text"], number)
            for n, insert in enumerate(self.inserts)
            if self.edit_patch.get(n, number) < number
        }
        edited = [n for n in inserts if self.inserts[n]["file"].endswith(".rs")]
        rust = {path for path in present if path.endswith(".rs")}
        there = {path: defined(texts[path]) for path in rust}
        for path in rust - whole:
            texts[path] = self.rust.only_what_is_there(path, texts[path], there)
        for n in edited:
            file = self.inserts[n]["file"]
            inserts[n] = self.rust.only_what_is_there(file, inserts[n], there)
        called = set().union(*(words(texts[path]) for path in rust))
        called.update(*(words(inserts[n]) for n in edited))
        for n in inserts:
            # What our lines in a C file of upstream's call; an #include has names of files.
            if self.inserts[n]["file"].endswith((".c", ".h")):
                called |= words(re.sub(r"^#.*", "", inserts[n], flags=re.M))
        texts = used_c(self.full, texts, called)
        for path in present - whole:
            text = self._lines(path, texts[path], present)
            if text != self.full[path]:
                text = text.rstrip("\n") + "\n"
            else:
                self.whole[path] = number
            texts[path] = text
        inserts = {
            n: self._lines(self.inserts[n]["file"], text, present) for n, text in inserts.items()
        }
        edits = [
            self.inserts[n] | {"text": text}
            for n, text in sorted(inserts.items())
            if text or self.inserts[n]["side"] in ("replace", "remove")
        ]
        return texts, edits

    def _held_back(self, where, text, number):
        later = [piece for patch, piece in self.later.get(where, ()) if patch >= number]
        # The last one first: it may be within lines that an earlier one replaces.
        for piece in later[::-1]:
            if not isinstance(piece, str):
                text = pieces.replace(text, *piece)
        names = [piece for piece in later if isinstance(piece, str)]
        for piece in names:
            if piece.startswith("import "):
                text = pieces.without_import(text, piece)
        names = [piece for piece in names if not piece.startswith("import ")]
        return pieces.cut(text, names) if names else text

    def _lines(self, path, text, present):
        """Returns the text without lines, and words of Makefiles, that are for absent files."""
        folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
        absent = set(self.full) - present

        def is_absent(word):
            base = re.sub(r"\.(?:o|so)$", "", word)
            options = (f"{folder}/{word}", f"{folder}/{base}.c", f"{folder}/{base}.rs")
            return not any(p in present for p in options) and any(p in absent for p in options)

        if path.endswith((".c", ".h")):
            ours = {
                f'"{PurePosixPath(p).name}"'
                for p in absent
                if PurePosixPath(p).parent.name == "helpers"
            }
            ours |= {f"<{p.removeprefix('include/')}>" for p in absent if p.startswith("include/")}
            lines = [
                l
                for l in text.split("\n")
                if not (l.startswith("#include") and l.split()[1] in ours)
            ]
            return pieces.without_empty_conditions("\n".join(lines))
        if name == "Makefile":
            text = pieces.without_empty_conditions(without_words(text, is_absent))
            return without_remarks(text, self.full.get(path, text))
        if path.endswith(".rst"):
            # Lines of a table of contents, and rows of a table that start with a page.
            page = re.compile(r"(?:    |:doc:`)([\w-]+)(?:$|`)")
            return "\n".join(
                line
                for line in text.split("\n")
                if not ((match := page.match(line)) and is_absent(f"{match[1]}.rst"))
            )
        if name == ".gitignore":
            return "\n".join(line for line in text.split("\n") if not is_absent(line))
        if name == "MAINTAINERS":
            there = [in_tree(p) for p in present]
            return "".join(
                line
                for line in integrate.split(text)
                if any(maintainers.matches(line.split()[1], p) for p in there)
            )
        return text


def without_words(text, is_absent):
    """Returns a Makefile without the values that are for absent files."""
    lines = []
    for line in text.split("\n"):
        match = re.match(r"(\t?[^#=\t][^=]*?[+:]=\s*)(.*)$", line)
        if match:
            kept = [word for word in match[2].split() if not is_absent(word)]
            if kept != match[2].split():
                if not kept:
                    continue
                line = match[1] + " ".join(kept)
        lines.append(line)
    return "\n".join(lines)


def without_remarks(text, full):
    """Returns a Makefile without the comments of paragraphs that have no other lines left."""
    whole = {paragraph.split("\n")[0]: paragraph for paragraph in full.split("\n\n")}
    kept = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        before = whole.get(lines[0], "").strip("\n").split("\n")
        if all(line.startswith("#") for line in lines) and any(
            line and not line.startswith("#") for line in before
        ):
            continue
        kept.append(paragraph)
    return "\n\n".join(kept)


# --- output


def mistakes(plan):
    """Returns what is wrong with the list, as far as that can be known without a tree."""
    plan.check_states()
    wrong = list(plan.mistakes)
    if wrong:
        return wrong
    for letter in plan.letters:
        wrong += text_mistakes(letter.name, letter.subject, letter.message)
    for patch in plan.patches:
        wrong += text_mistakes(patch.subject, patch.subject, patch.message)
        if not re.match(r"[\w/]+(?:, [\w/]+)*: (?:[\w/]+: )*\S", patch.subject):
            wrong.append(f"{patch.subject}: no subject with a prefix")
    texts, edits = plan.state(len(plan.patches))
    for path, text in plan.full.items():
        if texts.get(path) != text:
            wrong.append(f"{path}: is not whole after the last patch")
    if [edit["text"] for edit in edits] != [insert["text"] for insert in plan.inserts]:
        wrong.append("integration.toml: an edit is not whole after the last patch")
    return wrong


def text_mistakes(name, subject, message):
    wrong = []
    if len(subject) > SUBJECT or subject.endswith("."):
        wrong.append(f"{name}: a subject has {SUBJECT} columns at most, and no full stop")
    if len(message.split()) < 10:
        wrong.append(f"{name}: a message says why")
    if any(len(line) > BODY and " " in line.strip() for line in message.split("\n")):
        wrong.append(f"{name}: a message has {BODY} columns at most")
    # The person who posts the series signs off, and names the people who have agreed.
    if re.search(r"^[A-Z][\w-]*-by:|@", message, re.M):
        wrong.append(f"{name}: no person is named in a message")
    return wrong


def upstream_files(plan, tree):
    """Returns {path: text} of the files that the edits change; the tree may have the layer."""
    clean = integrate.Plan(tree)
    clean.take_out()
    return {insert["file"]: clean.text(insert["file"]) for insert in plan.inserts}


def upstream_names(plan, tree, edited):
    """Returns the names that upstream's crate defines."""
    files = {str(path.relative_to(tree)): path for path in (tree / "rust/kernel").rglob("*.rs")}
    return {
        name
        for file, path in files.items()
        if file not in plan.full
        for name in pieces.defined(edited.get(file) or path.read_text(encoding="utf-8"))
    }


def put(path, text, executable):
    path.parent.mkdir(parents=True, exist_ok=True)
    integrate.write(path, text.encode(), 0o755 if executable else 0o644)


def is_executable(path):
    return path.exists() and bool(path.stat().st_mode & 0o100)


def write_plan(plan, tree, out):
    """Writes what each patch changes to `out`.

    Prints TAP: a patch fails if it names what comes with a later one, so its build is likely to fail.

    The files are <number>/{series,message,tree/...}, <series>.cover, `partial`, which lists the Rust
    sources that are not whole, and upstream/..., upstream's files that the patches change.
    """
    if wrong := mistakes(plan):
        raise Mistake("\n".join(wrong))
    series, version = integrate.kernel_version(tree)
    if series != KERNEL:
        raise Mistake(f"the series are for Linux {KERNEL}")
    print(f"1..{len(plan.patches)}")
    upstream = upstream_files(plan, tree)
    shutil.rmtree(out, ignore_errors=True)
    for path, text in upstream.items():
        put(out / "upstream" / path, text, is_executable(tree / path))
    before, partial = dict(upstream), []
    edited = {}  # {path: (the edits that were applied last, the result)}
    names = upstream_names(plan, tree, upstream)
    for number, patch in enumerate(plan.patches, 1):
        texts, edits = plan.state(number)
        early = [f"{path} names {', '.join(found)}" for path, found in plan.early(number, texts, names)]
        print("\n# ".join([f"{'not ok' if early else 'ok'} {patch.subject}", *early]))
        after = {in_tree(path): text for path, text in texts.items()}
        for path, text in upstream.items():
            own = [edit for edit in edits if edit["file"] == path]
            if path not in edited or edited[path][0] != own:
                for edit in own:
                    text, _ = integrate.apply(text, edit, version)
                edited[path] = own, text
            after[path] = edited[path][1]
        folder = out / f"{number:03}"
        for path, text in after.items():
            if before.get(path) != text:
                target = folder / "tree" / path
                put(target, text, plan.modes.get(path) or is_executable(tree / path))
                if path.endswith(".rs") and text != plan.full.get(in_repository(path), text):
                    partial.append(f"{target.relative_to(out)}\n")
        if not folder.exists():
            raise Mistake(f"{patch.subject}: changes nothing")
        (folder / "series").write_text(patch.series + "\n")
        (folder / "message").write_text(f"{patch.subject}\n\n{patch.message.strip()}\n")
        before = after
    for letter in plan.letters:
        (out / f"{letter.name}.cover").write_text(f"{letter.subject}\n\n{letter.message.strip()}\n")
    (out / "partial").write_text("".join(partial))
    print(f"{len(plan.patches)} patches in {len(plan.letters)} series")


# --- checkpatch


def exceptions(repo=REPO):
    """Returns [(types, regular expression that a finding has, reason)]."""
    table = tomllib.loads((repo / "config/series.toml").read_text(encoding="utf-8"))
    return [
        (e["type"], re.compile(e.get("where", "")), e["why"]) for e in table.get("exception", [])
    ]


def run_checkpatch(mail, text=None):
    options = ["--strict", "--no-summary", "--terse", "--show-types", "--showfile"]
    command = ["perl", "scripts/checkpatch.pl", *options, str(mail)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def checkpatch(mail, known):
    """Returns what checkpatch.pl finds in a mail: [lines that are no exceptions], {exceptions}."""
    run = run_checkpatch(mail)
    left, used = [], set()
    if run.returncode not in (0, 1) or run.stderr:
        left.append(f"checkpatch.pl ends with status {run.returncode}: {run.stderr.strip()}")
    for line in run.stdout.splitlines():
        match = re.match(r".*?: (?:ERROR|WARNING|CHECK):(\w+): ", line)
        if not match:
            continue
        fitting = {k for k in known if match[1] in k[0].split("|") and k[1].search(line)}
        used |= fitting
        if not fitting:
            left.append(line)
    return left, used


# A name that makes checkpatch.pl collect those of include/.
CAMELCASE = "--- /dev/null\n+++ b/mm/a.c\n@@ -0,0 +1,1 @@\n+int aName;\n"


def check_mails(mails, known, with_unused):
    """Yields (name of a mail, [findings]); with_unused, (name of an exception, [why]) as well."""
    # It keeps the names in the tree. Several at once would read them while the first one writes.
    run_checkpatch("-", CAMELCASE)
    seen = set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for mail, (left, used) in zip(mails, pool.map(lambda m: checkpatch(m, known), mails)):
            seen |= used
            yield f"{mail.parent.name}/{mail.name}", left
    if with_unused:
        for exception in known:
            kinds, where, _ = exception
            yield f"exception {kinds} {where.pattern}", (
                [] if exception in seen else ["there is no such finding"]
            )


def show_tap(count, results):
    """Prints TAP; returns whether a test has failed."""
    failed = False
    print(f"1..{count}", flush=True)
    for number, (name, left) in enumerate(results, 1):
        print(f"{'not ok' if left else 'ok'} {number} {name}", flush=True)
        for line in left:
            print(f"# {line}")
        failed |= bool(left)
    return failed


def main():
    command, *args = sys.argv[1:]
    try:
        if command == "checkpatch":
            known, unused = exceptions(), args[0] == "--unused"
            mails = sorted(Path(args[-1]).rglob("*.patch"))
            mails = [mail for mail in mails if not mail.name.startswith("0000-")]
            count = len(mails) + (len(known) if unused else 0)
            sys.exit(show_tap(count, check_mails(mails, known, unused)))
        plan = Plan()
        if command == "list":
            for patch in plan.patches:
                print(f"{patch.number + 1:3} {patch.series:12} {patch.subject}")
        else:
            write_plan(plan, Path(args[0]), Path(args[1]))
    except (Mistake, pieces.Mistake, integrate.Error) as err:
        sys.exit(f"series: {err}")


if __name__ == "__main__":
    main()
