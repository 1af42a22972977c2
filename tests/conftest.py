"""Hypothesis profiles: 200 examples of each law in every run, 5,000 at night (HYPOTHESIS_PROFILE=nightly).
And a terminal as most are, whichever one the tests are started from.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile("ci", max_examples=200, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("nightly", max_examples=5000, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("quick", max_examples=20, deadline=None, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

os.environ["TERM"] = "xterm-256color"
