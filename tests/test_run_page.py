"""The page of a run: both eras get it, it loads nothing, and what it reads is in real answers."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp_types import BlobResourceContents, TextResourceContents

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import build, page
from mcp_orchestrator.server.page import ADDRESS
from mcp_orchestrator.settings import Settings

MIME = "text/html;profile=mcp-app"
EXTENSION = "io.modelcontextprotocol/ui"
SHOWN = {"run_ml_training_workflow", "run_ml_evaluation_workflow", "run_workflow", "get_run"}
MOST = 60_000
UI = Path(page.__file__).with_name("ui")
READS: dict[str, list[str]] = json.loads((UI / "reads.json").read_text())
INJECTED = "<img src=x onerror=alert(1)>"
QUICK = {"families": ["linear"], "ensemble": "none", "tracking": False, "gates": {"tracked": False}}
MANY = {
    "steps": [{"name": "some", "component": "toys", "capability": "add", "params": {"a": 1}, "each": [*range(60)]}],
}


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the texts of those that hold code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"style": [], "script": []}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in self.texts and data.strip():
            self.texts[self.tags[-1][0]].append(data)


@pytest.fixture(scope="module")
def whole() -> str:
    return page.page()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What the page is answered, by the names of reads.json: a training and a test, a failure, a long run."""
    project = tmp_path_factory.mktemp("page")
    (project / "orchestrator.toml").write_text('[components]\ntoys = "toys"\n')
    table(project / "first.csv", 0.0)
    table(project / "later.csv", 2.0)
    (project / "other.csv").write_text("y\na\nb\n")
    return anyio.run(asked, project)


def table(path: Path, moved: float) -> None:
    chance = random.Random(3)  # noqa: S311 - a table
    lines = [f"width,{INJECTED},colour,copy,kind"]
    for row in range(90):
        width = chance.gauss(1.5 * (row % 3), 1)
        kind = ("a", "b & c", "<i>d</i>")[row % 3]
        lines.append(f"{width + moved:.3f},{chance.gauss(0, 1):.3f},{chance.choice(['red', 'blue'])},{row % 3},{kind}")
    path.write_text("\n".join(lines) + "\n")


async def asked(project: Path) -> dict[str, list[Any]]:
    orchestrator = Orchestrator(project, in_process=True)
    async with Client(build(orchestrator)) as client:

        async def call(tool: str, /, **given: Any) -> Any:
            answer = await client.call_tool(tool, given)
            assert not answer.is_error, answer.content
            return answer.structured_content

        async def read(uri: str) -> Any:
            [found] = (await client.read_resource(uri)).contents
            assert isinstance(found, TextResourceContents)
            return json.loads(found.text)

        async def ended(run: str) -> Any:
            with anyio.fail_after(60):
                while (await call("get_run", run_id=run, wait_seconds=50))["status"] in {"queued", "running"}:
                    pass
            return await read(f"run://{run}")

        training = {"data": "first.csv", "target": "kind", "trials": 2, "name": "kinds", "spec": QUICK}
        begun = await call("run_ml_training_workflow", **training, wait_seconds=0)
        working = begun
        with anyio.fail_after(60):
            while "message" not in working and working["status"] in {"queued", "running"}:
                working = await call("get_run", run_id=begun["run_id"], wait_seconds=0)
        trained = await ended(begun["run_id"])
        lately = {"model": "kinds@1", "data": "later.csv", "against": "kinds@1"}
        tested = await ended((await call("run_ml_evaluation_workflow", **lately, wait_seconds=0))["run_id"])
        broken = await call("run_ml_evaluation_workflow", model="kinds@1", data="other.csv", wait_seconds=0)
        failed = await ended(broken["run_id"])
        many = await call("run_workflow", graph=MANY, wait_seconds=50)
        paged = await call("get_run", run_id=many["run_id"], detail="full")
        run = trained["run_id"]
        files = {one["name"].removeprefix("plots/"): one["sha256"] for one in trained["artifacts"]}
        [drawn] = (await client.read_resource(f"run://{run}/plots/roc")).contents
        assert isinstance(drawn, BlobResourceContents)
        try:
            await client.read_resource(f"run://{run}/plots/sunset")
            refusal = ""
        except MCPError as error:
            refusal = str(error)
        return {
            "run": [begun, working, trained, tested, failed, paged],
            "runs": [await call("list_runs", workflow="train")],
            "models": [await call("find_models", name="kinds")],
            "events": [await read(f"run://{run}/events"), {"next": None}],
            "test": [await read(f"run://{run}/steps/test")],
            "plots": [drawn, files, refusal],
        }


def values(answer: Any, path: str) -> list[Any]:
    """Return what stands at a path of an answer, each time that it occurs; null counts as nothing."""
    found = [answer]
    for part in path.replace("[]", ".[]").replace("{}", ".{}").split("."):
        if part == "[]":
            found = [one for several in found if isinstance(several, list) for one in several]
        elif part == "{}":
            found = [one for known in found if isinstance(known, dict) for one in known.values()]
        else:
            found = [known[part] for known in found if isinstance(known, dict) and part in known]
    return found


@pytest.mark.slow
def test_all_that_the_page_reads_is_in_real_answers(answers: dict[str, list[Any]]) -> None:
    declared = [(source, path) for source, paths in READS.items() for path in paths]
    assert len(declared) > 100
    assert [
        (source, path)
        for source, path in declared
        if not [one for answer in answers[source] for one in values(answer, path)]
    ] == []


