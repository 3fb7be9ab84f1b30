# SPDX-License-Identifier: GPL-2.0
"""What QEMU has executed: its log of the blocks that it translates (-d in_asm).

Without KVM, QEMU translates each block of code when it is first about to execute it, and logs it then. A
block that it translates again is logged again, which does no harm.
"""

import re
from dataclasses import dataclass

# As long as a block has no jump it goes on, up to here or to the end of the page.
_INSTRUCTION = re.compile(r"0x([0-9a-f]+):  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(\s*\S)?")


def blocks(lines):
    """Each block of the log: [(address, bytes of the instruction)]."""
    block = []
    for line in lines:
        if line.startswith("IN:"):
            if block:
                yield block
            block = []
        elif match := _INSTRUCTION.match(line):
            data = bytes.fromhex(match[2])
            # What has no mnemonic is the rest of the bytes of a long one.
            if match[3] or not block:
                block.append((int(match[1], 16), data))
            else:
                block[-1] = (block[-1][0], block[-1][1] + data)
    if block:
        yield block


@dataclass(frozen=True)
class Load:
    module: str
    section: str
    start: int
    size: int


def loads(console):
    """Where modules were loaded, as the kernel tells with kernel/module/main.c's messages."""
    found, module = set(), None
    for line in console:
        if match := re.search(r"Final section addresses for (\w+):", line):
            module = match[1]
        elif match := re.search(r"\s0x([0-9a-f]{16}) 0x([0-9a-f]{8,}) (\.\S+)\s*$", line):
            found.add(Load(module, match[3], int(match[1], 16), int(match[2], 16)))
    return found


class Places:
    """Which module has been at an address. Others may have been there before or later, so that the
    bytes decide."""

    def __init__(self, found, modules):
        """`modules`: {name: line_table.Module}."""
        self.found = [
            (load, modules[load.module].sections[load.section])
            for load in sorted(found, key=lambda load: load.start)
            if load.module in modules and load.section in modules[load.module].sections
        ]

    def of(self, block):
        """The places of a block: [(module, address in its line table)]; of several they are those
        that have these bytes equally well."""
        first = block[0][0]
        best, places = 0, []
        for load, section in self.found:
            if not load.start <= first < load.start + load.size:
                continue
            alike = sum(_alike(section, at - load.start, data) for at, data in block)
            if alike > best:
                best, places = alike, []
            if alike == best and alike:
                places.append((load.module, section.start - load.start))
        return sorted(set(places))


def _alike(section, at, data):
    """Whether these bytes are at this offset, but for those that the loader changes."""
    return len(section.data) >= at + len(data) and all(
        at + i in section.fixed or section.data[at + i] == byte for i, byte in enumerate(data)
    )
