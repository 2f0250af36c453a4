"""Google's Application Default Credentials, through google-auth, and never through the gcloud program."""

from __future__ import annotations

import datetime
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.model.errors import SessionsError, Unavailable
from jupyter_sessions.upstream.errors import SHOWN, printable, unauthenticated
from jupyter_sessions.upstream.offload import in_thread
from jupyter_sessions.upstream.program import SECRET
from jupyter_sessions.upstream.renewal import Proof, Renewal

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
AHEAD = 300.0
"""Seconds before its end that a token is renewed, while the old one is still used."""
LEAST = 15.0
"""Seconds that a token has to be good for to be used once more."""
UNENDING = 3600.0
"""Seconds that a token that names no end is used for."""
KEY_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
SIGN_IN = (
    "Sign in on the machine of the Jupyter server: `gcloud auth application-default login`.",
    f"Or name the file of a service account or a federation in {KEY_VARIABLE} and start the server again.",
)
INSTALL = ("Install google-auth beside the server: `pip install jupyter_sessions[dataproc]`, then start it again.",)


class GoogleCredentials:
    """Sends the access token of whoever signed in on this machine, and the project that pays for the calls.

    Nothing is loaded before the first request. A token is renewed on a thread, once for all who wait, and what proves
    us is read anew each time, so that a sign-in helps without a restart. ``now`` gives seconds since the epoch.
    """

    def __init__(self, config: LocationConfig, *, now: Callable[[], float] = time.time) -> None:
        self._config = config
        self._now = now
        self._renewal = Renewal(self._renew, now, ahead=AHEAD, least=LEAST)
        self._remedy: Sequence[str] = SIGN_IN

    async def headers(self) -> Mapping[str, str]:
        """Give the headers of now.

        Raises Unauthenticated with the remedy where nobody is signed in or the sign-in has ended, Unavailable where
        the token's issuer does not answer.
        """
        return await self._renewal.headers()

    def refused(self, headers: Mapping[str, str]) -> None:
        """Have the token renewed, unless it was since."""
        self._renewal.refused(headers)

    def remedy(self) -> list[str]:
        """Give the steps to sign in again."""
        return list(self._remedy)

    async def _renew(self) -> Proof:
        return await in_thread(self._token, "google token")

    def _token(self) -> Proof:
        """Sign in from the start; on a thread of its own."""
        try:
            from google.auth import exceptions

            from jupyter_sessions.upstream.google_requests import limited
        except ImportError:
            self._remedy = INSTALL
            raise self._missing("google-auth is not installed") from None
        self._remedy = SIGN_IN
        request = limited(self._config)
        try:
            credentials = load(request)
            credentials.refresh(request)
        except exceptions.GoogleAuthError as error:
            raise self._meant(error) from None
        except Exception as error:
            # A file that is odd enough fails in the library's code wherever it happens to.
            raise self._missing(f"the credentials cannot be used ({type(error).__name__})") from None
        finally:
            request.session.close()
        return self._proof(credentials)

    def _proof(self, credentials: Any) -> Proof:
        headers = {"Authorization": f"Bearer {credentials.token}"}
        if project := self._config.quota_project or getattr(credentials, "quota_project_id", None):
            headers["X-Goog-User-Project"] = project
        if credentials.expiry is None:
            return Proof(headers, UNENDING)
        # google-auth's times are UTC without saying so.
        end = credentials.expiry.replace(tzinfo=datetime.timezone.utc).timestamp()
        return Proof(headers, end - self._now())

    def _meant(self, error: Exception) -> SessionsError:
        """Tell an issuer that does not answer from one that says no."""
        from google.auth.exceptions import DefaultCredentialsError, TransportError

        words = printable(str(error.args[0]) if error.args else "no reason is given")
        # What the library itself says of a file holds nothing of it; an issuer may say anything.
        if not isinstance(error, DefaultCredentialsError) and SECRET.search(words):
            words = "the issuer's answer is not shown, for a token may stand in it"
        away = isinstance(error, TransportError) or isinstance(error.__cause__, TransportError)
        if away or getattr(error, "retryable", False):
            return Unavailable(f"{self._config.name}: the issuer of Google's access tokens cannot be reached")
        return self._missing(f"no access token for Google: {words[:SHOWN]}")

    def _missing(self, message: str) -> SessionsError:
        return unauthenticated(f"{self._config.name}: {message}", self._remedy)


def load(request: Any) -> Any:
    """Give google-auth's credentials of this machine, in the order that Application Default Credentials have.

    The library's own search would run gcloud to learn the default project as soon as it meets a user's sign-in. So
    what lies in a file is read without it, and the search is left to what needs no file: the metadata server.
    """
    import google.auth as library
    from google.auth import credentials as kinds

    path = os.environ.get(KEY_VARIABLE) or _signed_in()
    # It warns of files from strangers, and of users without a quota project; the file is the owner's own.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path is None:
            return library.default(scopes=[SCOPE], request=request)[0]
        found = library.load_credentials_from_file(str(path), request=request)  # type: ignore[no-untyped-call]  # so there
    return kinds.with_scopes_if_required(found[0], [SCOPE])  # type: ignore[no-untyped-call]  # so there


def _signed_in() -> Path | None:
    """Give the file that signing in writes, if it is there."""
    folder = os.environ.get("CLOUDSDK_CONFIG")
    path = Path(folder) if folder else Path.home() / ".config" / "gcloud"
    path /= "application_default_credentials.json"
    return path if path.is_file() else None
