# SPDX-License-Identifier: MIT
"""Starts the jobs of the selected tests ahead of them, the long ones first, and hands each test its job's result."""
import pytest

import machine


def pytest_collection_finish(session):
    if session.config.option.collectonly:
        return
    jobs = {}
    for item in session.items:
        callspec = getattr(item, "callspec", None)
        job = callspec and callspec.params.get("job")
        if job:
            jobs[job.name] = job
    # Bochs needs a minute and more: its machines first, so that no processor waits at the end for the other's long one.
    for job in sorted(jobs.values(), key=lambda job: job.platform is machine.SVM):
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
