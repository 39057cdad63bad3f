"""Tokens that somebody else issued: what is accepted is signed by a known key, for this server, and has not expired."""

from __future__ import annotations

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import anyio
import jwt
import pytest
from anyio import to_thread
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from mcp_orchestrator.errors import InvalidInput, NotReady
from mcp_orchestrator.server.http import Access
from mcp_orchestrator.server.jwt import Issued
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
ISSUER, HERE = "https://login.example.org", "https://ml.example.org/mcp"
RSA, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def keys(tmp_path: Path) -> str:
    """Return the file of the issuer's public keys."""
    first = json.loads(RSAAlgorithm.to_jwk(RSA.public_key()))
    second = json.loads(ECAlgorithm.to_jwk(EC.public_key()))
    known = [{**first, "kid": "one", "alg": "RS256"}, {**second, "kid": "two", "alg": "ES256"}]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": known}))
    return str(tmp_path / "keys.json")


def claims(**other: Any) -> dict[str, Any]:
    """Return what a good token says, with something else."""
    said = {"iss": ISSUER, "aud": HERE, "sub": "ann", "exp": int(time.time()) + 600, "scope": "openid ml:run"}
    return {name: value for name, value in {**said, **other}.items() if value is not None}


def encoded(given: bytes) -> str:
    """Return bytes as they stand in a token."""
    return base64.urlsafe_b64encode(given).rstrip(b"=").decode()


@pytest.mark.parametrize(("key", "kid", "algorithm"), [(RSA, "one", "RS256"), (EC, "two", "ES256")])
async def test_a_token_of_the_issuer_says_who_asks_and_what_they_may(
    keys: str, key: Any, kid: str, algorithm: str
) -> None:
    token = jwt.encode(claims(client_id="agent"), key, algorithm, {"kid": kid})
    found = await Issued(keys, ISSUER, HERE).verify_token(token)
    assert found is not None
    assert (found.subject, found.client_id, found.claims) == ("ann", "agent", {"iss": ISSUER})
    assert found.scopes == ["openid", "ml:run"]
    assert found.token != token


@pytest.mark.parametrize(
    "other",
    [
        {"iss": "https://login.example.com"},
        {"aud": "https://other.example.org"},
        {"exp": int(time.time()) - 600},
        {"nbf": int(time.time()) + 600},
        {"exp": None},
        {"sub": None},
        {"aud": None},
        {"iss": None},
    ],
    ids=["issuer", "audience", "expired", "not yet", "no end", "nobody", "for nobody", "from nobody"],
)
async def test_a_token_that_is_not_for_here_and_now_is_refused(keys: str, other: dict[str, Any]) -> None:
    known = Issued(keys, ISSUER, HERE)
    assert await known.verify_token(jwt.encode(claims(), RSA, "RS256", {"kid": "one"})) is not None
    assert await known.verify_token(jwt.encode(claims(**other), RSA, "RS256", {"kid": "one"})) is None


async def test_a_token_of_a_foreign_key_without_a_signature_or_signed_with_the_public_key_is_refused(keys: str) -> None:
    known = Issued(keys, ISSUER, HERE)
    public = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    good = jwt.encode(claims(), RSA, "RS256", {"kid": "one"})
    head, body, signature = good.split(".")
    secret = f"{encoded(json.dumps({'alg': 'HS256', 'kid': 'one'}).encode())}.{body}"
    for token in (
        jwt.encode(claims(), OTHER, "RS256", {"kid": "one"}),
        jwt.encode(claims(), RSA, "RS256", {"kid": "two"}),
        jwt.encode(claims(), RSA, "RS256", {"kid": "three"}),
        jwt.encode(claims(), "", "none", {"kid": "one"}),
        f"{secret}.{encoded(hmac.digest(public, secret.encode(), 'sha256'))}",
        f"{head}.{body}.",
        f"{head}.{body[:-4]}AAAA.{signature}",
        "a.b.c",
        "",
        "é" * 100,
    ):
        assert await known.verify_token(token) is None


async def test_keys_come_from_an_address_that_is_asked_once_while_they_are_known(keys: str) -> None:
    asked: list[bytes] = []

    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            asked.append(await stream.receive())
            body = Path(keys).read_bytes()
            await stream.send(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, answer)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - of anyio
        issued = await to_thread.run_sync(Issued, f"http://127.0.0.1:{port}/keys", ISSUER, HERE)
        token = jwt.encode(claims(), RSA, "RS256", {"kid": "one"})
        assert await issued.verify_token(token) is not None
        assert await issued.verify_token(token) is not None
        assert len(asked) == 1
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "no JWK set"),
        ("[]", "no JWK set"),
        ('{"keys": []}', "no JWK set"),
        ('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}', "secret key"),
    ],
)
def test_what_is_no_set_of_public_keys_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(InvalidInput, match=problem):
        Issued(str(tmp_path / "keys.json"), ISSUER, HERE)


def test_keys_come_over_a_safe_line_and_with_an_issuer(tmp_path: Path, keys: str) -> None:
    settings = Settings.load(tmp_path)
    with pytest.raises(InvalidInput, match="https address"):
        Issued("http://login.example.org/keys", ISSUER, HERE)
    with pytest.raises(NotReady, match="cannot be read"):
        Issued(str(tmp_path / "none.json"), ISSUER, HERE)
    for access, problem in (
        (Access(jwks=keys), "issuer: is required"),
        (Access(jwks=keys, issuer=ISSUER, url=""), "audience: is required"),
        (Access(issuer=ISSUER), "jwks: is required"),
        (Access(jwks=keys, issuer=ISSUER, tokens=tmp_path), "not both"),
    ):
        with pytest.raises(InvalidInput, match=problem):
            access.verifier(settings)
    assert isinstance(Access(jwks=keys, issuer=ISSUER, url=HERE).verifier(settings), Issued)
