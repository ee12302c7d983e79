"""The same study on a Ray cluster of two nodes, one of which dies in the middle."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest

from niwaki.data.dataset import Dataset
from niwaki.errors import SpecError
from niwaki.study.environment import fingerprint
from niwaki.study.plan import Stage
from niwaki.study.stages import Task, run_stage
from niwaki.study.telling import EpochTold
from niwaki.study.workers.cluster import MOST_ON_THE_WAY, RayWorkers, leave_word
from niwaki.training.settings import TrainSettings
from tests.study.conftest import Niwaki, contents

ray = pytest.importorskip("ray", reason="needs Ray: pip install ray")


def test_a_study_survives_the_death_of_a_node(
    niwaki: Niwaki, small_study: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    from ray.cluster_utils import Cluster

    text = small_study.read_text().split('[[experiment]]\nname = "importance"')[0]
    small_study.write_text(text)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    doomed = cluster.add_node(num_cpus=1)
    out = tmp_path / "there"

    def kill_in_the_middle() -> None:
        while len(list(out.glob("stages/*/record.json"))) < 2:
            time.sleep(0.01)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill_in_the_middle, daemon=True)
    killer.start()
    try:
        niwaki("study", "run", small_study, "--ray", cluster.address, "--out", out)
        killer.join(timeout=10)
        assert not killer.is_alive()
    finally:
        ray.shutdown()
        cluster.shutdown()
    found = contents(out)
    assert len(found) == 18  # 1 + 4 + 4 stages, two files each
    assert found.items() <= undisturbed.items()


def patient(data: Dataset, until: Path) -> Task:
    """Three epochs of one batch, of which the second waits for the file."""
    recipe = TrainSettings(epochs=3, batch_size=1000).identity()
    settings = {"factory": "networks:Patient", "args": {"until": str(until)}, "source": "s", **recipe}
    stage = Stage(until.name, "train", settings, None, 0, 0, 3, "train")
    paths = (str(Path(__file__).parents[1]),)
    return Task(stage, None, data.fingerprint, fingerprint("cpu"), trust=True, paths=paths)


def test_epochs_come_while_their_stage_runs_and_no_lost_letterbox_harms_a_stage(
    small_data: Dataset, small_folder: Path, tmp_path: Path
) -> None:
    from ray.cluster_utils import Cluster

    heard: list[EpochTold] = []
    came = threading.Event()

    def hear(told: EpochTold) -> None:
        heard.append(told)
        (tmp_path / told.key).touch()
        came.set()

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    workers = RayWorkers(small_folder, cluster.address)
    workers.listen(hear)
    try:
        for number in range(2 * MOST_ON_THE_WAY):  # more than it takes before it is there
            leave_word(workers._post.box, EpochTold("many", number, 0.5, None))
        task = patient(small_data, tmp_path / "first")
        outcome = workers.submit(task).result(timeout=120)
        assert outcome == run_stage(task, small_data)  # of a network that waits until its first epoch is heard of
        numbers = [told.number for told in heard if told.key == "first"]
        assert numbers in ([1], [1, 2], [1, 2, 3])  # the last ones may come after the outcome

        came.clear()
        ray.kill(workers._post.box, no_restart=False)
        patience = time.monotonic() + 60
        while not came.wait(0.1):  # the one that Ray starts in its place is listened to
            assert time.monotonic() < patience
            with contextlib.suppress(ray.exceptions.RayError):
                ray.get(workers._post.box.put.remote(EpochTold("again", 1, 0.5, None)))

        ray.kill(workers._post.box)
        heard.clear()
        (tmp_path / "last").touch()
        task = patient(small_data, tmp_path / "last")
        assert workers.submit(task).result(timeout=120) == run_stage(task, small_data)
        assert heard == []
    finally:
        workers.close()
        cluster.shutdown()
    assert not workers._post._thread.is_alive()


def test_no_cluster_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match='`ray="127.0.0.1:1"`: no Ray cluster there'):
        RayWorkers(tmp_path, "127.0.0.1:1")


def test_ray_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(SpecError, match="`ray=` needs Ray: pip install ray"):
        RayWorkers(tmp_path, "auto")
