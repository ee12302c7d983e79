"""install.sh: what it puts where, under another root; what it refuses."""

import os
import re
import shutil
import subprocess

import pytest

from bundled import need_tool


@pytest.fixture
def install(bundle_for, tmp_path):
    """Run install.sh of a bundle for this machine below `tmp_path/root`."""
    need_tool("sh", "dash")
    if os.uname().machine != "x86_64":
        pytest.skip("needs an x86-64 machine, on which the bundle's program runs")

    usual = bundle_for("linux-x86_64")

    def call(*arguments, root=tmp_path / "root", bundle=usual):
        environment = {**os.environ, "DESTDIR": str(root)}
        command = ["sh", str(bundle / "install.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return call


def test_install_and_uninstall(install, tmp_path, bundle_for):
    source = "v4l2:/dev/video0?width=640&height=480"
    done = install("--user", "student", "--prefix", "/srv/garments", "--", "--source", source, "--speak", "ko")
    assert done.returncode == 0, done.stderr
    place, unit = tmp_path / "root/srv/garments", tmp_path / "root/etc/systemd/system/niwaki.service"
    names = {file.relative_to(place) for file in place.rglob("*")}
    assert names == {file.relative_to(bundle_for("linux-x86_64")) for file in bundle_for("linux-x86_64").rglob("*")}
    lines = unit.read_text().splitlines()
    assert f"ExecStart=/srv/garments/start --source {source} --speak ko" in lines
    assert "User=student" in lines
    assert "SupplementaryGroups=video audio" in lines
    assert "@" not in unit.read_text()
    assert install("--prefix", "/srv/garments").returncode == 0  # again: in place of the first
    assert "ExecStart=/srv/garments/start" in unit.read_text().splitlines()
    assert sorted(file.name for file in place.parent.iterdir()) == ["garments"]
    done = install("--uninstall", "--prefix", "/srv/garments")
    assert done.returncode == 0
    assert not [file for file in (tmp_path / "root").rglob("*") if file.is_file()]
    assert "recordings" in done.stdout


def words_of(line):
    """The arguments that systemd makes of ExecStart=…: systemd.service(5), command lines, and systemd.syntax(7)."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line.partition("=")[2])
    return [re.sub(r"%%|\$\$", lambda m: m[0][0], re.sub(r"\\(.)", r"\1", one) or other) for one, other in found]


AWKWARD = [
    "--source",
    "file:/home/a b/100 %d.y4m",
    "--token",
    "a;b&c|d$HOME'\"\\e",
    ";",
    "",
    "옷*?",
    "$",
    "%",
    "#x",
    "--quiet",
]


def test_options_reach_the_runner_as_they_were_given(install, tmp_path):
    done = install("--", *AWKWARD)
    assert done.returncode == 0, done.stderr
    unit = (tmp_path / "root/etc/systemd/system/niwaki.service").read_text()
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert words_of(line) == ["/opt/niwaki/start", *AWKWARD]
    assert """ --source "file:/home/a b/100 %%d.y4m" --token "a;b&c|d$$HOME'\\"\\\\e" ";" "" """ in line


def test_the_service_is_one_that_systemd_understands(install, tmp_path):
    need_tool("systemd-analyze", "systemd")
    install("--prefix", "/niwaki", "--user", "root", "--", *AWKWARD)
    unit = tmp_path / "root/etc/systemd/system/niwaki.service"
    unit.write_text(unit.read_text().replace("/niwaki/start", str(tmp_path / "root/niwaki/start")))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "niwaki.service:" not in done.stderr, done.stderr


def test_a_dry_run_does_nothing(install, tmp_path):
    done = install("--dry-run", "--", "--source", "csi:0")
    assert done.returncode == 0
    assert f"+ mv {tmp_path}/root/opt/niwaki.new {tmp_path}/root/opt/niwaki" in done.stdout
    assert not (tmp_path / "root").exists()
    root = subprocess.run(["id", "-u"], capture_output=True, text=True, check=True).stdout.strip() == "0"
    done = install("--dry-run", root="")
    assert done.returncode == 0
    assert "+ systemctl enable --now niwaki.service" in done.stdout
    assert "+ usermod -a -G video niwaki" in done.stdout or not root


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prefix", "/"], "--prefix /: expected a folder of its own"),
        (["--prefix", "/usr"], "--prefix /usr: expected a folder of its own"),
        (["--prefix", "here"], "--prefix here: expected a path from the root"),
        (["--prefix", "/a b"], "--prefix /a b: expected a folder of its own"),
        (["--prefix"], "--prefix: expected a folder"),
        (["--user", "-x"], "--user -x: expected a user's name"),
        (["--user"], "--user: expected a name"),
        (["--fast"], "--fast: no such option"),
        (["--prefix", "/srv/../usr"], "--prefix /srv/../usr: expected a folder of its own"),
        (["--", "--token", "a\nb"], "option of the runner with a line break or another control character"),
        (["--", "--token", "a\tb"], "option of the runner with a line break or another control character"),
    ],
)
def test_what_install_refuses(install, tmp_path, arguments, message):
    done = install(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "root").exists()


def test_a_bundle_is_not_installed_into_itself_nor_over_itself(install, tmp_path, bundle_for):
    here = shutil.copytree(bundle_for("linux-x86_64"), tmp_path / "root/srv/one")
    (tmp_path / "root/link").symlink_to(here)
    before = sorted(here.rglob("*"))
    for prefix in ("/srv/one/new", "/srv/one/a/b", "/link/new"):
        done = install("--prefix", prefix, bundle=here)
        assert done.returncode == 2
        assert f"--prefix {prefix}: lies in the folder that is to be copied: give another" in done.stderr
    inner = shutil.copytree(bundle_for("linux-x86_64"), here / "inner")
    done = install("--prefix", "/srv/one", bundle=inner)
    assert done.returncode == 2
    assert "this folder lies in it and would be removed: move it elsewhere first" in done.stderr
    shutil.rmtree(inner)
    assert "is this very folder" in install("--prefix", "/srv/one", bundle=here).stderr
    assert sorted(here.rglob("*")) == before


def test_nothing_of_others_is_replaced_or_removed(install, tmp_path, bundle_for):
    other = tmp_path / "root/opt/niwaki"
    other.mkdir(parents=True)
    (other / "letter").write_text("dear")
    assert "exists and is not a niwaki bundle" in install().stderr
    assert "is not a niwaki bundle: nothing was removed" in install("--uninstall").stderr
    assert (other / "letter").read_text() == "dear"
    broken = shutil.copytree(bundle_for("linux-x86_64"), tmp_path / "broken")
    (broken / "niwaki").write_text("#!/bin/sh\nexit 1\n")
    done = install("--prefix", "/opt/other", bundle=broken)
    assert (done.returncode, "is this bundle for this board?" in done.stderr) == (2, True)
