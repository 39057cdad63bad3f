"""The skills as an extension of the protocol has them: listed, each file with its digest, and read by its address."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp.shared.exceptions import MCPError
from mcp_types import Request, RequestParams, Result
from served import Era, Served, served

from mcp_orchestrator.server import skills
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
ERAS: list[Era] = ["auto", "legacy"]
NAMES = {"build-ml-pipeline", "two-agents"}


class Asked(RequestParams):
    """What is asked for."""

    uri: str | None = None
    cursor: str | None = None


class Told(Result):
    """What is answered."""

    skills: list[dict[str, Any]] | None = None
    skill: dict[str, Any] | None = None
    ttlMs: int  # noqa: N815 - its name on the wire
    cacheScope: str  # noqa: N815 - its name on the wire


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, workers=1)


async def ask(server: Served, method: str, **params: str) -> Told:
    """Ask for skills."""
    asked: Request[Asked, str] = Request(method=method, params=Asked.model_validate(params))
    return await server.client.session.send_request(asked, Told)


async def read(server: Served, uri: str) -> tuple[bytes, str | None]:
    """Return the bytes of a file and of what kind it is."""
    [content] = (await server.client.read_resource(uri)).contents
    return content.text.encode(), content.mime_type  # type: ignore[union-attr]


@pytest.mark.parametrize("era", ERAS)
async def test_each_skill_is_listed_with_its_header_and_the_digests_of_what_is_read(
    settings: Settings, era: Era
) -> None:
    async with served(settings, era) as server:
        told = await ask(server, "skills/list")
        assert told.skills
        assert {one["frontmatter"]["name"] for one in told.skills} == NAMES
        for one in told.skills:
            text, media = await read(server, one["uri"])
            assert media == "text/markdown"
            assert one["uri"] == f"skill://{one['frontmatter']['name']}/SKILL.md"
            assert one["frontmatter"] == yaml.safe_load(text.decode().split("\n---\n")[0])
            assert one["uri"] in {file["uri"] for file in one["resources"]}
            for file in one["resources"]:
                content, _ = await read(server, file["uri"])
                digest = hashlib.sha256(content).hexdigest()
                assert (file["digest"], file["size"]) == (f"sha256:{digest}", len(content))
            assert (await ask(server, "skills/get", uri=one["uri"])).skill == one
        listed = {str(one.uri): one for one in (await server.client.list_resources()).resources}
        for one in told.skills:
            shown = listed[one["uri"]]
            assert {"name": shown.name, "description": shown.description} == one["frontmatter"]


async def test_the_extension_is_declared_without_what_it_does_not_have(settings: Settings) -> None:
    async with served(settings) as server:
        known = server.client.server_capabilities
        assert known
        assert (known.extensions or {})[skills.IDENTIFIER] == {}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("skills/get", {"uri": "skill://nobody/SKILL.md"}),
        ("skills/get", {"uri": "skill://two-agents"}),
        ("skills/get", {"uri": "skill://../agents/SKILL.md"}),
        ("skills/get", {}),
        ("skills/list", {"cursor": "2"}),
    ],
)
async def test_what_is_no_skill_is_invalid(settings: Settings, method: str, params: dict[str, str]) -> None:
    async with served(settings) as server:
        with pytest.raises(MCPError) as refusal:
            await ask(server, method, **params)
        assert refusal.value.code == -32602
        for address in ("skill://two-agents/../../README.md", "skill://two-agents/%2e%2e/build-ml-pipeline/SKILL.md"):
            with pytest.raises(MCPError):
                await server.client.read_resource(address)


@pytest.mark.parametrize("era", ERAS)
async def test_further_files_of_a_skill_are_a_part_of_it(
    settings: Settings, era: Era, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "skills" / "mine"
    (folder / "references").mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: mine\ndescription: Mine, for tests. Use never.\n---\n\n# Mine\n")
    (folder / "references" / "more.md").write_text("More ü.\n", "utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\xff")
    (folder / ".hidden").write_text("no")
    monkeypatch.setattr(skills, "PLACES", (tmp_path / "nowhere", tmp_path / "skills"))
    async with served(settings, era) as server:
        told = await ask(server, "skills/list")
        [mine] = told.skills or []
        assert mine["frontmatter"] == {"name": "mine", "description": "Mine, for tests. Use never."}
        files = {one["uri"]: one["size"] for one in mine["resources"]}
        base = "skill://mine/"
        assert files.keys() == {f"{base}SKILL.md", f"{base}references/more.md", f"{base}picture.png"}
        assert await read(server, f"{base}references/more.md") == ("More ü.\n".encode(), "text/markdown")
        [picture] = (await server.client.read_resource(f"{base}picture.png")).contents
        assert (picture.blob, picture.mime_type) == ("iVBOR/8=", "image/png")  # type: ignore[union-attr]
        (folder / "references" / "more.md").write_text("Changed.")
        again = (await ask(server, "skills/get", uri=f"{base}SKILL.md")).skill or {}
        assert {one["uri"]: one["size"] for one in again["resources"]}[f"{base}references/more.md"] == 8


async def test_an_installation_without_skills_has_none_and_says_so(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(skills, "PLACES", (tmp_path / "nowhere",))
    with caplog.at_level(logging.WARNING):
        async with served(settings) as server:
            assert (await ask(server, "skills/list")).skills == []
    assert "skills are not offered" in caplog.text
