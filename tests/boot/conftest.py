# SPDX-License-Identifier: MIT
"""Starts the jobs of the selected tests ahead of them, the long ones first, and hands each test its job's result."""
import pytest

import machine


def job_of(item):
    callspec = getattr(item, "callspec", None)
    return callspec and callspec.params.get("job")


def pytest_addoption(parser):
    parser.addoption("--boots", choices=("quick", "long"), help="without the jobs of machine.LONG, or these alone")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Before -k leaves some out. Those that wait for no job come first: else they are left over, alone, when all jobs are done."""
    items.sort(key=lambda item: bool(job_of(item)))
    boots = config.getoption("--boots")
    if not boots:
        return
    if gone := set(machine.LONG) - {job.name for job in map(job_of, items) if job}:
        raise pytest.UsageError(f"machine.LONG names {', '.join(sorted(gone))}, and no test that was collected has such a job")
    long = [item for item in items if job_of(item) and job_of(item).name in machine.LONG]
    quick = [item for item in items if item not in long]
    items[:], left = (long, quick) if boots == "long" else (quick, long)
    config.hook.pytest_deselected(items=left)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """Not when the collection ends: that happens also where -k is then refused, and all tests are still there."""
    if session.config.option.collectonly:
        return
    jobs = {}
    for item in session.items:
        if job := job_of(item):
            jobs[job.name] = job
    for job in sorted(jobs.values(), key=lambda job: -job.seconds):
        job.start()


def pytest_sessionfinish():
    """After -x, or Ctrl-C: nobody will look at those that have not started."""
    for workers in (machine.Job.pool, machine.Job.aside):
        workers.shutdown(wait=False, cancel_futures=True)


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
