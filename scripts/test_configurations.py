# SPDX-License-Identifier: GPL-2.0
"""Tests of configurations.py, of config/test-all.toml, and of make test-all, with a make test that
builds and boots nothing."""

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import configurations

REPO = Path(__file__).parent.parent

ONE = "[[configuration]]\nkernel = '7.3'\nminutes = 30\nwhy = 'usual'\n"
TABLE = (
    ONE
    + "[[configuration]]\nkernel = ['7.3', '7.2']\nvariant = 'a,b'\nminutes = 45\nwhy = 'both'\n"
    + "[[configuration]]\nkernel = '7.2'\ncpu = 'max'\nminutes = 60\nwhy = 'keys'\n"
)

LOG = "[ 1.0 s] stage\nkernel       2 passed, 0 failed\n{}\n"


class Parse(unittest.TestCase):
    def test_names(self):
        found = configurations.parse(TABLE)
        self.assertEqual([c.name for c in found], ["7.3", "7.3 a,b", "7.2 a,b", "7.2 CPU=max"])
        self.assertEqual([c.id for c in found], ["7.3", "7.3-a,b", "7.2-a,b", "7.2-CPU=max"])
        # Also those that it does not set: another one's must not remain.
        self.assertEqual(found[2].variables, ["KERNEL=7.2", "VARIANT=a,b", "CPU="])
        self.assertEqual(found[3].variables, ["KERNEL=7.2", "VARIANT=", "CPU=max"])

    def test_mistakes(self):
        for text in (
            "[[configuration",
            "",
            "configuration = 1",
            "a = 1\n" + ONE,
            ONE + "variants = 'a'\n",
            ONE + "variant = ''\n",
            ONE + "variant = 'a b'\n",
            ONE + "cpu = 1\n",
            ONE.replace("'7.3'", "7.3"),
            ONE.replace("'7.3'", "[]"),
            ONE.replace("'7.3'", "[7.3]"),
            ONE.replace("'7.3'", "['7.3', '7.3']"),
            ONE.replace("kernel = '7.3'\n", ""),
            ONE.replace("30", "0"),
            ONE.replace("30", "true"),
            ONE.replace("minutes = 30\n", ""),
            ONE.replace("'usual'", "''"),
            ONE.replace("why = 'usual'\n", ""),
            ONE + ONE,
        ):
            with self.subTest(text), self.assertRaises(configurations.Mistake):
                configurations.parse(text)


class Judge(unittest.TestCase):
    def judge(self, log, status):
        result = configurations.judge(log, status)
        return [result[key] for key in ("passed", "failed", "skipped", "note")]

    def test_counts(self):
        self.assertEqual(self.judge(LOG.format("5 passed, 0 failed"), 0), [5, 0, 0, ""])
        self.assertEqual(self.judge(LOG.format("5 passed, 2 failed, 3 skipped"), 1), [5, 2, 3, ""])

    def test_no_success_without_counts(self):
        for log in ("", "rust-mm: no space\n", LOG.format("5 passed, 0 failed, and more"),
                    LOG.format("5 passed, 0 failed\nKilled")):
            for status in (0, 1):
                with self.subTest(log=log, status=status):
                    note = f"ended with status {status}, without a result"
                    self.assertEqual(self.judge(log, status), [0, 1, 0, note])

    def test_status_counts(self):
        log = LOG.format("5 passed, 0 failed")
        self.assertEqual(self.judge(log, 137), [5, 1, 0, "ended with status 137"])


