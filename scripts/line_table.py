# SPDX-License-Identifier: GPL-2.0
"""Which source lines the code of an object comes from, by its DWARF 5 line tables.

Code that was inlined has the line where it was written, so a line of ours may have code in many
objects, and in many functions of each.
"""

import posixpath
import struct
from bisect import bisect_right
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

# What a module's sections of code are laid at, so that their addresses differ.
APART = 0x1000_0000

# In an object of 64 bits: where a symbol has its value.
ST_VALUE = 8


@dataclass
class LineTable:
    # (first address, behind the last one, path, line, it begins a statement): files of ours only
    rows: list = field(default_factory=list)
    # (first address, behind the last one): code that belongs together and has lines of ours
    spans: list = field(default_factory=list)

    def add(self, program, is_ours):
        """Adds a program of pyelftools. `is_ours` gets a path as the object has it, and answers with
        the path in the repository, or None."""
        files = _files_of(program.header, is_ours)
        # Most of the kernel has none: to decode that as well takes six times as long.
        if not files:
            return
        sequence = []
        for entry in program.get_entries():
            if entry.state:
                sequence.append(entry.state)
                if entry.state.end_sequence:
                    self._add_sequence(sequence, files)
                    sequence = []

    def _add_sequence(self, sequence, files):
        addresses = [row.address for row in sequence]
        found = False
        for row in sequence[:-1]:
            if row.file not in files or not row.line:
                continue
            found = True
            # Of several rows of one address, all but the last are of code that was folded into it.
            behind = bisect_right(addresses, row.address)
            end = addresses[min(behind, len(addresses) - 1)]
            self.rows.append((row.address, end, files[row.file], row.line, bool(row.is_stmt)))
        if found and addresses[-1] > addresses[0]:
            self.spans.append((addresses[0], addresses[-1]))


def _files_of(header, is_ours):
    """{number: path in the repository} of those that are ours."""
    folders = [folder.decode() for folder in header.include_directory]
    found = {}
    for number, file in enumerate(header.file_entry):
        path = posixpath.join(folders[0], folders[file.dir_index], file.name.decode())
        if ours := is_ours(posixpath.normpath(path)):
            found[number] = ours
    return found


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


# pyelftools is imported where it is used: the tests of all else do without.


def read(image, is_ours):
    """The line table of an ELF image, which is a stream."""
    from elftools.elf.elffile import ELFFile

    dwarf = ELFFile(image).get_dwarf_info()
    table = LineTable()
    for unit in dwarf.iter_CUs():
        if program := dwarf.line_program_for_CU(unit):
            table.add(program, is_ours)
    return table


def read_module(path, is_ours):
    """The line table of a module, all of whose sections begin at address 0: laid apart first."""
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile

    path = Path(path)
    image = bytearray(path.read_bytes())
    elf = ELFFile(BytesIO(image))
    sections, starts = {}, {}
    for number, section in enumerate(elf.iter_sections()):
        if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR and section["sh_size"]:
            starts[number] = number * APART
            relocations = elf.get_section_by_name(f".rela{section.name}")
            fixed = set(fixed_by(relocations.iter_relocations() if relocations else ()))
            sections[section.name] = Section(section.data(), fixed, starts[number])
    # The relocations of the line table are by symbols.
    symbols = elf.get_section_by_name(".symtab")
    for number, symbol in enumerate(symbols.iter_symbols()):
        if start := starts.get(symbol["st_shndx"]):
            at = symbols["sh_offset"] + number * symbols["sh_entsize"] + ST_VALUE
            struct.pack_into("<Q", image, at, symbol["st_value"] + start)
    return Module(path.stem.replace("-", "_"), sections, read(BytesIO(image), is_ours))


def fixed_by(relocations):
    """The offsets of the bytes that they change."""
    for relocation in relocations:
        # R_X86_64_64 and R_X86_64_PC64; all others in code have 32 bits.
        size = 8 if relocation["r_info_type"] in (1, 24) else 4
        yield from range(relocation["r_offset"], relocation["r_offset"] + size)
