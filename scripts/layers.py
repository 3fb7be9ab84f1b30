# SPDX-License-Identifier: GPL-2.0
"""Which modules of rust/kernel/mm import which: files or folders directly below it; and the orders
that README.md and the page of `kernel::mm` give them.

Imports are what `use` trees name, and paths that begin with `crate` or `super`. Names that mm.rs
hands on count for the module that has them.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path("rust/kernel/mm")

# They may import everything, and nothing else may import them.
TESTS = {"tests", "testing"}


def code(source):
    """Without comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.S)


def leaves(tree):
    """The paths of a `use` tree."""
    head, brace, rest = tree.strip().partition("{")
    if not brace:
        return [head.split(" as ")[0]]
    depth, part, found = 0, "", []
    for char in rest[: rest.rindex("}")] + ",":
        depth += (char == "{") - (char == "}")
        if char == "," and not depth:
            found += [head + path for path in leaves(part)] if part.strip() else []
            part = ""
        else:
            part += char
    return found


def paths(source):
    """Each path that a source names, as a list of its parts."""
    source = code(source)
    for use in re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?use\s+([^;\"]+);", source, re.M):
        yield from ([part.strip() for part in path.split("::")] for path in leaves(use))
    for path in re.findall(r"(?<![\w:])(?:crate|super)(?:::\w+)+", source):
        yield path.split("::")


def absolute(path, module):
    """The path from the crate on; `module` is where it is named, in the same form."""
    if path[0] == "crate":
        return path[1:]
    while path and path[0] == "super":
        path, module = path[1:], module[:-1]
    return module + path


def handed_on(repo):
    """{name: module}: what mm.rs declares with `pub use`."""
    inserts = tomllib.loads((repo / "integration.toml").read_text(encoding="utf-8"))["insert"]
    text = code("".join(i.get("text", "") for i in inserts if i["file"] == "rust/kernel/mm.rs"))
    names = {}
    for use in re.findall(r"\bpub use\s+([^;]+);", text):
        for path in leaves(use):
            module, *_, name = path.split("::")
            names[name] = module
    return names


def imports(repo):
    """{module: {module that it imports: {files that do}}}"""
    root = repo / ROOT
    names = handed_on(repo)
    files = sorted(root.rglob("*.rs"))
    modules = {file.relative_to(root).with_suffix("").parts[0] for file in files} - TESTS
    graph = {module: {} for module in modules}
    for file in files:
        module = ["mm", *file.relative_to(root).with_suffix("").parts]
        if module[1] in TESTS:
            continue
        for path in paths(file.read_text(encoding="utf-8")):
            if path[0] not in ("crate", "super"):
                continue
            path = absolute(path, module)
            if len(path) < 2 or path[0] != "mm":
                continue
            target = names.get(path[1], path[1])
            if target in modules | TESTS and target != module[1]:
                graph[module[1]].setdefault(target, set()).add(str(file.relative_to(repo)))
    return graph


def order(repo):
    """The modules as the README names them, from bottom to top."""
    readme = (repo / "README.md").read_text(encoding="utf-8")
    text = re.search(r"^In `rust/kernel/mm/`, from bottom to top: (.+?)\n\n", readme, re.M | re.S)[1]
    return re.findall(r"`(\w+)`", text)


def page_order(repo):
    """The modules in the order of the table on the page of `kernel::mm`, by what the rows link."""
    inserts = tomllib.loads((repo / "integration.toml").read_text(encoding="utf-8"))["insert"]
    text = "".join(i.get("text", "") for i in inserts if i["file"] == "rust/kernel/mm.rs")
    names = handed_on(repo)
    rows = re.findall(r"^//! \| (\[.+?) \|", text, re.M)
    links = [name for row in rows for name in re.findall(r"\[`(\w+)`\]", row)]
    return list(dict.fromkeys(names.get(name, name) for name in links))


def upward(graph, modules):
    """What is not as the order says: "a imports b", with the files that do. A circle has one of
    these, whatever the order."""
    wrong = [f"{module}: not in the order" for module in sorted(set(graph) - set(modules))]
    wrong += [f"{module}: is in the order only" for module in modules if module not in graph]
    for module, targets in sorted(graph.items()):
        for target, files in sorted(targets.items()):
            known = module in modules and target in modules
            if target in TESTS or known and modules.index(target) > modules.index(module):
                wrong.append(f"{module} imports {target}: {', '.join(sorted(files))}")
    return wrong
