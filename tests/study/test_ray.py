"""The same study on a Ray cluster of two nodes, one of which dies in the middle."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from niwaki.errors import SpecError
from niwaki.study.workers.cluster import RayWorkers
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


def test_no_cluster_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match='`ray="127.0.0.1:1"`: no Ray cluster there'):
        RayWorkers(tmp_path, "127.0.0.1:1")


def test_ray_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(SpecError, match="`ray=` needs Ray: pip install ray"):
        RayWorkers(tmp_path, "auto")
