"""Hypothesis for this folder: no time limits (machines are shared), nothing kept on disk."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("model", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("model")
