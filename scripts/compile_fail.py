#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compiles what must not compile, and its twin that must.

    compile_fail.py TREE [CASE ...]

Each case is one file in tools/testing/selftests/rust_mm/compile_fail of a built
tree. It is compiled twice, against the `kernel` crate that was built there, with
the very command that built a sample driver: as it is, which must fail with the
errors that the file names by their codes (`no-code` for one that has none), no more
and no fewer, one of which says the text that the file names, and with `--cfg twin`, which must succeed. So a case
cannot pass for a reason other than its own.

The file does not name the line. Where a case and its twin differ is often not where
the compiler sees the error: what was left out there is missed further down. That
there is one error, and none without the difference, says as much.

Prints TAP.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CASES = "tools/testing/selftests/rust_mm/compile_fail"
SAMPLE = "samples/rust/mm/rust_mmap"


def saved_command(tree, crate):
    """The command that compiled a crate, without its outputs."""
    folder, name = os.path.split(crate)
    saved = (tree / folder / f".{name}.o.cmd").read_text(encoding="utf-8")
    line = next(l for l in saved.splitlines() if l.startswith("savedcmd_"))
    line = line.split(" := ", 1)[1].split(";")[0].replace("$(pound)", "#")
    return re.sub(r"--emit=\S+|--out-dir \S+", " ", line)


def command(tree):
    """The command that built the sample, without its input and outputs."""
    line = re.sub(r"--crate-name \S+", " ", saved_command(tree, SAMPLE))
    return line.replace(f"{SAMPLE}.rs", " ").replace(f"./{SAMPLE}.rs", " ")


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
        line = f"{base} --crate-name compile_fail --emit=obj --out-dir {out} --error-format=json"
        if twin:
            line += " --cfg twin"
        return subprocess.run(
            f"{line} '{case}'",
            shell=True, cwd=tree, capture_output=True, text=True, check=False,
            # What the kernel's Makefile exports: unstable options of a stable compiler.
            env={**os.environ, "RUSTC_BOOTSTRAP": "1"},
        )


def errors(stderr):
    """The errors among what the compiler has printed, one JSON object a line."""
    found = []
    for line in stderr.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        # The last one, with neither, counts the others.
        if message["level"] == "error" and (message["code"] or message["spans"]):
            found.append(message)
    return found


def texts(diagnostic):
    """What the compiler says itself, without the lines of source that it quotes."""
    yield diagnostic["message"]
    for span in diagnostic["spans"]:
        yield span["label"] or ""
    for child in diagnostic["children"]:
        yield from texts(child)


def unmet(error, message, found):
    """Returns what is not as expected of the errors of a case."""
    codes = sorted(e["code"]["code"] if e["code"] else "no-code" for e in found)
    if codes != sorted(error.split()):
        return [f"expected {error}, got {' '.join(codes) or 'another failure'}"]
    if not any(message in text for e in found for text in texts(e)):
        return [f"no error says: {message}"]
    return []


def rendered(stderr):
    return "".join(e["rendered"] for e in errors(stderr)) or stderr


def judge(tree, base, case):
    """Returns the reasons why a case fails; none if it passes."""
    error, message = expectation(case)
    bad = compile_case(tree, base, case, twin=False)
    if bad.returncode == 0:
        reasons = ["it compiles"]
    else:
        reasons = unmet(error, message, errors(bad.stderr))
        if reasons:
            reasons += rendered(bad.stderr).splitlines()[:12]
    twin = compile_case(tree, base, case, twin=True)
    if twin.returncode:
        reasons.append("the twin does not compile")
        reasons += rendered(twin.stderr).splitlines()[:12]
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
