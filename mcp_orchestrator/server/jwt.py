"""Tokens that somebody else issued (RFC 9068): signed with a key of a known set, for this server, and not expired."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from anyio import to_thread
from mcp.server.auth.provider import AccessToken

from mcp_orchestrator.errors import InvalidInput, NotReady

if TYPE_CHECKING:
    from jwt import PyJWK

__all__ = ["Issued"]

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a key pair alone: with the others, who can check a token can make one."""
LEEWAY = 30
PATIENCE = 10.0
log = logging.getLogger(__name__)


class Issued:
    """Checks tokens of one issuer with its keys, from a file or from an address that is asked now and then."""

    def __init__(self, keys: str, issuer: str, audience: str) -> None:
        """Take the place of the keys (a JWK set), who issues the tokens, and whom they must be for.

        Raises:
            InvalidInput: the keys are no JWK set, or come over a line that is not safe.
            NotReady: the file cannot be read.

        """
        from jwt import PyJWKClient

        self._issuer, self._audience = issuer, audience
        self._client: PyJWKClient | None = None
        self._keys: list[PyJWK] = []
        place = urlsplit(keys)
        if place.scheme in {"http", "https"}:
            if place.scheme == "http" and place.hostname not in {"127.0.0.1", "::1", "localhost"}:
                raise InvalidInput("jwks", "keys that come over http can be anybody's.", then="Give an https address.")
            self._client = PyJWKClient(keys, timeout=PATIENCE)
        else:
            self._keys = _from_file(Path(keys))

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whose token it is, or None when anything about it is not as it must be."""
        from jwt import PyJWTError

        try:
            return await to_thread.run_sync(self._verified, token)
        except PyJWTError as error:
            log.info("a token was refused: %s", error)
            return None

    def _verified(self, token: str) -> AccessToken | None:
        import jwt

        claims: dict[str, Any] = jwt.decode(
            token,
            self._key(token),
            algorithms=ALGORITHMS,
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        subject = str(claims["sub"])
        client = claims.get("client_id") or claims.get("azp") or subject
        return AccessToken(
            token="",  # nothing of ours needs it again
            client_id=str(client),
            subject=subject,
            scopes=_scopes(claims),
            expires_at=int(claims["exp"]),
            resource=self._audience,
            claims={"iss": claims["iss"]},
        )

    def _key(self, token: str) -> PyJWK:
        import jwt

        if self._client is not None:
            return self._client.get_signing_key_from_jwt(token)
        named = jwt.get_unverified_header(token).get("kid")
        fits = [one for one in self._keys if named is None or one.key_id in {None, named}]
        if len(fits) == 1 or (fits and named is not None):
            return next((one for one in fits if one.key_id == named), fits[0])
        raise jwt.InvalidKeyError("no key of the set is that of the token")


def _from_file(place: Path) -> list[PyJWK]:
    from jwt import PyJWKSet, PyJWTError

    try:
        text = place.read_text("utf-8")
    except OSError as error:
        message = f"{place} cannot be read: {error.strerror}. Give --jwks the file, or the address, of a JWK set."
        raise NotReady(message) from error
    try:
        keys = PyJWKSet.from_dict(json.loads(text)).keys
    except (ValueError, TypeError, AttributeError, PyJWTError) as error:
        raise InvalidInput("jwks", f"{place} is no JWK set: {error}") from error
    if any(one.key_type == "oct" for one in keys):
        raise InvalidInput("jwks", f"{place} has a secret key.", then="Give the public keys of the issuer alone.")
    return keys


def _scopes(claims: dict[str, Any]) -> list[str]:
    given: Any = claims.get("scope", claims.get("scp"))
    if isinstance(given, str):
        return given.split()
    return [str(one) for one in cast("list[Any]", given)] if isinstance(given, list) else []
