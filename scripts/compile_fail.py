#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compiles what must not compile, and its twin that must.

    compile_fail.py TREE [CASE ...]

Each case is one file in tools/testing/selftests/rust_mm/compile_fail of a built
tree. It is compiled twice, against the `kernel` crate that was built there, with
the very command that built a sample driver: as it is, which must fail with just
the error codes and a message that the file names, and with `--cfg twin`, which
must succeed. So a case cannot pass for a reason other than its own.

Prints TAP.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CASES = "tools/testing/selftests/rust_mm/compile_fail"
SAMPLE = "samples/rust/mm/rust_mmap"


def command(tree):
    """The command that built the sample, without its input and outputs."""
    folder, name = os.path.split(SAMPLE)
    saved = (tree / folder / f".{name}.o.cmd").read_text(encoding="utf-8")
    line = next(l for l in saved.splitlines() if l.startswith("savedcmd_"))
    line = line.split(" := ", 1)[1].split(";")[0].replace("$(pound)", "#")
    line = re.sub(r"--emit=\S+|--crate-name \S+|--out-dir \S+", " ", line)
    line = line.replace(f"{SAMPLE}.rs", " ").replace(f"./{SAMPLE}.rs", " ")
    return line


def expectation(case):
    text = case.read_text(encoding="utf-8")
    found = {}
    for key in ("error", "message"):
        match = re.search(rf"^// {key}: (.+)$", text, re.MULTILINE)
        if not match:
            raise SystemExit(f"{case}: no line `// {key}: ...`")
        found[key] = match.group(1)
    return found["error"], found["message"]


def compile_case(tree, base, case, twin):
    # Objects, not metadata: constants are evaluated only where code is generated.
    with tempfile.TemporaryDirectory() as out:
        line = f"{base} --crate-name compile_fail --emit=obj --out-dir {out}"
        if twin:
            line += " --cfg twin"
        return subprocess.run(
            f"{line} '{case}'",
            shell=True, cwd=tree, capture_output=True, text=True, check=False,
            # What the kernel's Makefile exports: unstable options of a stable compiler.
            env={**os.environ, "RUSTC_BOOTSTRAP": "1"},
        )


def judge(tree, base, case):
    """Returns the reasons why a case fails; none if it passes."""
    error, message = expectation(case)
    bad = compile_case(tree, base, case, twin=False)
    codes = set(re.findall(r"^error\[(E\d+)\]", bad.stderr, re.MULTILINE))
    reasons = []
    if bad.returncode == 0:
        reasons.append("it compiles")
    elif codes != set(error.split()):
        reasons.append(f"expected {error}, got {' '.join(sorted(codes)) or 'another error'}")
    elif message not in bad.stderr:
        reasons.append(f"the message is not there: {message}")
    if reasons and bad.returncode:
        reasons += bad.stderr.splitlines()[:12]
    twin = compile_case(tree, base, case, twin=True)
    if twin.returncode:
        reasons.append("the twin does not compile")
        reasons += twin.stderr[twin.stderr.find("error"):].splitlines()[:12]
    return reasons


def main():
    tree = pathlib.Path(sys.argv[1]).resolve()
    wanted = set(sys.argv[2:])
    cases = sorted(
        case for case in (tree / CASES).glob("*.rs")
        if case.stem != "prelude" and (not wanted or case.stem in wanted)
    )
    base = command(tree)
    print("TAP version 13")
    print(f"1..{len(cases)}")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda case: judge(tree, base, case), cases)
        for number, (case, reasons) in enumerate(zip(cases, results), 1):
            failed += bool(reasons)
            print(f"{'not ok' if reasons else 'ok'} {number} {case.stem}")
            for reason in reasons:
                print(f"# {reason}")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
