"""Who proves to an upstream who we are, chosen by the location's ``auth``."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_sessions.config.locations import Auth, LocationConfig
from jupyter_sessions.upstream.base import Credentials


class NoCredentials:
    """Sends nothing: for an upstream on this machine, or one that asks nobody."""

    def __init__(self, config: LocationConfig) -> None:
        self._config = config

    async def headers(self) -> Mapping[str, str]:
        """Give no header."""
        return {}

    def refused(self, headers: Mapping[str, str]) -> None:
        """Hear that the upstream wants credentials; there are no others to give."""

    def remedy(self) -> list[str]:
        """Give the steps to have credentials."""
        where = self._config.source or "the configuration"
        return [f"The upstream wants credentials: give {self._config.name} `auth` and `bearer` in {where}."]


def make_credentials(config: LocationConfig) -> Credentials:
    """Make the credentials of one location. Nothing is read before the first request."""
    if config.auth is Auth.GOOGLE:
        from jupyter_sessions.upstream.google import GoogleCredentials

        return GoogleCredentials(config)
    if config.auth is Auth.BEARER:
        from jupyter_sessions.upstream.bearer import BearerCredentials

        return BearerCredentials(config)
    return NoCredentials(config)
