# SPDX-License-Identifier: GPL-2.0
"""Which source lines the code of an object comes from, as llvm-dwarfdump reads it.

Code that was inlined has the line where it was written, so a line of ours may have code in many
objects, and in many functions of each.
"""

import posixpath
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

# What a module's sections of code are laid at, so that their addresses differ.
APART = 0x1000_0000

# Address, line, column, file, ISA, discriminator, index of the operation, flags.
_ROW = re.compile(r"0x([0-9a-f]+)\s+(\d+)\s+\d+\s+(\d+)\s+\d+\s+\d+\s+\d+\s*(.*)")


@dataclass
class LineTable:
    # (first address, behind the last one, path, line, it begins a statement): files of ours only
    rows: list = field(default_factory=list)
    # (first address, behind the last one): code that belongs together and has lines of ours
    spans: list = field(default_factory=list)


def parse(lines, is_ours):
    """From llvm-dwarfdump --debug-line. `is_ours` gets a path as the object has it, and answers with
    the path in the repository, or None."""
    table = LineTable()
    folders, files, name, sequence = {}, {}, None, []
    for line in lines:
        if line.startswith("0x"):
            match = _ROW.match(line)
            sequence.append((int(match[1], 16), int(match[2]), int(match[3]), match[4]))
            if "end_sequence" in match[4]:
                _add_sequence(table, sequence, files)
                sequence = []
        elif line.startswith("debug_line["):
            folders, files, sequence = {}, {}, []
        elif match := re.match(r'include_directories\[ *(\d+)\] = "(.*)"', line):
            folders[int(match[1])] = match[2]
        elif match := re.match(r"file_names\[ *(\d+)\]:", line):
            number = int(match[1])
        elif match := re.match(r' *name: "(.*)"', line):
            name = match[1]
        elif match := re.match(r" *dir_index: (\d+)", line):
            path = posixpath.join(folders.get(0, ""), folders.get(int(match[1]), ""), name)
            ours = is_ours(posixpath.normpath(path))
            if ours:
                files[number] = ours
    return table


def _add_sequence(table, sequence, files):
    found = False
    for i, (start, line, file, flags) in enumerate(sequence[:-1]):
        if file not in files or not line:
            continue
        found = True
        # Of several rows of one address, all but the last are of code that was folded into it.
        end = next((a for a, *_ in sequence[i + 1 :] if a != start), start)
        table.rows.append((start, end, files[file], line, "is_stmt" in flags))
    if found and sequence[-1][0] > sequence[0][0]:
        table.spans.append((sequence[0][0], sequence[-1][0]))


def read(path, is_ours):
    with subprocess.Popen(
        ["llvm-dwarfdump", "--debug-line", path], stdout=subprocess.PIPE, text=True
    ) as dump:
        table = parse(dump.stdout, is_ours)
    if dump.returncode:
        raise subprocess.CalledProcessError(dump.returncode, "llvm-dwarfdump")
    return table


@dataclass
class Section:
    data: bytes
    fixed: set  # offsets of bytes that the loader changes
    start: int  # where the line table has it


@dataclass
class Module:
    name: str  # as the kernel has it
    sections: dict  # of code, by name
    table: LineTable


def read_module(path, is_ours, scratch):
    """The line table of a module, all of whose sections begin at address 0: laid apart first."""
    scratch, path = Path(scratch), Path(path)
    sections = {}
    listing = _run("llvm-readelf", "--sections", "--wide", path)
    names = re.findall(
        r"^ +\[ *\d+\] (\S+) +PROGBITS +0+ [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+ +AX ", listing, re.M
    )
    for number, (name, size) in enumerate(names, 1):
        if not int(size, 16):
            continue
        _run("llvm-objcopy", "-O", "binary", f"--only-section={name}", path, scratch / "section")
        data = (scratch / "section").read_bytes()
        sections[name] = Section(data, set(), number * APART)
    for name, relocations in relocations_of(_run("llvm-readelf", "--relocations", "--wide", path)):
        if name in sections:
            sections[name].fixed.update(relocations)
    script = "".join(
        f"{name} {section.start:#x} : {{ *({name}) }}\n" for name, section in sections.items()
    )
    (scratch / "script").write_text(f"SECTIONS {{\n{script}}}\n", encoding="utf-8")
    _run(
        *("ld.lld", "--no-relax", "--noinhibit-exec", "--unresolved-symbols=ignore-all"),
        *("--no-gc-sections", "-e", "0", "-T", scratch / "script", "-o", scratch / "linked", path),
    )
    name = path.stem.replace("-", "_")
    return Module(name, sections, read(scratch / "linked", is_ours))


def relocations_of(listing):
    """From llvm-readelf --relocations: (section, offsets of the bytes that it changes)."""
    section, found = None, set()
    for line in listing.splitlines():
        if match := re.match(r"Relocation section '\.rela?(\S+)'", line):
            yield section, found
            section, found = match[1], set()
        elif match := re.match(r"([0-9a-f]{16}) +[0-9a-f]{16} (R_X86_64_\w+)", line):
            size = 8 if match[2] in ("R_X86_64_64", "R_X86_64_PC64") else 4
            found.update(range(int(match[1], 16), int(match[1], 16) + size))
    yield section, found


def _run(*command):
    run = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, command[0], run.stdout, run.stderr)
    return run.stdout
