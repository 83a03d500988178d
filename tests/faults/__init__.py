"""The fault suite: real processes under a nemesis with a seed, and a checker of what was seen.

Run it as `scripts/test --faults`; docs/faults.md says what is injected and what is checked.
"""
