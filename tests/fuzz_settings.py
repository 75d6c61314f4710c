"""Settings of the tests whose cases Hypothesis makes up."""

from hypothesis import HealthCheck, settings

# The same cases in each run. No test is timed: another process may hold the processor while a case
# is made up.
QUICK = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
