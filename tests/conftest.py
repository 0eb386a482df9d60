"""Hypothesis profiles: `default` gives the same examples in each run; HYPOTHESIS_PROFILE=deep searches for new ones."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("default", derandomize=True, database=None, max_examples=60, deadline=None)
settings.register_profile(
    "deep", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
