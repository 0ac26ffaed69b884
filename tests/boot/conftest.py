# SPDX-License-Identifier: MIT
"""Starts the jobs of the selected tests ahead of them, the long ones first, and hands each test its job's result."""
import pytest

import machine


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """Not when the collection ends: that happens also where -k is then refused, and all tests are still there."""
    if session.config.option.collectonly:
        return
    jobs = {}
    for item in session.items:
        callspec = getattr(item, "callspec", None)
        job = callspec and callspec.params.get("job")
        if job:
            jobs[job.name] = job
    for job in sorted(jobs.values(), key=lambda job: -job.seconds):
        job.start()


def pytest_runtest_logstart():
    """pytest -v has just written the test's name, without an end of line."""
    machine.Progress.is_mid_line = True


def pytest_runtest_logfinish():
    machine.Progress.is_mid_line = False


@pytest.fixture
def outcome(job):
    """What the job brought. A platform that is not here skips, with the reason."""
    if job.platform.missing:
        pytest.skip(f"{job.platform.name}: {job.platform.missing}")
    return job.result()