class Results(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.results = Path(folder.name)
        self.configurations = configurations.parse(TABLE)

    def record(self, id, counts="5 passed, 0 failed", state="c 1", status=0, seconds=4000):
        configurations.record(self.results, id, state, LOG.format(counts), status, seconds)

    def to_run(self, state="c 1"):
        found = configurations.to_run(self.configurations, self.results, state)
        return [c.id for c in found]

    def plan(self, times=""):
        times = configurations.parse_times(times)
        return list(configurations.plan(self.configurations, self.results, "c 1", times))

    def table(self, state="c 1"):
        return list(configurations.table(self.configurations, self.results, state))

    def test_what_passed_is_not_run_again(self):
        self.record("7.3")
        self.record("7.2-a,b")
        self.assertEqual(self.to_run(), ["7.3-a,b", "7.2-CPU=max"])

    def test_of_another_state(self):
        self.record("7.3")
        for state in ("c 2", "d 1", "c", ""):
            with self.subTest(state):
                self.assertIn("7.3", self.to_run(state))

    def test_what_failed_is_run_again_after_the_others(self):
        self.record("7.3", "5 passed, 1 failed", status=1)
        self.assertEqual(self.to_run(), ["7.3-a,b", "7.2-a,b", "7.2-CPU=max", "7.3"])

    def test_broken_file(self):
        for text in ("", "{", "\0" * 9):
            (self.results / "7.3.json").write_text(text)
            self.assertIn("7.3", self.to_run())

    def test_times(self):
        self.record("7.3")
        lines = self.plan("7.3:600\n7.3-a,b:7300\n7.2-a,b-c:1\n")
        self.assertEqual([line[11:50].rstrip() for line in lines[:-1]], [
            "           -  passed before",
            "  2 h 02 min  last run",
            "      45 min  table",
            "  1 h 00 min  table",
        ])
        self.assertIn("keys", lines[3])
        # 7300 s, 45 and 60 minutes.
        self.assertEqual(lines[-1], "3 of 4 configurations to run: about 3 h 47 min")

    def test_nothing_to_run(self):
        for c in self.configurations:
            self.record(c.id)
        self.assertEqual(self.plan()[-1], "0 of 4 configurations to run")

    def test_table(self):
        self.record("7.3", "3138 passed, 0 failed, 6 skipped", seconds=2463)
        self.record("7.3-a,b", "5 passed, 2 failed", status=1)
        self.record("7.2-a,b", status=137)
        self.record("7.2-CPU=max", state="changed")
        self.assertEqual(self.table(), [
            "configuration    passed    failed   skipped      time",
            "7.3                3138         0         6     41:03",
            "7.3 a,b               5         2         0   1:06:40  FAILED",
            "7.2 a,b               5         1         0   1:06:40  FAILED, ended with status 137",
            "7.2 CPU=max           -         -         -         -  the files have changed meanwhile",
            "4 configurations: 1 passed, 2 failed, 1 without a result of these files",
        ])

    def test_that_it_failed_before_is_told(self):
        self.record("7.3", "5 passed, 1 failed", state="c 0", status=1)
        self.record("7.3", "5 passed, 1 failed", status=1)
        self.assertTrue(self.table()[1].endswith("  FAILED"))
        self.record("7.3", "5 passed, 1 failed", status=1)
        self.record("7.3")
        self.assertTrue(self.table()[1].endswith("  failures before, with the same files: 2"))
        self.record("7.3")
        self.assertIn("the same files: 2", self.table()[1])

    def test_exit_status(self):
        path = self.results / "table.toml"
        path.write_text(ONE)
        for counts, status in (("5 passed, 1 failed", 1), ("5 passed, 0 failed", 0)):
            self.record("7.3", counts, status=status)
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(configurations.main("table", path, self.results, "c 1"), status)
                self.assertEqual(configurations.main("table", path, self.results, "c 2"), 1)


class Table(unittest.TestCase):
    """config/test-all.toml."""

    def setUp(self):
        text = (REPO / "config/test-all.toml").read_text(encoding="utf-8")
        self.configurations = configurations.parse(text)

    def test_series(self):
        series = {path.name for path in (REPO / "series").iterdir()}
        self.assertEqual({c.kernel for c in self.configurations}, series)

    def test_variants(self):
        """Each is in the table, or says in its file that it is not."""
        used = {v for c in self.configurations for v in c.variant.split(",") if v}
        said = {
            path.stem
            for path in (REPO / "config/variants").iterdir()
            if re.search(r"\bnot in `make test-all`", path.read_text(encoding="utf-8"), re.I)
        }
        names = {path.stem for path in (REPO / "config/variants").iterdir()}
        self.assertEqual(used & said, set())
        self.assertEqual(used | said, names)

    def test_usual_first(self):
        self.assertEqual(self.configurations[0].variables[1:], ["VARIANT=", "CPU="])


# In place of lib/test.sh: what a configuration does, a file of its name says.
FAKE = r"""
run_tests() {
    local name=$KERNEL${VARIANT:+-$VARIANT}${CPU:+-CPU=$CPU}
    echo "$name" >>"$FAKE/ran"
    [[ ! -e $FAKE/$name ]] || source "$FAKE/$name"
    echo "kernel       2 passed, 0 failed"
    echo "5 passed, 0 failed, 1 skipped"
}
"""
FAILS = 'echo "4 passed, 1 failed"; exit 1'
DIES = 'kill -KILL "$BASHPID"'
# In a job of its own, as make test builds and boots; and it may say something at its end.
WAITS = r"""trap 'sleep 0.5; echo ends; exit 143' TERM
LOG=/dev/null; logged bash -c 'echo "$$" >"$FAKE/pid"; exec sleep 600'"""


class Run(unittest.TestCase):
    TABLE = TABLE.replace("['7.3', '7.2']\nvariant = 'a,b'", "'7.3'\nvariant = 'kasan'")
    ALL = ["7.3", "7.3-kasan", "7.2-CPU=max"]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name).resolve()
        self.repo, self.fake = self.top / "repo", self.top / "fake"
        for name in ("config", "scripts"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPO / name, self.repo / name, ignore=ignore)
        (self.repo / "scripts/lib/test.sh").write_text(FAKE)
        (self.repo / "scripts/lib/chosen.sh").write_text("run_chosen() { run_tests; }\n")
        (self.repo / "config/test-all.toml").write_text(self.TABLE)
        (self.repo / ".gitignore").write_text("*~\n")
        self.fake.mkdir()
        self.env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.env |= {"FAKE": str(self.fake), "XDG_CACHE_HOME": str(self.top / "cache")}
        self.git("init", "-q")
        self.commit()

    def git(self, *arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgSign=false")
        subprocess.run(["git", *who, *arguments], cwd=self.repo, env=self.env, check=True)

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a")

    def start(self, *variables):
        return subprocess.Popen(
            [self.repo / "scripts/rust-mm", "test-all", *variables],
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )

    def run_all(self, *variables, status=0):
        """Returns its last lines and the configurations that have run."""
        (self.fake / "ran").unlink(missing_ok=True)
        run = self.start(*variables)
        self.output, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, status, self.output)
        return self.ran()

    def ran(self):
        path = self.fake / "ran"
        return path.read_text().split() if path.exists() else []

    def wait_for(self, condition):
        end = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def has_ended(self, pid):
        try:
            stat = Path("/proc", pid, "stat").read_text()
        except OSError:
            return True
        return stat.rpartition(") ")[2].startswith("Z")

    def says(self, name, text):
        (self.fake / name).write_text(text + "\n")

    def test_all_pass_once(self):
        self.assertEqual(self.run_all(), self.ALL)
        before, _, after = self.output.partition("=== 1 of 3: 7.3\n")
        self.assertIn("3 of 3 configurations to run: about 2 h 15 min\n", before)
        self.assertRegex(before, r"until about \w+ \d\d:\d\d\n")
        self.assertRegex(after, r"\n7.3 kasan +5 +0 +1 +00:\d\d\n")
        self.assertTrue(after.endswith("\n3 configurations: 3 passed, 0 failed\n"))
        self.assertEqual(self.run_all("JOBS=1"), [])
        self.assertTrue(self.output.endswith("\n3 configurations: 3 passed, 0 failed\n"))
        # With this, it is something else.
        self.assertEqual(self.run_all("T=name"), self.ALL)
        self.assertEqual(self.run_all(), [])

    def test_variables_that_it_sets(self):
        for name in ("KERNEL=7.2", "VARIANT=up", "CPU=max", "KDIR=/"):
            self.assertEqual(self.run_all(name, status=1), [])
            self.assertIn("sets KERNEL, VARIANT and CPU itself", self.output)

    def test_failure_does_not_stop_the_others(self):
        self.says("7.3", FAILS)
        self.says("7.3-kasan", DIES)
        self.assertEqual(self.run_all(status=1), self.ALL)
        self.assertRegex(self.output, r"\n7.3 +4 +1 +0 .*FAILED\n")
        self.assertRegex(self.output, r"\n7.3 kasan .*FAILED, ended with status 137, without a result\n")
        self.assertTrue(self.output.endswith("\n3 configurations: 1 passed, 2 failed\n"))
        (self.fake / "7.3").unlink()
        (self.fake / "7.3-kasan").unlink()
        self.assertEqual(self.run_all(), self.ALL[:2])
        self.assertRegex(self.output, r"\n7.3 kasan +5 .*  failures before, with the same files: 1\n")

    def test_goes_on_where_it_was_interrupted(self):
        self.says("7.3-kasan", WAITS)
        run = self.start()
        pid = self.fake / "pid"
        self.wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
        self.assertEqual(run.returncode, 143)
        self.wait_for(lambda: self.has_ended(pid.read_text().strip()))
        (log,) = self.top.glob("cache/rust-mm/work/test-all-*/*/7.3-kasan.log")
        self.wait_for(lambda: log.read_text().endswith("ends\n"))
        # A signal may reach make test first.
        self.says("7.3-kasan", "exit 143")
        self.assertEqual(self.run_all(status=143), ["7.3-kasan"])
        self.says("7.3-kasan", "exit 130")
        self.assertEqual(self.run_all(status=130), ["7.3-kasan"])
        (self.fake / "7.3-kasan").unlink()
        self.assertEqual(self.run_all(), self.ALL[1:])
        self.assertNotIn("failures before", self.output)

    def state(self):
        script = 'source "$1/scripts/lib/test-all.sh"; REPO=$1; checkout_state'
        return subprocess.check_output(["bash", "-euo", "pipefail", "-c", script, "bash", self.repo],
                                       env=self.env, text=True)

    def test_of_the_same_files_only(self):
        file = self.repo / "scripts/lib/soak.sh"
        text, new, states = file.read_text(), self.repo / "scripts/new", [self.state()]
        for change in (
            lambda: file.write_text(text + "# changed\n"),
            file.unlink,
            new.touch,
            lambda: new.write_text("changed"),
            lambda: new.rename(self.repo / "scripts/new er"),
            self.commit,
        ):
            change()
            states.append(self.state())
            self.assertEqual(self.state(), states[-1])
        self.assertEqual(len(set(states)), len(states))
        # The same files, but of another commit; and what git ignores.
        self.commit()
        self.assertNotIn(self.state(), states)
        states.append(self.state())
        (self.repo / "scripts/new~").touch()
        self.assertEqual(self.state(), states[-1])
        file.write_text(text)
        self.assertNotIn(self.state(), states)
        file.unlink()
        self.assertEqual(self.state(), states[-1])

    def test_files_that_change_meanwhile(self):
        self.says("7.3-kasan", f'echo "# changed" >>"{self.repo}/scripts/lib/soak.sh"')
        self.says("7.2-CPU=max", f'git -C "{self.repo}" checkout -q scripts/lib/soak.sh')
        self.assertEqual(self.run_all(status=1), self.ALL)
        self.assertRegex(self.output, r"\n7.3 +5 ")
        self.assertRegex(self.output, r"\n7.3 kasan +- .*changed meanwhile\n")
        self.assertRegex(self.output, r"\n7.2 CPU=max +- .*changed meanwhile\n")
        # The files are again those that the first two began with.
        (self.fake / "7.3-kasan").unlink()
        self.assertEqual(self.run_all(), self.ALL[1:])

    def test_no_git(self):
        shutil.rmtree(self.repo / ".git")
        self.assertEqual(self.run_all(), self.ALL)
        self.assertIn("cannot go on from here", self.output)
        self.assertEqual(self.run_all(), self.ALL)

    def test_recorded_times(self):
        self.says("7.3-kasan", FAILS)
        self.run_all(status=1)
        (times,) = (self.top / "cache/rust-mm/times").iterdir()
        # Not that of a run that did not come to its end.
        self.assertEqual({path.name for path in times.iterdir()}, {"7.3", "7.2-CPU=max"})
        for path in times.iterdir():
            path.write_text("600\n")
        # Of another checkout as well.
        self.repo = Path(shutil.copytree(self.repo, self.top / "other"))
        (self.fake / "7.3-kasan").unlink()
        self.assertEqual(self.run_all(), self.ALL)
        self.assertIn("3 of 3 configurations to run: about 1 h 05 min\n", self.output)
        self.assertRegex(self.output, r"\n7.2 CPU=max +10 min +last run ")
        self.assertRegex(self.output, r"\n7.3 kasan +45 min +table ")


if __name__ == "__main__":
    unittest.main()
