"""The report's two files, and the atlas made of them."""

from __future__ import annotations

import errno
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import jax
import matplotlib
import pytest
from rich.console import Console

from stagejax.committed import last_results, results_folder
from stagejax.report import Arm, Report, Table, atlas, claim, environment, saving, write_atlas
from stagejax.report.figures import figures
from stagejax.report.machine import environment as machine
from stagejax.report.report import write_text

EVIL = '<script src="http://x.test/a.js">&"\''
ENVIRONMENT = {"commit": "0123456789abcdef", "dirty": True, "jax": "0.10.2", "loss": math.nan}


@pytest.fixture
def stages(fakes):
    _, trained, _ = fakes
    rows = (("params", "24", "229,888", "carry", EVIL),)
    receipt = {"logits": {"largest change": 3.1e-6}, "parameters": [1, 2], "note": EVIL}
    grow = fakes[0]("start/fpi", kind="grow", receipt=receipt, parameters=230_000)
    return (
        trained("small", [6.0, 3.0]),
        trained("scratch", [[6.0, 6.2], [4.0, 4.1], [2.0, 2.2]], parameters=230_000),
        grow,
        trained("large/fpi", [3.0, 1.0], handover=rows),
    )


@pytest.fixture
def report(stages):
    small, scratch, grow, large = stages
    arms = (Arm("scratch", (scratch,)), Arm(f"FPI {EVIL}", (grow, large), (small,)))
    saved = saving(arms[1], arms[0])
    return Report(
        "bert2bert",
        f"Growing {EVIL}",
        "bert2BERT, ACL 2022",
        claims=(
            claim(f"FPI saves {EVIL}", paper="30.4%", measured=saved, margin=">= 10%", holds=saved > 0.1, unit="%"),
            claim("GPT too", paper="47%", measured=math.nan, margin=">= 10%", holds=False),
        ),
        arms=arms,
        tables=(Table("Preservation", ("pair", "difference"), ((EVIL, math.nan),)),),
        notes=(EVIL,),
        number="022",
        link="https://arxiv.org/abs/2110.07143",
        seeds=(0, 1),
        preset="smoke",
    )


def write(report, folder, stages):
    commands = ["stagejax run bert2bert --preset smoke"]
    return report.write(
        folder, stages=stages, environment=ENVIRONMENT, commands=commands, config={"x": EVIL, "y": math.nan}
    )