@pytest.mark.slow
def test_a_picture_of_a_run_is_read_by_its_name(answers: dict[str, list[Any]]) -> None:
    drawn, files, refusal = answers["plots"]
    content = base64.b64decode(drawn.blob)
    assert drawn.mime_type == "image/png"
    assert hashlib.sha256(content).hexdigest() == files["roc.png"]
    assert "confusion" in refusal


@pytest.mark.slow
def test_names_from_data_reach_the_page_as_they_are(answers: dict[str, list[Any]]) -> None:
    trained = answers["run"][2]
    assert INJECTED in {one["name"] for one in trained["importance"]}
    assert "<i>d</i>" in answers["test"][0]["result"]["classes"]


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_both_eras_are_given_the_page_and_pointed_to_it(era: Any, settings: Settings, whole: str) -> None:
    async with Client(build(Orchestrator(settings=settings, in_process=True)), mode=era) as client:
        tools = (await client.list_tools()).tools
        shown = {one.name: one.meta["ui"]["resourceUri"] for one in tools if one.meta and "ui" in one.meta}
        assert shown == dict.fromkeys(SHOWN, ADDRESS)
        [listed] = [one for one in (await client.list_resources()).resources if one.uri == ADDRESS]
        [found] = (await client.read_resource(ADDRESS)).contents
        assert isinstance(found, TextResourceContents)
        assert found.text == whole
        assert listed.mime_type == found.mime_type == MIME
        assert listed.meta == found.meta
        assert found.meta is not None
        assert not any(found.meta["ui"]["csp"].values())
        declared = (client.server_capabilities.extensions or {}) if client.server_capabilities else {}
        assert (EXTENSION in declared) == (era == "auto")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_page_loads_nothing_and_its_policy_lets_only_itself_run(whole: str) -> None:
    seen = Tags(whole)
    assert len(whole.encode()) < MOST
    assert set(re.findall(r"\w+://[^\s\"'`)]*", whole)) <= {
        "http://www.w3.org/2000/svg",
        *re.findall(r"run://[^\s\"'`)]*", whole),
    }
    named = {name for _, attributes in seen.tags for name in attributes}
    assert not {name for name in named if name.startswith("on") or name in {"src", "href", "style", "srcdoc"}}
    [policy] = [one["content"] for tag, one in seen.tags if tag == "meta" and one.get("http-equiv")]
    assert policy is not None
    [style], [data, script] = seen.texts["style"], seen.texts["script"]
    assert json.loads(data) == READS
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")


def test_the_script_has_no_way_to_make_markup_or_code_of_data() -> None:
    script = "\n".join(one.read_text() for one in UI.glob("*.js"))
    markup = r"innerHTML|outerHTML|insertAdjacent|document\.write|createContextualFragment|DOMParser|srcdoc"
    assert not re.findall(markup, script)
    assert not re.findall(
        r"\beval\b|Function\(|import\(|\.href|location|cookie|Storage\b|fetch\(|XMLHttp|Socket", script
    )
    assert re.findall(r"createElement\((?!tag\))|setAttribute\((?!name, value)(?!\"aria-)", script) == []


def test_what_the_script_names_is_in_the_page_and_its_brackets_close(whole: str) -> None:
    ids = {one["id"] for _, one in Tags(whole).tags if one.get("id")}
    script = "\n".join(one.read_text() for one in UI.glob("*.js"))
    named = set(re.findall(r"(?:getElementById|fill|press)\(\"(\w+)\"", script))
    assert len(named) > 20
    assert named <= ids
    sections = {str(one["id"]) for tag, one in Tags(whole).tags if tag == "section"}
    assert sections <= named
    for file in UI.glob("*.js"):
        assert unclosed(file.read_text()) == [], file.name


def unclosed(script: str) -> list[str]:
    """Return the brackets and quotes of a script that are not closed, or closed as others."""
    pairs = {")": "(", "]": "[", "}": "{"}
    opened: list[str] = []
    token = re.compile(
        r"//[^\n]*"
        r"|(?<=[(,=:!?] )/(?:\\.|\[[^\]\n]*\]|[^/\\\n])+/\w*|(?<=[(])/(?:\\.|\[[^\]\n]*\]|[^/\\\n])+/\w*"
        r"|\"(?:\\.|[^\"\\\n])*\"|\$\{|[()\[\]{}`]|\\."
    )
    place = 0
    while (found := token.search(script, place)) is not None:
        text, place = found[0], found.end()
        if opened[-1:] == ["`"] and text not in {"`", "${"}:
            place = found.start() + 1  # within a template, quotes, brackets and slashes are text
        elif text == "`":
            opened.pop() if opened[-1:] == ["`"] else opened.append("`")
        elif text in {"(", "[", "{", "${"}:
            opened.append(text[-1])
        elif text in pairs:
            if opened[-1:] != [pairs[text]]:
                return [*opened, text]
            opened.pop()
    return opened


@pytest.mark.skipif(shutil.which("node") is None, reason="node reads the script where there is one")
def test_the_script_can_be_read_by_an_engine(whole: str, tmp_path: Path) -> None:
    file = tmp_path / "script.js"
    file.write_text(Tags(whole).texts["script"][1])
    done = subprocess.run(["node", "--check", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