class Reader(HTMLParser):
    """Checks that tags nest, and collects them."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.slow
def test_the_page_is_self_contained_and_escaped(report, stages, tmp_path):
    page = write(report, tmp_path, stages).read_text(encoding="utf-8")
    reader = read(page)
    for tag, attrs in reader.tags:
        assert tag not in ("script", "link", "img", "iframe", "object", "base", "image")
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "xlink:href", "data", "poster", "action"):
            value = attrs.get(name) or ""
            assert value == "" or value.startswith("#") or (tag == "a" and value.startswith("https://"))
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", page)
    assert "prefers-color-scheme:dark" in style
    assert ("a", {"href": report.link}) in reader.tags
    for text in (
        EVIL,
        "77.5%",
        "not tested",
        "hand-over",
        "growth receipt",
        "0.10.2",
    ):
        assert text in reader.text
    assert "logits.largest change" in reader.text
    assert sum(tag == "svg" for tag, _ in reader.tags) == 3
    assert "stagejax run bert2bert --preset smoke" in reader.text


def test_the_json_holds_the_schema_and_no_nan(report, stages, tmp_path):
    def refuse(word):
        raise AssertionError(word)

    write(report, tmp_path, stages)
    page = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert {"experiment", "preset", "commit", "environment", "stages", "arms", "claims", "config", "commands"} <= set(
        page
    )
    assert (page["experiment"], page["preset"], page["commit"]) == ("bert2bert", "smoke", ENVIRONMENT["commit"])
    assert page["environment"]["loss"] is None
    for stage in page["stages"]:
        assert {"name", "kind", "steps", "costs", "digest"} <= set(stage)
        assert len(stage["digest"]) == 64
        assert {"flops", "eval_flops", "tokens", "samples", "sampled_tokens", "steps", "seconds"} == set(stage["costs"])
    assert page["stages"][2]["receipt"]["parameters"] == [1, 2]
    for made in page["claims"]:
        assert {"statement", "paper", "measured", "margin", "verdict"} <= set(made)
    assert [c["verdict"] for c in page["claims"]] == ["holds", "not tested"]
    assert page["claims"][1]["measured"] is None
    arm = page["arms"][1]
    assert arm["stages"] == ["start/fpi", "large/fpi"]
    assert arm["charged"] == ["small"]
    assert arm["final"] == 1.0
    assert arm["saving"] == pytest.approx(1 - 4.5 / 20)
    assert arm["curve"]["loss"] == [3.0, 1.0]
    assert page["arms"][0]["saving"] is None
    assert page["tables"][0]["rows"] == [[EVIL, None]]


def test_a_planned_report_has_no_verdicts_and_no_curves(fakes, tmp_path):
    _, _, planned = fakes
    arms = (Arm("a", (planned("a"),)), Arm("b", (planned("b"),)))
    made = claim("b saves", paper="1%", measured=saving(arms[1], arms[0]), margin="> 0", holds=False)
    plan = Report("x", "X", "paper", preset="pod", claims=(made,), arms=arms)
    page = write(plan, tmp_path, [planned("a")]).read_text()
    assert "<svg" not in page
    assert json.loads((tmp_path / "report.json").read_text())["claims"][0]["verdict"] == "not tested"
    empty = Report("x", "X", "paper", preset="pod", claims=())
    read(empty.to_html(stages=(), environment={}, commands=(), config=None))


def test_figures_are_the_same_bytes_and_leave_no_trace(report):
    before = dict(matplotlib.rcParams)
    first, second = (figures(report.arms, "scratch") for _ in range(2))
    assert first == second
    assert dict(matplotlib.rcParams) == before
    assert "currentColor" in first[0].svg
    assert "Date" not in first[0].svg
    assert len(set(re.findall(r'id="([^"]*)"', first[0].svg))) == len(re.findall(r'id="([^"]*)"', first[0].svg))


def test_seeds_of_one_group_share_a_colour_and_a_line_in_the_legend(fakes):
    _, trained, _ = fakes
    seeds = [Arm(f"fpi, seed {i}", (trained("f", [3.0, 1.0 + i]),), group="fpi") for i in range(3)]
    svg = figures((Arm("scratch", (trained("s", [6.0, 2.0]),)), *seeds), "scratch")[0].svg
    assert "2.000  fpi" in svg
    assert "seed" not in svg
    assert set(re.findall("#[0-9A-Fa-f]{6}", svg)) == {"#4477aa"}


def test_writing_is_whole_or_not_at_all(report, stages, tmp_path, monkeypatch):
    write(report, tmp_path, stages)
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(old) == {"report.html", "report.json"}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*report\.html was not written"):
        write(report, tmp_path, stages)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="was not written"):
        write_text(tmp_path / "file" / "x.txt", "text")


def test_only_the_first_process_writes(report, stages, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    write(report, tmp_path / "new", stages)
    assert not (tmp_path / "new").exists()


def test_the_terminal_shows_results_and_claims(report):
    console = Console(record=True, width=160, file=open("/dev/null", "w"))  # noqa: SIM115
    report.render(console)
    text = console.export_text()
    console.file.close()
    for part in ("scratch", "77.5%", "✓ holds", "? not tested", "47%"):
        assert part in text


def test_arms_have_names_of_their_own(report):
    with pytest.raises(ValueError, match="share a name"):
        Report("x", "X", "p", claims=(), arms=(report.arms[0], report.arms[0]))
    with pytest.raises(ValueError, match="no arm is named 'nobody'"):
        Report("x", "X", "p", claims=(), arms=report.arms, baseline="nobody")


def test_the_environment():
    found = environment()
    assert found is not None
    assert {
        "python",
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "orbax-checkpoint",
        "platform",
        "device",
        "devices",
        "cores",
        "cpu",
    } <= set(found)
    assert found["jax"] == jax.__version__
    assert machine is environment
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{40}", found["commit"])


def test_a_copy_in_another_repository_has_no_commit(monkeypatch, tmp_path):
    module = __import__("stagejax.report.machine", fromlist=["machine"])
    monkeypatch.setattr(module, "__file__", str(tmp_path / "machine.py"))
    assert module.environment()["commit"] is None


def test_the_atlas(report, stages, tmp_path):
    write(report, tmp_path / "results" / "bert2bert", stages)
    entries = atlas.read(tmp_path / "results")
    (entry,) = entries
    assert (entry.experiment, entry.number, entry.preset, entry.seeds) == ("bert2bert", "022", "smoke", 2)
    assert entry.verdicts == (("holds", 1), ("not tested", 1))
    assert entry.commit == "0123456789+"
    assert "77.5% (paper: 30.4%)" in entry.headline
    counts, empty, *table = atlas.markdown(entries).splitlines()
    assert (counts, empty) == ("1 results of 1 papers. Verdicts: 1 holds, 1 not tested.", "")
    assert len(table) == 3
    assert {line.count("|") for line in table} == {len(atlas.COLUMNS) + 1}
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n{atlas.BEGIN}\nold\n{atlas.END}\nrest\n")
    for _ in range(2):
        atlas.write(tmp_path / "results", readme=readme, html_page=tmp_path / "atlas.html")
    assert readme.read_text() == f"# Title\n{atlas.BEGIN}\n{atlas.markdown(entries)}{atlas.END}\nrest\n"
    assert EVIL in read((tmp_path / "atlas.html").read_text()).text
    assert atlas.read(tmp_path / "nowhere") == ()


@pytest.mark.slow
def test_the_last_result_and_the_folder_of_results(report, stages, tmp_path):
    for day, name in ((2, "b"), (1, "a")):
        report.write(tmp_path / name, environment={"commit": "c" * day, "date": f"2026-01-0{day}"})
    found = last_results(tmp_path)["bert2bert"]
    assert found["commit"] == "cc"
    assert found["verdicts"] == {"holds": 1, "not tested": 1}
    assert found["claims"][0]["paper"] == "30.4%"
    assert last_results(tmp_path / "nowhere") == {}
    for _ in range(2):
        assert write_atlas(tmp_path).startswith("2 results in ")
    assert (tmp_path / "README.md").read_text().count("bert2bert") == 2
    assert (tmp_path / "atlas.html").exists()
    assert results_folder().parts[-2:] == ("experiments", "results")


def test_the_atlas_names_a_foreign_file(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match=r"a\.json is no report\.json: KeyError\('claims'\)"):
        atlas.read(tmp_path)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is not JSON"):
        atlas.read(tmp_path)
    with pytest.raises(ValueError, match="put the lines"):
        atlas.update("nothing", ())


@pytest.mark.slow
def test_importing_the_report_draws_no_plots_in():
    code = "import sys, stagejax.report; print('matplotlib' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "False"
